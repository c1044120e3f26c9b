//! Latencies in a histogram of fixed size: what a client's thousands of operations took, to within 1 %.
//!
//! Buckets are 64 to each power of two of nanoseconds, so that the error is the same part of a small value as of a large one.
//! Histograms of clients are added. Does not keep the order, and nothing beyond [`LONGEST`].

use std::time::Duration;

/// Each power of two has `1 << SUB_BITS` buckets.
const SUB_BITS: u32 = 6;
const SUBS: usize = 1 << SUB_BITS;
const LONGEST_BITS: u32 = 37;

/// Longer ones count as this long: 137 s.
pub const LONGEST: Duration = Duration::from_nanos((1 << LONGEST_BITS) - 1);

/// A histogram of latencies.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    /// Empty until the first one.
    counts: Vec<u32>,
    total: u64,
}

impl Latencies {
    /// Counts one.
    pub fn record(&mut self, took: Duration) {
        if self.counts.is_empty() {
            self.counts = vec![0; bucket(LONGEST) + 1];
        }
        let bucket = bucket(took);
        self.counts[bucket] = self.counts[bucket].saturating_add(1);
        self.total += 1;
    }

    /// Adds another client's.
    pub fn add(&mut self, other: &Latencies) {
        if self.counts.is_empty() {
            self.counts.clone_from(&other.counts);
        } else {
            for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
                *mine = mine.saturating_add(*theirs);
            }
        }
        self.total += other.total;
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The latency that this part of all (0 to 1) did not exceed; `None` where there is none.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let rank = ((self.total as f64 * part).ceil() as u64).clamp(1, self.total.max(1));
        let mut below = 0;
        let found = self.counts.iter().position(|count| {
            below += u64::from(*count);
            below >= rank
        });
        found.map(middle)
    }

    /// The shortest, to the histogram's precision.
    pub fn shortest(&self) -> Option<Duration> {
        self.counts.iter().position(|count| *count > 0).map(middle)
    }
}

fn bucket(took: Duration) -> usize {
    let nanos = took.min(LONGEST).as_nanos() as u64;
    let bits = u64::BITS - nanos.leading_zeros();
    let shift = bits.saturating_sub(SUB_BITS + 1);
    shift as usize * SUBS + (nanos >> shift) as usize
}

fn middle(bucket: usize) -> Duration {
    // Values of up to SUB_BITS + 1 bits have a bucket each.
    let shift = (bucket / SUBS).saturating_sub(1);
    let lowest = ((bucket - shift * SUBS) as u64) << shift;
    Duration::from_nanos(lowest + (1 << shift) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_is_kept_to_within_one_percent() {
        for nanos in (0..60).flat_map(|power| [1u64 << power, (1 << power) + (1 << power) / 3]) {
            let wanted = Duration::from_nanos(nanos).min(LONGEST);
            let kept = middle(bucket(wanted));
            let off = wanted.abs_diff(kept).as_secs_f64() / wanted.as_secs_f64();
            assert!(off <= 0.01, "{wanted:?} is kept as {kept:?}");
        }
    }

    #[test]
    fn buckets_are_in_order_and_without_holes() {
        let last = bucket(LONGEST);
        assert_eq!(bucket(Duration::from_secs(1_000)), last);
        assert!((0..=last).all(|it| bucket(middle(it)) == it));
    }

    #[test]
    fn a_quantile_is_the_value_at_its_rank() {
        let mut latencies = Latencies::default();
        assert_eq!((latencies.quantile(0.5), latencies.shortest()), (None, None));
        for micros in 1..=100 {
            latencies.record(Duration::from_micros(micros));
        }
        let micros = |part| latencies.quantile(part).unwrap().as_nanos() as f64 / 1_000.0;
        for (part, wanted) in [(0.0, 1.0), (0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
            assert!((micros(part) - wanted).abs() / wanted < 0.01, "{part}: {}", micros(part));
        }
        assert!(latencies.shortest().unwrap() < Duration::from_nanos(1_010));
    }

    #[test]
    fn histograms_add_up() {
        let (mut sum, mut other) = (Latencies::default(), Latencies::default());
        other.record(Duration::from_millis(3));
        sum.add(&other);
        other.record(Duration::from_millis(1));
        sum.add(&other);
        assert_eq!(sum.count(), 3);
        assert_eq!(sum.quantile(0.5), Some(middle(bucket(Duration::from_millis(3)))));
    }
}
