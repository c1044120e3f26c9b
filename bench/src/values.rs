//! Values that do not compress, so that a server which compresses its disk gains nothing here.
//!
//! All are slices of one pool of pseudo-random bytes: handing one out copies nothing.

use std::sync::LazyLock;

use bytes::Bytes;

const POOL_BYTES: usize = 1 << 20;

static POOL: LazyLock<Bytes> = LazyLock::new(|| {
    let mut random = Random::new(1);
    (0..POOL_BYTES / 8).flat_map(|_| random.next().to_le_bytes()).collect()
});

/// A value of so many bytes, at most 64 KiB.
pub(crate) fn value(random: &mut Random, bytes: usize) -> Bytes {
    let from = random.below((POOL_BYTES - (1 << 16)) as u64) as usize;
    POOL.slice(from..from + bytes.min(1 << 16))
}

/// A small generator (splitmix64): what it costs must not show in a client's time.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Another sequence for each seed.
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0xd134_2543_de82_ef95))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `bound`, which is not 0; the bias of a modulus is nothing beside 64 bits.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn values_have_their_length_and_differ() {
        let mut random = Random::new(7);
        let values: BTreeSet<Bytes> = (0..1_000).map(|_| value(&mut random, 256)).collect();
        assert!(values.len() > 990 && values.iter().all(|value| value.len() == 256));
    }

    #[test]
    fn numbers_cover_their_range() {
        let mut random = Random::new(3);
        let seen: BTreeSet<u64> = (0..1_000).map(|_| random.below(10)).collect();
        assert_eq!(seen, (0..10).collect());
    }
}
