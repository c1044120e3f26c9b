//! Steps through JSON that has been checked before: tokens, whole values, text with its escapes undone.
//!
//! Expects: [`super::validate`] has passed. On anything else it gives wrong answers or panics on a slice, never loops.

use std::borrow::Cow;

use super::scan::is_space;

/// What a value is, in the words of Go's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

/// A place in valid JSON.
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Reader<'a> {
        Reader { text, at: 0 }
    }

    /// Where the next token begins.
    pub(crate) fn position(&mut self) -> usize {
        self.skip_space();
        self.at
    }

    /// Where the last token ended.
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    fn skip_space(&mut self) {
        while self.text.as_bytes().get(self.at).copied().is_some_and(is_space) {
            self.at += 1;
        }
    }

    fn byte(&mut self) -> u8 {
        self.skip_space();
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    /// What comes next; takes nothing.
    pub(crate) fn peek(&mut self) -> Token {
        match self.byte() {
            b'{' => Token::Object,
            b'[' => Token::Array,
            b'"' => Token::String,
            b't' | b'f' => Token::Bool,
            b'n' => Token::Null,
            _ => Token::Number,
        }
    }

    /// Enters an object or array.
    pub(crate) fn enter(&mut self) {
        self.skip_space();
        self.at += 1;
    }

    /// Whether there is one more member; takes the comma, or the closing bracket.
    pub(crate) fn more(&mut self, first: bool) -> bool {
        let byte = self.byte();
        match byte {
            b'}' | b']' | 0 => {
                self.at += 1;
                false
            }
            b',' if !first => {
                self.at += 1;
                true
            }
            _ => true,
        }
    }

    /// The next key, and the colon behind it.
    pub(crate) fn key(&mut self) -> Cow<'a, str> {
        let key = self.string();
        self.skip_space();
        self.at += 1;
        key
    }

    /// The next text.
    pub(crate) fn string(&mut self) -> Cow<'a, str> {
        unquote(self.raw())
    }

    /// The next value as it stands.
    pub(crate) fn raw(&mut self) -> &'a str {
        self.skip_space();
        let start = self.at;
        self.skip_value();
        &self.text[start..self.at]
    }

    /// Passes the next value.
    pub(crate) fn skip_value(&mut self) {
        let bytes = self.text.as_bytes();
        let mut depth = 0usize;
        self.skip_space();
        loop {
            match bytes.get(self.at) {
                Some(b'"') => self.skip_string(),
                Some(b'{' | b'[') => {
                    depth += 1;
                    self.at += 1;
                }
                Some(b'}' | b']') => {
                    depth -= 1;
                    self.at += 1;
                }
                Some(byte) if is_space(*byte) || matches!(byte, b',' | b':') => self.at += 1,
                Some(_) => {
                    let end = |byte: &u8| is_space(*byte) || matches!(byte, b',' | b':' | b'}' | b']');
                    self.at += bytes[self.at..].iter().position(end).unwrap_or(bytes.len() - self.at);
                }
                None => return,
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn skip_string(&mut self) {
        let bytes = self.text.as_bytes();
        self.at += 1;
        while let Some(byte) = bytes.get(self.at) {
            self.at += match byte {
                b'"' => {
                    self.at += 1;
                    return;
                }
                b'\\' => 2,
                _ => 1,
            };
        }
    }
}

/// The text of a literal with its quotes.
fn unquote(literal: &str) -> Cow<'_, str> {
    let inner = literal.get(1..literal.len().saturating_sub(1)).unwrap_or_default();
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = rest.as_bytes().get(at + 1).copied().unwrap_or_default();
        rest = &rest[(at + 2).min(rest.len())..];
        out.push(match escape {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => unicode(&mut rest),
            other => char::from(other),
        });
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn hex(text: &str) -> Option<u32> {
    text.get(..4).and_then(|digits| u32::from_str_radix(digits, 16).ok())
}

/// A letter by its number, two of them where it takes a pair; half a pair is the replacement character.
fn unicode(rest: &mut &str) -> char {
    let Some(first) = hex(rest) else { return char::REPLACEMENT_CHARACTER };
    *rest = &rest[4..];
    if let 0xd800..0xdc00 = first
        && let Some(second @ 0xdc00..0xe000) = rest.strip_prefix("\\u").and_then(hex)
    {
        *rest = &rest[6..];
        return char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
            .unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone() {
        for (literal, text) in [
            (r#""plain""#, "plain"),
            (r#""a\"\\\/\b\f\n\r\tz""#, "a\"\\/\u{8}\u{c}\n\r\tz"),
            (r#""\u00e9\ud83d\ude00""#, "é😀"),
            (r#""\ud83d x \ude00""#, "\u{fffd} x \u{fffd}"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
        ] {
            assert_eq!(unquote(literal), text);
        }
    }

    #[test]
    fn values_are_passed_whole() {
        let mut reader = Reader::new(r#" {"a" : [ {"b":"]}\""}, 2 ], "c":true} "#);
        reader.enter();
        assert!(reader.more(true));
        assert_eq!(reader.key(), "a");
        assert_eq!(reader.raw(), r#"[ {"b":"]}\""}, 2 ]"#);
        assert!(reader.more(false));
        assert_eq!((reader.key().as_ref(), reader.peek()), ("c", Token::Bool));
        assert_eq!(reader.raw(), "true");
        assert!(!reader.more(false));
    }
}
