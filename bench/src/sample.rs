//! What one repetition of a workload on one target saw.

use std::collections::BTreeMap;

use serde::Serialize;

/// The part of operations that may fail before a sample proves nothing.
pub const ERRORS_PART_MAX: f64 = 0.001;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Operations, keys or events a second: the workload says which.
    Rate,
    /// Half took no longer, milliseconds.
    P50,
    /// 99 of 100 took no longer, milliseconds.
    P99,
    /// CPU of all members for one of what [`Rate`](Figure::Rate) counts, microseconds.
    Cpu,
    /// Puts a second beside what is measured.
    PutRate,
    /// p50 of the puts beside what is measured, milliseconds.
    PutP50,
    /// p99 of the puts beside what is measured, milliseconds.
    PutP99,
    /// fdatasync calls of all members for an operation, by their own metrics.
    Syncs,
    /// Growth of resident memory of all members, bytes a key.
    Memory,
    /// Bytes that all members have written to disk, a put.
    Written,
    /// What one member's files take after compaction, in payloads.
    Disk,
    /// From kill -9 to the first linearizable read of that member, milliseconds.
    Restart,
}

impl Figure {
    /// Its name in a table, with the unit; `counted` is what the workload counts.
    pub fn label(self, counted: &str) -> String {
        match self {
            Figure::Rate => format!("{counted}s/s"),
            Figure::P50 => "p50 ms".to_owned(),
            Figure::P99 => "p99 ms".to_owned(),
            Figure::Cpu => format!("CPU us/{counted}"),
            Figure::PutRate => "puts/s meanwhile".to_owned(),
            Figure::PutP50 => "put p50 ms".to_owned(),
            Figure::PutP99 => "put p99 ms".to_owned(),
            Figure::Syncs => format!("syncs/{counted}"),
            Figure::Memory => "memory B/key".to_owned(),
            Figure::Written => "written B/put".to_owned(),
            Figure::Disk => "disk x payload".to_owned(),
            Figure::Restart => "kill -9 to serving ms".to_owned(),
        }
    }
}

/// What one repetition saw.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sample {
    /// The figures.
    pub figures: BTreeMap<Figure, f64>,
    /// Operations that succeeded.
    pub operations: u64,
    /// Operations that failed.
    pub errors: u64,
    /// What the first of them said.
    pub first_error: Option<String>,
    /// Events that a watcher should have seen and has not.
    pub missing: u64,
    /// Why the figures prove nothing, if so.
    pub invalid: Option<String>,
}

impl Sample {
    /// Sets a figure.
    #[must_use]
    pub(crate) fn with(mut self, figure: Figure, value: f64) -> Sample {
        self.figures.insert(figure, value);
        self
    }

    /// Sets a figure where there is one.
    #[must_use]
    pub(crate) fn with_some(self, figure: Figure, value: Option<f64>) -> Sample {
        match value {
            Some(value) => self.with(figure, value),
            None => self,
        }
    }

    /// Says that the sample proves nothing, unless that is known already.
    pub(crate) fn refuse(&mut self, why: impl FnOnce() -> String) {
        self.invalid.get_or_insert_with(why);
    }

    /// Refuses itself where too much failed, something is missing or nothing was done.
    #[must_use]
    pub(crate) fn judged(mut self) -> Sample {
        let (operations, errors, missing) = (self.operations, self.errors, self.missing);
        if operations == 0 || errors as f64 > (operations + errors) as f64 * ERRORS_PART_MAX {
            let said = self.first_error.clone().unwrap_or_default();
            self.refuse(|| format!("{errors} of {} operations failed: {said}", operations + errors));
        }
        if missing > 0 {
            self.refuse(|| format!("{missing} events are missing"));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_with_errors_above_the_bound_is_invalid() {
        let sample = |operations, errors| Sample { operations, errors, ..Sample::default() }.judged();
        assert_eq!(sample(10_000, 10).invalid, None);
        assert!(sample(10_000, 11).invalid.unwrap().starts_with("11 of 10011 operations failed"));
        assert!(sample(0, 0).invalid.is_some());
    }

    #[test]
    fn a_missing_event_makes_a_sample_invalid() {
        let sample = Sample { operations: 1, missing: 1, ..Sample::default() }.judged();
        assert_eq!(sample.invalid.as_deref(), Some("1 events are missing"));
    }
}
