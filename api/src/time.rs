//! Instants and durations as upstream's JSON has them.
//!
//! An [`Instant`] is seconds since 1970 and nanoseconds; `metav1.Time` prints whole seconds, `metav1.MicroTime` six
//! decimals, both in UTC. Promises: takes and refuses what Go's `time.Parse` does with upstream's two layouts, with its
//! texts; what is printed is taken again. Does not: know a clock or time zones by name.
//! Source: Go `time/format.go`, apimachinery `pkg/apis/meta/v1/{time,micro_time,duration}.go`.

use std::fmt;
use std::fmt::Write as _;

use thiserror::Error;

use crate::text::quote;

/// The seconds of Go's zero time, the first of January of year 1, which upstream prints as null.
const ZERO_SECONDS: i64 = -62_135_596_800;

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instant {
    /// Seconds since 1970, UTC.
    pub seconds: i64,
    /// The rest, below 1,000,000,000.
    pub nanos: u32,
}

/// Which of upstream's two layouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// `metav1.Time`.
    Seconds,
    /// `metav1.MicroTime`.
    Micros,
}

impl Precision {
    fn layout(self) -> &'static str {
        match self {
            Precision::Seconds => "2006-01-02T15:04:05Z07:00",
            Precision::Micros => "2006-01-02T15:04:05.000000Z07:00",
        }
    }
}

/// Text that is no time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct BadTime(String);

/// Days since 1970 of a date. Source: Howard Hinnant, "chrono-compatible low-level date algorithms".
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

pub(crate) fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Reads the pieces of a layout one after the other.
struct Pieces<'a> {
    layout: &'static str,
    text: &'a str,
    rest: &'a str,
}

impl<'a> Pieces<'a> {
    fn bad(&self, piece: &str) -> BadTime {
        let (text, rest) = (quote(self.text), quote(self.rest));
        BadTime(format!("parsing time {text} as \"{}\": cannot parse {rest} as \"{piece}\"", self.layout))
    }

    fn beyond(&self, what: &str) -> BadTime {
        BadTime(format!("parsing time {}: {what} out of range", quote(self.text)))
    }

    fn literal(&mut self, letter: &str) -> Result<(), BadTime> {
        self.rest = self.rest.strip_prefix(letter).ok_or_else(|| self.bad(letter))?;
        Ok(())
    }

    /// Digits, at least and at most so many.
    fn number(&mut self, piece: &str, least: usize, most: usize) -> Result<i64, BadTime> {
        let digits = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if digits < least {
            return Err(self.bad(piece));
        }
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        Ok(number.parse().expect("four digits at most"))
    }

    /// A number below a bound, after a letter.
    fn below(&mut self, bound: i64, piece: &str, least: usize, name: &str) -> Result<i64, BadTime> {
        let number = self.number(piece, least, 2)?;
        if number >= bound { Err(self.beyond(name)) } else { Ok(number) }
    }

    fn nanos(&mut self, precision: Precision) -> Result<u32, BadTime> {
        let fraction = self.rest.strip_prefix(['.', ',']);
        let digits = fraction.map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
        let taken = match precision {
            Precision::Seconds if digits == 0 => return Ok(0),
            Precision::Seconds => digits,
            Precision::Micros if digits < 6 => return Err(self.bad(".000000")),
            Precision::Micros => 6,
        };
        let fraction = fraction.expect("it has digits");
        self.rest = &fraction[taken..];
        let nanos = fraction.bytes().take(taken.min(9)).fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
        Ok(nanos * 10u32.pow(9 - taken.min(9) as u32))
    }

