//! Is it JSON? One pass over the bytes before anything is decoded, so that the decoders need not ask again.
//!
//! Promises: takes and refuses what Go's `encoding/json` does, with its texts; no recursion, so nesting costs a bit a level.
//! Source: Go `encoding/json/scanner.go`.

use thiserror::Error;

/// Levels of nesting that are taken. Go takes 10,000 and grows its stack; ours does not grow.
pub const DEPTH_MAX: usize = 500;

/// Why something is not JSON.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SyntaxError {
    /// It ends too early.
    #[error("unexpected end of JSON input")]
    End,
    /// A byte that cannot stand where it stands.
    #[error("invalid character {} {context}", quote_byte(*.byte))]
    Byte {
        /// The byte.
        byte: u8,
        /// Where it stands.
        context: &'static str,
    },
}

fn quote_byte(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => r#"'"'"#.to_owned(),
        byte => {
            let quoted = crate::text::quote(char::from(byte).encode_utf8(&mut [0; 4]));
            format!("'{}'", &quoted[1..quoted.len() - 1])
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Expect {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// True for objects, innermost last.
    open: Vec<bool>,
}

/// Checks a whole document.
///
/// # Errors
/// At the first byte that cannot be.
pub fn validate(bytes: &[u8]) -> Result<(), SyntaxError> {
    Scanner { bytes, at: 0, open: Vec::new() }.document()
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

impl Scanner<'_> {
    fn document(&mut self) -> Result<(), SyntaxError> {
        let mut expect = Expect::Value;
        loop {
            while self.bytes.get(self.at).copied().is_some_and(is_space) {
                self.at += 1;
            }
            let done = expect == Expect::CommaOrEnd && self.open.is_empty();
            let Some(&byte) = self.bytes.get(self.at) else {
                return if done { Ok(()) } else { Err(SyntaxError::End) };
            };
            if done {
                return Err(SyntaxError::Byte { byte, context: "after top-level value" });
            }
            self.at += 1;
            expect = self.step(expect, byte)?;
        }
    }

    fn step(&mut self, expect: Expect, byte: u8) -> Result<Expect, SyntaxError> {
        let context = match (expect, byte) {
            (Expect::ValueOrEnd, b']') | (Expect::KeyOrEnd, b'}') => return Ok(self.close()),
            (Expect::Value | Expect::ValueOrEnd, _) => return self.value(byte),
            (Expect::Key | Expect::KeyOrEnd, b'"') => {
                self.string()?;
                return Ok(Expect::Colon);
            }
            (Expect::Key | Expect::KeyOrEnd, _) => "looking for beginning of object key string",
            (Expect::Colon, b':') => return Ok(Expect::Value),
            (Expect::Colon, _) => "after object key",
            (Expect::CommaOrEnd, byte) => match (self.open.last() == Some(&true), byte) {
                (true, b',') => return Ok(Expect::Key),
                (false, b',') => return Ok(Expect::Value),
                (true, b'}') | (false, b']') => return Ok(self.close()),
                (true, _) => "after object key:value pair",
                (false, _) => "after array element",
            },
        };
        Err(SyntaxError::Byte { byte, context })
    }

    fn close(&mut self) -> Expect {
        self.open.pop();
        Expect::CommaOrEnd
    }

    fn open(&mut self, byte: u8) -> Result<(), SyntaxError> {
        if self.open.len() >= DEPTH_MAX {
            return Err(SyntaxError::Byte { byte, context: "exceeded max depth" });
        }
        self.open.push(byte == b'{');
        Ok(())
    }

    fn value(&mut self, byte: u8) -> Result<Expect, SyntaxError> {
        match byte {
            b'{' => return self.open(byte).map(|()| Expect::KeyOrEnd),
            b'[' => return self.open(byte).map(|()| Expect::ValueOrEnd),
            b'"' => self.string()?,
            b'-' | b'0'..=b'9' => self.number(byte)?,
            b't' => self.word(&[
                (b'r', "in literal true (expecting 'r')"),
                (b'u', "in literal true (expecting 'u')"),
                (b'e', "in literal true (expecting 'e')"),
            ])?,
            b'f' => self.word(&[
                (b'a', "in literal false (expecting 'a')"),
                (b'l', "in literal false (expecting 'l')"),
                (b's', "in literal false (expecting 's')"),
                (b'e', "in literal false (expecting 'e')"),
            ])?,
            b'n' => self.word(&[
                (b'u', "in literal null (expecting 'u')"),
                (b'l', "in literal null (expecting 'l')"),
                (b'l', "in literal null (expecting 'l')"),
            ])?,
            byte => return Err(SyntaxError::Byte { byte, context: "looking for beginning of value" }),
        }
        Ok(Expect::CommaOrEnd)
    }

    /// The next byte of a token; Go sees a space at the end.
    fn next(&mut self) -> u8 {
        let byte = self.bytes.get(self.at).copied().unwrap_or(b' ');
        self.at += 1;
        byte
    }

    fn word(&mut self, rest: &[(u8, &'static str)]) -> Result<(), SyntaxError> {
        rest.iter().try_for_each(|(letter, context)| match self.next() {
            byte if byte == *letter => Ok(()),
            byte => Err(SyntaxError::Byte { byte, context }),
        })
    }

    fn string(&mut self) -> Result<(), SyntaxError> {
        loop {
            let Some(&byte) = self.bytes.get(self.at) else { return Err(SyntaxError::End) };
            self.at += 1;
            match byte {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                0..0x20 => return Err(SyntaxError::Byte { byte, context: "in string literal" }),
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Result<(), SyntaxError> {
        match self.next() {
            b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => Ok(()),
            b'u' => (0..4).try_for_each(|_| match self.next() {
                byte if byte.is_ascii_hexdigit() => Ok(()),
                byte => Err(SyntaxError::Byte { byte, context: "in \\u hexadecimal character escape" }),
            }),
            byte => Err(SyntaxError::Byte { byte, context: "in string escape code" }),
        }
    }

    fn digits(&mut self) {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    fn digit(&mut self, context: &'static str) -> Result<u8, SyntaxError> {
        match self.next() {
            byte if byte.is_ascii_digit() => Ok(byte),
            byte => Err(SyntaxError::Byte { byte, context }),
        }
    }

    fn number(&mut self, first: u8) -> Result<(), SyntaxError> {
        let first = if first == b'-' { self.digit("in numeric literal")? } else { first };
        if first != b'0' {
            self.digits();
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digit("after decimal point in numeric literal")?;
            self.digits();
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digit("in exponent of numeric literal")?;
            self.digits();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_json_passes() {
        for text in ["null", " {} ", "[]", r#"{"a":[1,-0.5e+3,true,false,null,"\u00e9\n"],"b":{}}"#, "0", "\"\""] {
            assert_eq!(validate(text.as_bytes()), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_is_not_is_refused_in_gos_words() {
        for (text, said) in [
            ("", "unexpected end of JSON input"),
            ("{", "unexpected end of JSON input"),
            (r#"{"a""#, "unexpected end of JSON input"),
            (r#"{"a":1,}"#, "invalid character '}' looking for beginning of object key string"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("[1 2]", "invalid character '2' after array element"),
            (r#"{"a" 1}"#, "invalid character '1' after object key"),
            (r#"{"a":1 "b":2}"#, "invalid character '\"' after object key:value pair"),
            ("{} x", "invalid character 'x' after top-level value"),
            ("tru", "invalid character ' ' in literal true (expecting 'e')"),
            ("nul0", "invalid character '0' in literal null (expecting 'l')"),
            ("-", "invalid character ' ' in numeric literal"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("1e", "invalid character ' ' in exponent of numeric literal"),
            ("01", "invalid character '1' after top-level value"),
            ("\"a\nb\"", "invalid character '\\n' in string literal"),
            (r#""\x""#, "invalid character 'x' in string escape code"),
            (r#""\u12g4""#, "invalid character 'g' in \\u hexadecimal character escape"),
            ("'a'", r"invalid character '\'' looking for beginning of value"),
        ] {
            assert_eq!(validate(text.as_bytes()).unwrap_err().to_string(), said, "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_not_recursed_into() {
        let deep = "[".repeat(1_000_000);
        let error = validate(deep.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "invalid character '[' exceeded max depth");
    }
}
