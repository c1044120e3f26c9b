//! `fairlead chaos list`.

use std::io::{self, Write};

use fairlead_chaos_tests::check::guarantees;
use fairlead_chaos_tests::fault::NAMES;
use fairlead_chaos_tests::scenario::{ALL, How, PROFILES};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What; everything without it.
    #[arg(value_enum)]
    what: Option<What>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum What {
    Profiles,
    Scenarios,
    Guarantees,
    Faults,
}

pub(super) fn run(args: &Args) -> anyhow::Result<u8> {
    let mut out = io::stdout().lock();
    let wanted = |what: What| args.what.is_none_or(|asked| asked == what);
    if wanted(What::Profiles) {
        writeln!(out, "Profiles")?;
        for profile in PROFILES {
            writeln!(out, "  {:10} {}: {}", profile.name, profile.about, profile.scenarios.join(" "))?;
        }
        writeln!(out, "  {:10} mixed-long again and again, for --for", "soak")?;
    }
    if wanted(What::Scenarios) {
        writeln!(out, "Scenarios")?;
        for scenario in ALL {
            writeln!(out, "  {:10} {}", scenario.name, scenario.about)?;
            if let How::Not(reason) = scenario.how {
                writeln!(out, "  {:10}   not here: {reason}", "")?;
            }
        }
    }
    if wanted(What::Guarantees) {
        writeln!(out, "Guarantees")?;
        for (id, checker, promise) in guarantees() {
            writeln!(out, "  {:10} {checker}: {promise}", id.to_string())?;
        }
    }
    if wanted(What::Faults) {
        writeln!(out, "Faults")?;
        for (id, name) in NAMES {
            writeln!(out, "  {id:10} {name}")?;
        }
    }
    Ok(0)
}