    /// Seconds east of Greenwich.
    fn zone(&mut self) -> Result<i64, BadTime> {
        const PIECE: &str = "Z07:00";
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(0);
        }
        let bytes = self.rest.as_bytes();
        let pair = |at: usize| {
            let digits = bytes.get(at..at + 2).filter(|pair| pair.iter().all(u8::is_ascii_digit));
            digits.map(|pair| i64::from(pair[0] - b'0') * 10 + i64::from(pair[1] - b'0'))
        };
        let sign = match (bytes.first(), bytes.get(3)) {
            (Some(b'+'), Some(b':')) => 1,
            (Some(b'-'), Some(b':')) => -1,
            _ => return Err(self.bad(PIECE)),
        };
        let (Some(hours), Some(minutes)) = (pair(1), pair(4)) else { return Err(self.bad(PIECE)) };
        if hours > 24 {
            return Err(self.beyond("time zone offset hour"));
        }
        if minutes > 60 {
            return Err(self.beyond("time zone offset minute"));
        }
        self.rest = &self.rest[6..];
        Ok(sign * (hours * 3_600 + minutes * 60))
    }
}

impl Instant {
    /// Go's zero time.
    pub const ZERO: Instant = Instant { seconds: ZERO_SECONDS, nanos: 0 };

    /// Of text in one of the layouts; what the layout does not show is dropped.
    ///
    /// # Errors
    /// When Go would refuse it, with Go's text.
    pub fn parse(text: &str, precision: Precision) -> Result<Instant, BadTime> {
        let mut pieces = Pieces { layout: precision.layout(), text, rest: text };
        let year = pieces.number("2006", 4, 4)?;
        pieces.literal("-")?;
        let month = pieces.number("01", 2, 2)?;
        if !(1..=12).contains(&month) {
            return Err(pieces.beyond("month"));
        }
        pieces.literal("-")?;
        let day = pieces.number("02", 2, 2)?;
        pieces.literal("T")?;
        let hour = pieces.below(24, "15", 1, "hour")?;
        pieces.literal(":")?;
        let minute = pieces.below(60, "04", 2, "minute")?;
        pieces.literal(":")?;
        let second = pieces.below(60, "05", 2, "second")?;
        let nanos = pieces.nanos(precision)?;
        let offset = pieces.zone()?;
        if !pieces.rest.is_empty() {
            let (text, rest) = (quote(text), quote(pieces.rest));
            return Err(BadTime(format!("parsing time {text}: extra text: {rest}")));
        }
        if day < 1 || day > days_in(year, month) {
            return Err(pieces.beyond("day"));
        }
        let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset;
        let nanos = if precision == Precision::Micros { nanos } else { 0 };
        Ok(Instant { seconds, nanos })
    }

    /// In a layout, in UTC.
    pub fn format(self, precision: Precision) -> String {
        let (days, second) = (self.seconds.div_euclid(86_400), self.seconds.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let mut out = String::with_capacity(27);
        let sign = if year < 0 { "-" } else { "" };
        write!(out, "{sign}{:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}", year.abs())
            .expect("writing into text cannot fail");
        if precision == Precision::Micros {
            write!(out, ".{:06}", self.nanos / 1_000).expect("writing into text cannot fail");
        }
        out.push('Z');
        out
    }

    /// Whether it is Go's zero time.
    pub fn is_zero(self) -> bool {
        self == Instant::ZERO
    }
}

/// Nanoseconds, printed as Go prints a `time.Duration`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Duration(pub i64);

/// Text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadDuration {
    /// Not of the form.
    #[error("time: invalid duration {0}")]
    Form(String),
    /// A number without a unit.
    #[error("time: missing unit in duration {0}")]
    NoUnit(String),
    /// An unknown unit.
    #[error("time: unknown unit {0} in duration {1}")]
    Unit(String, String),
}

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

