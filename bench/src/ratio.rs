//! Medians over repetitions, and the ratio of two targets with its spread.
//!
//! The spread is that of the repetitions taken in pairs, since the two of a pair ran one right after the other and shared what
//! the machine was doing. Pure.

use serde::Serialize;

/// The middle value; the mean of both for an even number. `None` for none.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// One target's figure in terms of another's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// Median over median.
    pub of_medians: f64,
    /// The least of the pairs.
    pub least: f64,
    /// The greatest of the pairs.
    pub most: f64,
}

impl Ratio {
    /// The ratio of `ours` to `theirs`, both in the order of the repetitions; `None` where there is nothing to divide by.
    pub fn of(ours: &[f64], theirs: &[f64]) -> Option<Ratio> {
        let (our_median, their_median) = (median(ours)?, median(theirs)?);
        let pairs = ours.iter().zip(theirs).filter(|(_, theirs)| **theirs != 0.0).map(|(ours, theirs)| ours / theirs);
        let pairs: Vec<f64> = pairs.collect();
        (their_median != 0.0 && !pairs.is_empty()).then(|| Ratio {
            of_medians: our_median / their_median,
            least: pairs.iter().copied().fold(f64::INFINITY, f64::min),
            most: pairs.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_one() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn a_ratio_is_of_medians_and_its_spread_of_pairs() {
        let ratio = Ratio::of(&[2.0, 4.0, 9.0], &[1.0, 4.0, 3.0]).unwrap();
        assert_eq!(ratio, Ratio { of_medians: 4.0 / 3.0, least: 1.0, most: 3.0 });
    }

    #[test]
    fn there_is_no_ratio_to_nothing() {
        assert_eq!(Ratio::of(&[1.0], &[]), None);
        assert_eq!(Ratio::of(&[1.0], &[0.0]), None);
    }
}
