//! Quantities against what upstream's own code says (`table/generate/golden.go` prints the rows).

use super::*;

#[test]
fn text_becomes_what_upstream_makes_of_it() {
    for line in include_str!("../../tests/fixtures/quantities.txt").lines() {
        let (text, expected) = line.split_once(" => ").unwrap();
        let ours = match Quantity::parse(text) {
            Ok(quantity) => quantity.to_string(),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(ours, expected, "{text:?}");
    }
}

#[test]
fn amounts_compare_whatever_their_suffix() {
    let parse = |text| Quantity::parse(text).unwrap();
    assert_eq!(parse("1Ki"), parse("1024"));
    assert_eq!(parse("0.5"), parse("500m"));
    assert!(parse("1e2000000000") > parse("9Ei"));
    assert!(parse("-1e2000000000") < parse("0"));
    assert!(parse("12345678901234567890") > parse("12345678901234567889"));
    assert!(parse("999m") < parse("1"));
}

#[test]
fn sums_keep_the_format_of_what_was_there() {
    let parse = |text| Quantity::parse(text).unwrap();
    assert_eq!(parse("1Gi").plus(&parse("1Gi")).to_string(), "2Gi");
    assert_eq!(parse("0").plus(&parse("1Gi")).to_string(), "1Gi");
    assert_eq!(parse("1500m").minus(&parse("2")).to_string(), "-500m");
    assert_eq!(parse("99999999999999999999").plus(&parse("1")).to_string(), "100E");
    assert_eq!(parse("100m").plus(&parse("1")).to_string(), "1100m");
}

#[test]
fn integers_are_rounded_away_from_zero() {
    let parse = |text| Quantity::parse(text).unwrap();
    assert_eq!((parse("1001m").value(), parse("-1001m").value()), (2, -2));
    assert_eq!((parse("1.5").milli_value(), parse("1n").milli_value()), (1500, 1));
    assert_eq!(parse("1e30").value(), i64::MAX);
}
