//! Scenarios by name: historical bugs as plans, and the random mix; profiles, which are lists of them.
//!
//! A name is the catalogue's id, such as `S-08`, or one of ours. Every store scenario of the catalogue is in [`ALL`]: either
//! as a plan or with the reason why it is none here.

mod build;
mod expected;
mod profile;
mod table;

pub use build::Setting;
pub use expected::{Expectation, Expected};
pub use profile::{PROFILES, Profile};
pub use table::ALL;

use crate::run::Plan;

/// One scenario.
#[derive(Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What it looks for, and where that was first seen.
    pub about: &'static str,
    /// Its plan.
    pub how: How,
}

/// Whether a scenario has a plan.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// It has.
    Plan(fn(&Setting) -> Plan),
    /// It has none here, and why.
    Not(&'static str),
}

/// The scenario of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_store_scenario_of_the_catalogue_has_a_plan_or_a_reason() {
        for number in 1..=29 {
            let name = format!("S-{number:02}");
            let scenario = find(&name).unwrap_or_else(|| panic!("{name} is missing"));
            match scenario.how {
                How::Not(reason) => assert!(reason.len() > 20, "{name}: {reason}"),
                How::Plan(plan) => {
                    for setting in [Setting { seed: 1, ours: true }, Setting { seed: 1, ours: false }] {
                        let plan = plan(&setting);
                        assert_eq!(plan.scenario, name);
                        assert!(!plan.crowds.is_empty() && plan.members > 0);
                        let text = serde_json::to_string(&plan).unwrap();
                        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
                    }
                }
            }
        }
    }

    #[test]
    fn profiles_name_scenarios_that_have_plans() {
        for profile in PROFILES {
            for name in profile.scenarios {
                assert!(matches!(find(name).map(|it| it.how), Some(How::Plan(_))), "{}: {name}", profile.name);
            }
        }
    }
}
