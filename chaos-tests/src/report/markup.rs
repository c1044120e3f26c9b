//! Text on its way into XML and HTML, and figures on their way to people.

use std::fmt::{self, Write};

/// A text in which nothing is markup, in an element or in a quoted attribute.
pub(super) struct Escaped<'t>(pub(super) &'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => f.write_char(c)?,
                // XML 1.0, 2.2: no document may hold these.
                '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => f.write_char('\u{fffd}')?,
                _ => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A time since the start, in seconds.
pub(super) fn seconds(nanoseconds: u64) -> String {
    format!("{:.3} s", nanoseconds as f64 / 1e9)
}

/// A length of time in milliseconds, with the digits that matter.
pub(super) fn ms(milliseconds: f64) -> String {
    match milliseconds {
        it if it < 10.0 => format!("{it:.2} ms"),
        it if it < 1_000.0 => format!("{it:.0} ms"),
        it => format!("{:.2} s", it / 1_000.0),
    }
}

/// A part of a whole in percent, never rounded up to all of it.
pub(super) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let hundredths = u128::from(part) * 10_000 / u128::from(whole);
    format!("{}.{:02} %", hundredths / 100, hundredths % 100)
}

/// A count with its thousands apart.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut parted = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            parted.push('\u{202f}');
        }
        parted.push(digit);
    }
    parted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_markup_and_none_breaks_xml() {
        let text = "<a href=\"x\">&'\u{0}\u{1b}\u{ffff}\n";
        assert_eq!(Escaped(text).to_string(), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;\u{fffd}\u{fffd}\u{fffd}\n");
    }

    #[test]
    fn nearly_all_is_not_all() {
        assert_eq!(
            (percent(999_999, 1_000_000), percent(3, 3), percent(0, 0)),
            ("99.99 %".into(), "100.00 %".into(), "–".into())
        );
        assert_eq!(
            (count(1_234_567), count(999), ms(0.5), ms(1_500.0)),
            ("1\u{202f}234\u{202f}567".into(), "999".into(), "0.50 ms".into(), "1.50 s".into())
        );
    }
}
