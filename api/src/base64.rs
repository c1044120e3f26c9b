//! Base64 as Go's `StdEncoding` reads and writes it: with padding, line ends ignored, errors by the offset of the bad byte.

use thiserror::Error;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Text that is no base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("illegal base64 data at input byte {0}")]
pub(crate) struct Corrupt(pub(crate) usize);

/// The text of bytes.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().enumerate().fold(0u32, |word, (at, byte)| word | u32::from(*byte) << (16 - 8 * at));
        for at in 0..4 {
            let letter = ALPHABET[(word >> (18 - 6 * at) & 63) as usize];
            out.push(if at <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

fn letter(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

/// The bytes of text.
///
/// # Errors
/// At the first byte that cannot be.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, Corrupt> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len() / 4 * 3);
    let mut letters = bytes.iter().enumerate().filter(|(_, byte)| !matches!(byte, b'\r' | b'\n'));
    loop {
        let (mut word, mut got) = (0u32, 0usize);
        while got < 4 {
            match letters.next() {
                None if got == 0 => return Ok(out),
                None => return Err(Corrupt(bytes.len() - got)),
                Some((at, b'=')) => {
                    if got < 2 {
                        return Err(Corrupt(at));
                    }
                    if got == 2 {
                        match letters.next() {
                            Some((_, b'=')) => {}
                            Some((at, _)) => return Err(Corrupt(at - 1)),
                            None => return Err(Corrupt(bytes.len())),
                        }
                    }
                    if let Some((at, _)) = letters.next() {
                        return Err(Corrupt(at));
                    }
                    out.extend_from_slice(&(word << (8 + 6 * (4 - got))).to_be_bytes()[..got - 1]);
                    return Ok(out);
                }
                Some((at, byte)) => word = word << 6 | letter(*byte).ok_or(Corrupt(at))?,
            }
            got += 1;
        }
        out.extend_from_slice(&word.to_be_bytes()[1..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_every_length_come_back() {
        for length in 0..20u8 {
            let bytes: Vec<u8> = (0..length).map(|each| each.wrapping_mul(37) ^ 0xf0).collect();
            assert_eq!(decode(&encode(&bytes)), Ok(bytes));
        }
        assert_eq!(encode(b"hello"), "aGVsbG8=");
        assert_eq!(decode("aGVs\r\nbG8="), Ok(b"hello".to_vec()));
    }

    #[test]
    fn errors_tell_the_offset_as_go_does() {
        for (text, at) in [("aGVs*G8=", 4), ("=", 0), ("aGVsb", 4), ("aG=a", 2), ("aGVsbG8=a", 8)] {
            assert_eq!(decode(text), Err(Corrupt(at)), "{text}");
        }
    }
}
