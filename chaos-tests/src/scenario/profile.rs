//! Profiles: lists of scenarios for an occasion.

/// A list of scenarios.
#[derive(Debug)]
pub struct Profile {
    /// Its name.
    pub name: &'static str,
    /// When it is for, and how long it takes.
    pub about: &'static str,
    /// What it runs, in this order.
    pub scenarios: &'static [&'static str],
    /// Whether the target is known to be bad: what it violates is held against the expectations of its version.
    pub is_control: bool,
}

/// The profiles. A soak is a scenario again and again; it is none of these.
pub static PROFILES: &[Profile] = &[
    Profile {
        name: "smoke",
        about: "every change; at most 3 minutes",
        scenarios: &["short", "S-08", "mixed"],
        is_control: false,
    },
    Profile {
        name: "pr",
        about: "every change, the long part; at most 12 minutes",
        scenarios: &[
            "mixed", "S-01", "S-02", "S-04", "S-05", "S-07", "S-08", "S-10", "S-11", "S-13", "S-15", "S-16", "S-17",
            "S-20", "S-21", "S-23", "S-24", "S-26",
        ],
        is_control: false,
    },
    Profile {
        name: "control",
        about: "a real etcd, whose known faults must be found; at most 10 minutes",
        scenarios: &["short", "S-01", "S-08", "S-12", "S-17"],
        is_control: true,
    },
];
