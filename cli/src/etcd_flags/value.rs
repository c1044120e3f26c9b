//! Values of flags: how texts become booleans, numbers, sizes and durations.
//!
//! Source: Go `strconv.ParseBool`, `strconv.ParseInt` with base 0, `time.ParseDuration`. Sizes with a unit
//! (`8GiB`) and durations for millisecond flags (`250ms`) are ours.

use std::time::Duration;

use fairlead_store::config::{InitialCluster, Invalid, Url, duration};

use super::table::Kind;

/// Checks that a text can be a value of this kind.
///
/// # Errors
/// When it cannot.
pub(super) fn check(kind: Kind, text: &str) -> Result<(), Invalid> {
    match kind {
        Kind::Text | Kind::Path | Kind::List | Kind::Ignored => Ok(()),
        Kind::Bool => boolean(text).map(drop),
        Kind::Int => integer(text).map(drop),
        Kind::Uint => unsigned(text).map(drop),
        Kind::Number => text.parse::<f64>().map(drop).map_err(|_| wrong(text, "a number", "0.5")),
        Kind::Bytes => bytes(text).map(drop),
        Kind::Duration => time(text).map(drop),
        Kind::Millis => millis(text).map(drop),
        Kind::Urls if text.is_empty() => Ok(()),
        Kind::Urls => Url::parse_list(text).map(drop),
        Kind::Cluster if text.is_empty() => Ok(()),
        Kind::Cluster => InitialCluster::parse(text).map(drop),
    }
}

fn wrong(text: &str, kind: &str, example: &str) -> Invalid {
    Invalid::new(format!("invalid value {text:?}"), format!("it is not {kind}"), format!("for instance {example}"))
}

pub(super) fn boolean(text: &str) -> Result<bool, Invalid> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(wrong(text, "true or false", "true")),
    }
}

pub(super) fn integer(text: &str) -> Result<i64, Invalid> {
    let wrong = || wrong(text, "a whole number of 64 bits", "5000");
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.starts_with(['+', '-']) {
        return Err(wrong());
    }
    let magnitude = i128::from(u64::from_str_radix(&digits.replace('_', ""), radix).map_err(|_| wrong())?);
    i64::try_from(if negative { -magnitude } else { magnitude }).map_err(|_| wrong())
}

pub(super) fn unsigned(text: &str) -> Result<u64, Invalid> {
    u64::try_from(integer(text)?).map_err(|_| wrong(text, "a whole number of 0 or more", "5000"))
}

pub(super) fn bytes(text: &str) -> Result<i64, Invalid> {
    const UNITS: [(&str, i64); 6] =
        [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000)];
    match UNITS.iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, scale))) {
        None => integer(text).map_err(|_| wrong(text, "a number of bytes", "8589934592 or 8GiB")),
        Some((count, scale)) => integer(count.trim_end())
            .ok()
            .and_then(|count| count.checked_mul(*scale))
            .ok_or_else(|| wrong(text, "a number of bytes", "8589934592 or 8GiB")),
    }
}

pub(super) fn time(text: &str) -> Result<Duration, Invalid> {
    duration::parse(text).ok_or_else(|| {
        if text.parse::<i64>().is_ok_and(|number| number > 0) {
            Invalid::new(
                format!("invalid value {text:?}"),
                "a duration needs its unit",
                format!("{text}s, {text}ms or {text}m"),
            )
        } else {
            wrong(text, "a duration", "250ms, 10s or 1h30m")
        }
    })
}

pub(super) fn millis(text: &str) -> Result<Duration, Invalid> {
    match unsigned(text) {
        Ok(millis) => Ok(Duration::from_millis(millis)),
        Err(_) => duration::parse(text).ok_or_else(|| wrong(text, "a number of milliseconds", "100 or 100ms")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_read_as_go_reads_them_with_base_zero() {
        for (text, value) in
            [("0", 0), ("-5", -5), ("+7", 7), ("0x10", 16), ("0b11", 3), ("0o17", 15), ("017", 15), ("1_000", 1000)]
        {
            assert_eq!(integer(text).unwrap(), value, "{text}");
        }
        for text in ["", "x", "1.5", "--1", "+-1", "0x", "9223372036854775808"] {
            assert!(integer(text).is_err(), "{text}");
        }
        assert_eq!(integer("-9223372036854775808").unwrap(), i64::MIN);
        assert!(unsigned("-1").is_err());
    }

    #[test]
    fn sizes_and_times_take_units() {
        assert_eq!(bytes("8GiB").unwrap(), 8 << 30);
        assert_eq!(bytes("-1").unwrap(), -1);
        assert!(bytes("9999999999GiB").is_err());
        assert_eq!(millis("100").unwrap(), millis("100ms").unwrap());
        assert!(time("5").unwrap_err().remedy.contains("5s"));
    }

    #[test]
    fn booleans_are_those_of_go() {
        assert!(boolean("True").unwrap() && !boolean("F").unwrap());
        assert!(boolean("yes").is_err());
    }
}