impl Duration {
    /// Of text, as in `1h30m`.
    ///
    /// # Errors
    /// When Go would refuse it, with Go's text.
    pub fn parse(text: &str) -> Result<Duration, BadDuration> {
        let bad = || BadDuration::Form(quote(text));
        let negative = text.starts_with('-');
        let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
        if rest == "0" {
            return Ok(Duration(0));
        }
        if rest.is_empty() {
            return Err(bad());
        }
        let mut total = 0u64;
        while !rest.is_empty() {
            let whole = rest.bytes().take_while(u8::is_ascii_digit).count();
            let fraction = match rest[whole..].strip_prefix('.') {
                Some(after) => 1 + after.bytes().take_while(u8::is_ascii_digit).count(),
                None => 0,
            };
            if whole == 0 && fraction <= 1 {
                return Err(bad());
            }
            let (number, after) = rest.split_at(whole + fraction);
            let unit_end = after.find(|letter: char| letter == '.' || letter.is_ascii_digit()).unwrap_or(after.len());
            let (unit, after) = after.split_at(unit_end);
            if unit.is_empty() {
                return Err(BadDuration::NoUnit(quote(text)));
            }
            let (_, scale) = UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .ok_or_else(|| BadDuration::Unit(quote(unit), quote(text)))?;
            total = Duration::term(&number[..whole], &number[whole..], *scale)
                .and_then(|term| total.checked_add(term))
                .filter(|total| *total <= 1 << 63)
                .ok_or_else(bad)?;
            rest = after;
        }
        match (negative, i64::try_from(total)) {
            (false, Ok(nanos)) => Ok(Duration(nanos)),
            (true, Ok(nanos)) => Ok(Duration(-nanos)),
            (true, Err(_)) => Ok(Duration(i64::MIN)),
            (false, Err(_)) => Err(bad()),
        }
    }

    fn term(whole: &str, fraction: &str, scale: u64) -> Option<u64> {
        let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok().filter(|number| *number <= 1 << 63)? };
        let whole = whole.checked_mul(scale).filter(|nanos| *nanos <= 1 << 63)?;
        // Go goes through a float here, on the digits that fit.
        let (mut digits, mut power) = (0u64, 1f64);
        for digit in fraction.bytes().skip(1) {
            if digits > ((1 << 63) - 1) / 10 {
                break;
            }
            digits = digits * 10 + u64::from(digit - b'0');
            power *= 10.0;
        }
        whole.checked_add((digits as f64 * (scale as f64 / power)) as u64)
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        // A number of units with its decimals, without zeros at the end.
        let decimal = |nanos: u64, unit: u64| {
            let width = unit.ilog10() as usize;
            let fraction = format!("{:0width$}", nanos % unit);
            let fraction = if width == 0 { "" } else { fraction.trim_end_matches('0') };
            match fraction.is_empty() {
                true => format!("{}", nanos / unit),
                false => format!("{}.{fraction}", nanos / unit),
            }
        };
        match nanos {
            0 => to.write_str("0s"),
            1..1_000 => write!(to, "{sign}{nanos}ns"),
            1_000..1_000_000 => write!(to, "{sign}{}µs", decimal(nanos, 1_000)),
            1_000_000..1_000_000_000 => write!(to, "{sign}{}ms", decimal(nanos, 1_000_000)),
            _ => {
                let minutes = nanos / 60_000_000_000;
                let seconds = decimal(nanos % 60_000_000_000, 1_000_000_000);
                match minutes {
                    0 => write!(to, "{sign}{seconds}s"),
                    1..60 => write!(to, "{sign}{minutes}m{seconds}s"),
                    _ => write!(to, "{sign}{}h{}m{seconds}s", minutes / 60, minutes % 60),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `table/generate/golden.go` prints the rows: what Go says.
    #[test]
    fn text_becomes_what_go_makes_of_it() {
        for line in include_str!("../tests/fixtures/times.txt").lines() {
            let (what, row) = line.split_once(' ').unwrap();
            let (text, expected) = row.split_once(" => ").unwrap();
            let time = |precision| match Instant::parse(text, precision) {
                Ok(instant) => instant.format(precision),
                Err(error) => format!("error: {error}"),
            };
            let ours = match what {
                "time" => time(Precision::Seconds),
                "micro" => time(Precision::Micros),
                _ => Duration::parse(text).map_or_else(|error| format!("error: {error}"), |found| found.to_string()),
            };
            assert_eq!(ours, expected, "{what} {text:?}");
        }
    }

    #[test]
    fn go_zero_time_is_zero() {
        assert!(Instant::parse("0001-01-01T00:00:00Z", Precision::Seconds).unwrap().is_zero());
    }
}
