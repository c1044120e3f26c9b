//! What a plain YAML scalar means, by the rules of YAML 1.1 as Go's library has them: `yes` is true, `012` is ten.
//!
//! Source: `go.yaml.in/yaml/v2` `resolve.go`.

/// A plain scalar's meaning.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Resolved {
    Null,
    Bool(bool),
    Int(i64),
    /// Beyond `i64`.
    Uint(u64),
    Float(f64),
    /// Text that looks like a time: a string to us, but quoted when it is written.
    Timestamp,
    Text,
}

pub(super) fn resolve(text: &str) -> Resolved {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Resolved::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Resolved::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Resolved::Float(f64::NEG_INFINITY),
        _ => {}
    }
    match text.as_bytes()[0] {
        b'.' => text.parse().map_or(Resolved::Text, Resolved::Float),
        b'0'..=b'9' | b'+' | b'-' => number(text),
        _ => Resolved::Text,
    }
}

fn number(text: &str) -> Resolved {
    if is_timestamp(text) {
        return Resolved::Timestamp;
    }
    let plain = text.replace('_', "");
    if let Some(value) = integer(&plain) {
        return value;
    }
    match is_float(&plain) {
        true => plain.parse().map_or(Resolved::Text, Resolved::Float),
        false => Resolved::Text,
    }
}

/// Go's `ParseInt` with base 0, then `ParseUint`.
fn integer(text: &str) -> Option<Resolved> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match (lower.strip_prefix("0x"), lower.strip_prefix("0b"), lower.strip_prefix("0o")) {
        (Some(digits), _, _) => (16, digits),
        (_, Some(digits), _) => (2, digits),
        (_, _, Some(digits)) => (8, digits),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let size = u64::from_str_radix(digits, radix).ok()?;
    let signed = if negative { 0i128 - i128::from(size) } else { i128::from(size) };
    match i64::try_from(signed) {
        Ok(value) => Some(Resolved::Int(value)),
        // ParseUint takes no sign.
        Err(_) if !negative && !text.starts_with('+') => Some(Resolved::Uint(size)),
        Err(_) => None,
    }
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(text);
    let mut rest = &text[whole..];
    let mut fraction = 0;
    if let Some(after) = rest.strip_prefix('.') {
        fraction = digits(after);
        rest = &after[fraction..];
    }
    if whole + fraction == 0 {
        return false;
    }
    match rest.strip_prefix(['e', 'E']) {
        None => rest.is_empty(),
        Some(power) => {
            let power = power.strip_prefix(['-', '+']).unwrap_or(power);
            !power.is_empty() && digits(power) == power.len()
        }
    }
}

/// A date, with or without a time of day.
fn is_timestamp(text: &str) -> bool {
    let mut rest = text;
    let mut number = |least: usize, most: usize, before: &str| -> Option<i64> {
        let after = rest.strip_prefix(before)?;
        let digits = after.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let value = if digits < least { None } else { after[..digits].parse().ok() };
        rest = &after[digits..];
        value
    };
    let date = (number(4, 4, ""), number(1, 2, "-"), number(1, 2, "-"));
    let (Some(year), Some(month @ 1..=12), Some(day)) = date else { return false };
    if day < 1 || day > crate::time::days_in(year, month) {
        return false;
    }
    if rest.is_empty() {
        return true;
    }
    let zoned = rest.starts_with(['T', 't']);
    rest = match rest.strip_prefix(['T', 't', ' ']) {
        Some(rest) => rest,
        None => return false,
    };
    // Go reads the rest with the same layout as RFC 3339's, digits apart.
    let mut number = |before: &str| -> Option<i64> {
        let after = rest.strip_prefix(before)?;
        let digits = after.bytes().take(2).take_while(u8::is_ascii_digit).count();
        rest = &after[digits..];
        after[..digits].parse().ok()
    };
    let clock = (number(""), number(":"), number(":"));
    let (Some(0..24), Some(0..60), Some(0..60)) = clock else { return false };
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            rest = &fraction[digits..];
        }
    }
    match (zoned, rest) {
        (false, rest) => rest.is_empty(),
        (true, "Z") => true,
        (true, rest) => {
            let bytes = rest.as_bytes();
            bytes.len() == 6
                && matches!(bytes[0], b'+' | b'-')
                && bytes[3] == b':'
                && [1, 2, 4, 5].iter().all(|at| bytes[*at].is_ascii_digit())
        }
    }
}

/// `1:30`, which YAML 1.1 takes for a number of base 60: Go does not, but quotes it.
pub(super) fn is_base_60(text: &str) -> bool {
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let Some((whole, rest)) = rest.split_once(':') else { return false };
    let starts = whole.starts_with(|letter: char| letter.is_ascii_digit());
    if !starts || !whole.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_') {
        return false;
    }
    let (places, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    fraction.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
        && places.split(':').all(|place| match place.as_bytes() {
            [digit] => digit.is_ascii_digit(),
            [tens, digit] => (b'0'..=b'5').contains(tens) && digit.is_ascii_digit(),
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_yaml_1_1_says() {
        for (text, meaning) in [
            ("yes", Resolved::Bool(true)),
            ("Off", Resolved::Bool(false)),
            ("y", Resolved::Bool(true)),
            ("~", Resolved::Null),
            ("012", Resolved::Int(10)),
            ("0x1F", Resolved::Int(31)),
            ("0b11", Resolved::Int(3)),
            ("1_000", Resolved::Int(1000)),
            ("+1", Resolved::Int(1)),
            ("-9223372036854775808", Resolved::Int(i64::MIN)),
            ("9223372036854775808", Resolved::Uint(1 << 63)),
            ("08", Resolved::Float(8.0)),
            ("1e3", Resolved::Float(1000.0)),
            (".5", Resolved::Float(0.5)),
            ("12.", Resolved::Float(12.0)),
            ("2001-02-03", Resolved::Timestamp),
            ("2001-02-03T04:05:06Z", Resolved::Timestamp),
            ("2001-02-30", Resolved::Text),
            ("1:30", Resolved::Text),
            ("<<", Resolved::Text),
            ("1.2.3", Resolved::Text),
            ("nope", Resolved::Text),
            ("-", Resolved::Text),
        ] {
            assert_eq!(resolve(text), meaning, "{text}");
        }
        assert!(is_base_60("1:30") && is_base_60("-190:20:30.15") && !is_base_60("a:30") && !is_base_60("1:60"));
    }
}
