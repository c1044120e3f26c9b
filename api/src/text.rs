//! Text as Go prints it in messages: quoting as `%q` does.

use std::fmt::Write as _;

/// The text in Go's double quotes.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            letter if u32::from(letter) < 0x20 || letter == '\u{7f}' => {
                write!(out, "\\x{:02x}", u32::from(letter)).expect("writing into text cannot fail");
            }
            '\u{80}'..='\u{a0}' | '\u{ad}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' => {
                write!(out, "\\u{:04x}", u32::from(letter)).expect("writing into text cannot fail");
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_escape_what_go_escapes() {
        assert_eq!(quote("a\"b\\c\n\u{1}é\u{2028}"), "\"a\\\"b\\\\c\\n\\x01é\\u2028\"");
    }
}
