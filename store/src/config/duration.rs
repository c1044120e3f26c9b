//! Durations as Go writes them (`1h30m`, `250ms`), for flags, files and serde.
//!
//! Promises: what `format` writes, `parse` reads back exactly. Does not: negative durations, which no setting has.
//! Source: Go `time.ParseDuration`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
];

/// Reads a Go duration: decimal numbers, each with a unit, or a bare `0`. `None` when it is none.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return None;
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let scale = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        nanos = nanos.checked_add(scaled(number, scale)?)?;
        rest = tail;
    }
    let nanos = i64::try_from(nanos).ok()?; // Go's range
    Some(Duration::from_nanos(nanos.unsigned_abs()))
}

fn scaled(number: &str, scale: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = whole.checked_mul(scale)?;
    let mut part = scale;
    for digit in fraction.chars() {
        part /= 10;
        nanos = nanos.checked_add(u128::from(digit.to_digit(10)?) * part)?;
    }
    Some(nanos)
}

/// Writes a duration so that [`parse`] reads it back: hours, minutes, seconds, then the largest small unit that is exact.
#[must_use]
pub fn format(duration: Duration) -> String {
    if duration.is_zero() {
        return "0s".into();
    }
    let seconds = duration.as_secs();
    let nanos = duration.subsec_nanos();
    let mut text = String::new();
    for (count, unit) in [(seconds / 3_600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")] {
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    match nanos {
        0 => {}
        n if n % 1_000_000 == 0 => text.push_str(&format!("{}ms", n / 1_000_000)),
        n if n % 1_000 == 0 => text.push_str(&format!("{}us", n / 1_000)),
        n => text.push_str(&format!("{n}ns")),
    }
    text
}

/// Serde: as [`format()`] writes it.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*duration))
}

/// Serde: as [`parse`] reads it.
///
/// # Errors
/// When the text is no duration.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| serde::de::Error::custom(format!("{text:?} is not a duration such as 250ms or 1h30m")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_read_as_go_reads_them() {
        let ok = [
            ("0", 0),
            ("5ns", 5),
            ("1.5s", 1_500_000_000),
            (".5ms", 500_000),
            ("1h30m", 5_400_000_000_000),
            ("1m0.25s", 60_250_000_000),
            ("3us", 3_000),
            ("3µs", 3_000),
            ("+2m", 120_000_000_000),
        ];
        for (text, nanos) in ok {
            assert_eq!(parse(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
        for text in ["", "5", "-1s", "s", "1x", "1.2.3s", ".s", "1 s", "9999999h", "1h30"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(nanos in 0..i64::MAX) {
            let duration = Duration::from_nanos(nanos.unsigned_abs());
            prop_assert_eq!(parse(&format(duration)), Some(duration));
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in ".{0,40}") {
            let _ = parse(&text);
        }
    }
}
