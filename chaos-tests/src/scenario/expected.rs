//! What a control target is known to violate, from a file for each version.
//!
//! An expectation that is not met fails a control run just as an unexpected violation does: then the net has a hole.

use crate::check::InvariantId;
use crate::run::Ran;

/// The files, by the version that a target tells.
const FILES: &[(&str, &str)] =
    &[("3.4.23", include_str!("../../expected/etcd-3.4.23")), ("3.5.1", include_str!("../../expected/etcd-3.5.1"))];

/// One line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// In which scenario; `*` for any.
    pub scenario: String,
    /// Whether it has to be found.
    pub must: bool,
    /// Which guarantee.
    pub invariant: String,
    /// Why.
    pub why: String,
}

/// All that is known of a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected(Vec<Expectation>);

impl Expected {
    /// What is known of a version; nothing of one that has no file.
    #[must_use]
    pub fn of(version: &str) -> Expected {
        let file = FILES.iter().find(|(known, _)| *known == version);
        Expected(file.map(|(_, text)| parse(text)).unwrap_or_default())
    }

    /// Whether a scenario has something that must be found.
    #[must_use]
    pub fn wants(&self, scenario: &str) -> bool {
        self.0.iter().any(|it| it.must && it.scenario == scenario)
    }

    /// Why a violation of a guarantee in a scenario is no news of this version; `None` where it is.
    #[must_use]
    pub fn known(&self, scenario: &str, invariant: InvariantId) -> Option<String> {
        let invariant = invariant.to_string();
        let of_it = |it: &&Expectation| it.invariant == invariant && (it.scenario == scenario || it.scenario == "*");
        // A line that says "the same" means the one above it in its scenario.
        let place = self.0.iter().position(|it| of_it(&it))?;
        let scenario = &self.0[place].scenario;
        let above = self.0[..=place].iter().rev().filter(|it| it.scenario == *scenario);
        above.map(|it| &it.why).find(|why| !why.starts_with("the same")).cloned()
    }

    /// What of a run is not as it is known, in words; empty when all is.
    #[must_use]
    pub fn surprises(&self, ran: &Ran) -> Vec<String> {
        let found: Vec<String> = ran.violated().map(|judged| judged.invariant.to_string()).collect();
        let known: Vec<&Expectation> =
            self.0.iter().filter(|it| it.scenario == ran.scenario || it.scenario == "*").collect();
        let unexpected = found.iter().filter(|found| !known.iter().any(|it| it.invariant == **found));
        let missing = known.iter().filter(|it| it.must && !found.contains(&it.invariant));
        let mut surprises: Vec<String> =
            unexpected.map(|found| format!("{found} is violated, which is not known of this version")).collect();
        surprises.extend(missing.map(|it| format!("{} is not found, which must be: {}", it.invariant, it.why)));
        surprises.sort();
        surprises.dedup();
        surprises
    }
}

fn parse(text: &str) -> Vec<Expectation> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some(Expectation {
                scenario: words.next()?.to_owned(),
                must: words.next()? == "must",
                invariant: words.next()?.to_owned(),
                why: words.collect::<Vec<_>>().join(" "),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_every_file_is_understood_and_names_a_scenario() {
        for (version, text) in FILES {
            let lines = text.lines().filter(|line| !line.starts_with('#')).count();
            let expected = parse(text);
            assert_eq!(expected.len(), lines, "{version}");
            for it in expected {
                let known = it.scenario == "*" || crate::scenario::find(&it.scenario).is_some();
                assert!(known, "{version}: {}", it.scenario);
                assert!(it.invariant.starts_with("I-") && !it.why.is_empty(), "{version}: {it:?}");
            }
        }
        let known = Expected::of("3.4.23");
        assert!(known.wants("S-08") && !Expected::of("9.9").wants("S-08"));
        let why = known.known("S-08", InvariantId(29)).unwrap();
        assert!(why.starts_with("etcd#15271"), "{why}");
        assert!(known.known("S-01", InvariantId(25)).unwrap().starts_with("etcd#15220"));
        assert_eq!(known.known("S-08", InvariantId(4)), None);
    }
}
