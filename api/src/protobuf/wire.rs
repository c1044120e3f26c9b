//! Varints, tags and lengths: protobuf's wire format, both ways.

use thiserror::Error;

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// They end within a field.
    #[error("unexpected EOF")]
    End,
    /// A number of more than 64 bits.
    #[error("proto: integer overflow")]
    Overflow,
    /// A field number or wire kind that there is not.
    #[error("proto: illegal tag {0}")]
    Tag(u64),
    /// A field of another wire kind than the schema's.
    #[error("proto: wrong wireType = {wire} for field {field}")]
    Wire {
        /// The kind that came.
        wire: u8,
        /// The field, as JSON names it.
        field: &'static str,
    },
    /// Messages within messages within messages.
    #[error("proto: nested too deeply")]
    Depth,
    /// A value that its type does not take.
    #[error("{0}")]
    Value(String),
}

/// The four wire kinds that upstream's code writes, and their payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payload<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

impl Payload<'_> {
    pub(super) fn wire(self) -> u8 {
        match self {
            Payload::Varint(_) => 0,
            Payload::Fixed64(_) => 1,
            Payload::Bytes(_) => 2,
            Payload::Fixed32(_) => 5,
        }
    }
}

/// The fields of a message, in the order in which they stand.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Fields<'a> {
        Fields(message)
    }

    /// The next field; groups are passed over.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Payload<'a>)>, Error> {
        let mut groups = 0usize;
        loop {
            if self.0.is_empty() {
                return if groups == 0 { Ok(None) } else { Err(Error::End) };
            }
            let tag = self.varint()?;
            let number = u32::try_from(tag >> 3).ok().filter(|number| (1..1 << 29).contains(number));
            let number = number.ok_or(Error::Tag(tag))?;
            let payload = match tag & 7 {
                0 => Payload::Varint(self.varint()?),
                1 => Payload::Fixed64(u64::from_le_bytes(self.array()?)),
                2 => {
                    let length = usize::try_from(self.varint()?).map_err(|_| Error::End)?;
                    Payload::Bytes(self.take(length)?)
                }
                3 => {
                    groups += 1;
                    continue;
                }
                4 if groups > 0 => {
                    groups -= 1;
                    continue;
                }
                5 => Payload::Fixed32(u32::from_le_bytes(self.array()?)),
                _ => return Err(Error::Tag(tag)),
            };
            if groups == 0 {
                return Ok(Some((number, payload)));
            }
        }
    }

    pub(super) fn varint(&mut self) -> Result<u64, Error> {
        let mut value = 0u64;
        for (at, byte) in self.0.iter().enumerate() {
            if at == 10 {
                return Err(Error::Overflow);
            }
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                self.0 = &self.0[at + 1..];
                return Ok(value);
            }
        }
        Err(Error::End)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Error::End)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (array, rest) = self.0.split_first_chunk::<N>().ok_or(Error::End)?;
        self.0 = rest;
        Ok(*array)
    }
}

pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn tag(out: &mut Vec<u8>, number: u32, wire: u8) {
    varint(out, u64::from(number) << 3 | u64::from(wire));
}

pub(super) fn put_varint(out: &mut Vec<u8>, number: u32, value: u64) {
    tag(out, number, 0);
    varint(out, value);
}

pub(super) fn put_fixed64(out: &mut Vec<u8>, number: u32, value: u64) {
    tag(out, number, 1);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    tag(out, number, 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A message of unknown length: written first, moved up by what its length needs.
pub(super) fn put_message(out: &mut Vec<u8>, number: u32, body: impl FnOnce(&mut Vec<u8>)) {
    tag(out, number, 2);
    let start = out.len();
    out.push(0);
    body(out);
    let length = out.len() - start - 1;
    if length < 0x80 {
        out[start] = length as u8;
        return;
    }
    let mut prefix = Vec::with_capacity(5);
    varint(&mut prefix, length as u64);
    out.splice(start..=start, prefix);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_every_length_are_prefixed_right() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 100_000] {
            let mut out = Vec::new();
            put_message(&mut out, 3, |out| out.resize(out.len() + length, 7));
            let mut fields = Fields::of(&out);
            let Some((3, Payload::Bytes(body))) = fields.next().unwrap() else { panic!("no field 3") };
            assert_eq!(body, vec![7; length]);
            assert_eq!(fields.next(), Ok(None));
        }
    }

    #[test]
    fn numbers_of_64_bits_come_back() {
        for value in [0, 1, 127, 128, u64::MAX, 1 << 63] {
            let mut out = Vec::new();
            put_varint(&mut out, 536_870_911, value);
            put_fixed64(&mut out, 1, value);
            let mut fields = Fields::of(&out);
            assert_eq!(fields.next(), Ok(Some((536_870_911, Payload::Varint(value)))));
            assert_eq!(fields.next(), Ok(Some((1, Payload::Fixed64(value)))));
        }
    }

    #[test]
    fn what_is_cut_or_mad_is_refused() {
        for (bytes, error) in [
            (&[0x08][..], Error::End),
            (&[0x12, 5, 1], Error::End),
            (&[0x00, 1], Error::Tag(0)),
            (&[0x0e, 1], Error::Tag(14)),
            (&[0x0c], Error::Tag(12)),
            (&[0x0b, 0x08, 1], Error::End),
            (&[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], Error::Overflow),
        ] {
            assert_eq!(Fields::of(bytes).next(), Err(error), "{bytes:?}");
        }
        let group_then_field = [0x0b, 0x10, 1, 0x0c, 0x18, 2];
        assert_eq!(Fields::of(&group_then_field).next(), Ok(Some((3, Payload::Varint(2)))));
    }
}
