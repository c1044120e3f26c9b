//! Bytes in memory aligned to a block, as O_DIRECT asks for, without unsafe code: a larger vector and an aligned part of it.

use super::BLOCK_BYTES;

/// A growing buffer whose first byte is aligned to [`BLOCK_BYTES`] and whose capacity is whole blocks.
#[derive(Debug, Default)]
pub struct Buffer {
    /// Longer than needed; all initialised.
    raw: Vec<u8>,
    /// Where the aligned part begins in `raw`.
    start: usize,
    /// Bytes in use from `start`.
    length: usize,
}

impl Buffer {
    /// A buffer of `length` zero bytes.
    #[must_use]
    pub fn zeroed(length: usize) -> Self {
        let raw = vec![0; length.next_multiple_of(BLOCK_BYTES) + BLOCK_BYTES];
        let start = raw.as_ptr().align_offset(BLOCK_BYTES);
        Self { raw, start, length }
    }

    /// Bytes in use.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing is in use.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Bytes held in memory.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.raw.len()
    }

    /// The bytes in use.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.raw[self.start..self.start + self.length]
    }

    /// The bytes in use, to be changed.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.raw[self.start..self.start + self.length]
    }

    /// Appends bytes.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        let end = self.start + self.length;
        self.raw[end..end + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    /// Cuts or extends with zero bytes to `length`.
    pub fn resize(&mut self, length: usize) {
        if length > self.length {
            self.reserve(length - self.length);
            self.raw[self.start + self.length..self.start + length].fill(0);
        }
        self.length = length;
    }

    /// Drops the first `count` bytes; what is left is aligned again. Gives memory back that exceeds `keep_bytes_max`.
    ///
    /// # Panics
    /// If fewer than `count` bytes are in use.
    pub fn drain_front(&mut self, count: usize, keep_bytes_max: usize) {
        let left = self.length - count;
        if self.capacity() > keep_bytes_max.max(left) + 2 * BLOCK_BYTES {
            let mut smaller = Buffer::zeroed(keep_bytes_max.max(left));
            smaller.length = left;
            smaller.as_mut_slice().copy_from_slice(&self.as_slice()[count..]);
            *self = smaller;
        } else {
            let from = self.start + count;
            self.raw.copy_within(from..from + left, self.start);
            self.length = left;
        }
    }

    fn reserve(&mut self, more: usize) {
        let needed = self.length + more;
        if self.raw.len().saturating_sub(self.start) < needed.next_multiple_of(BLOCK_BYTES) {
            let mut larger = Buffer::zeroed(needed.max(2 * self.length));
            larger.length = self.length;
            larger.as_mut_slice().copy_from_slice(self.as_slice());
            *self = larger;
        }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_aligned_while_it_grows_and_shrinks() {
        let mut buffer = Buffer::default();
        let mut expected = Vec::new();
        for round in 0..200_u32 {
            let piece = vec![u8::try_from(round % 251).unwrap(); 777];
            buffer.extend(&piece);
            expected.extend_from_slice(&piece);
            assert_eq!(buffer.as_slice(), expected);
            assert_eq!(buffer.as_slice().as_ptr().align_offset(BLOCK_BYTES), 0);
            if round % 7 == 0 {
                let count = expected.len() / 2;
                buffer.drain_front(count, 4 * BLOCK_BYTES);
                expected.drain(..count);
                assert!(buffer.capacity() <= 6 * BLOCK_BYTES + expected.len());
            }
        }
        buffer.resize(expected.len() + 5000);
        assert!(buffer.as_slice()[expected.len()..].iter().all(|byte| *byte == 0));
    }
}
