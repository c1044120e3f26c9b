//! `fairlead chaos doctor`.

use fairlead_chaos_tests::fault::doctor;
use fairlead_chaos_tests::fault::ledger::{Undo, undo_abandoned};
use fairlead_chaos_tests::run::target::Candidate;

use super::play::Places;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Undo what killed runs have left, and examine nothing.
    #[arg(long)]
    undo: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<u8> {
    let places = Places::new(None, None)?;
    if args.undo {
        let undone = undo_abandoned(&places.ledgers())?;
        for undo in &undone {
            match undo {
                Undo::Kill(process) => println!("killed process {}", process.pid),
                Undo::Resume(process) => println!("let process {} go on", process.pid),
                Undo::Detach(process) => println!("detached tracer {}", process.pid),
                Undo::Folder(path) => println!("removed {}", path.display()),
            }
        }
        println!("{} things were left by killed runs", undone.len());
        return Ok(0);
    }
    for it in doctor::examine() {
        match it.result {
            Ok(seen) => println!("yes  {:24} {}: {seen}", it.faults, it.what),
            Err(why) => println!("no   {:24} {}: {why}", it.faults, it.what),
        }
    }
    for name in ["fairlead", "etcd"] {
        match Candidate::find(name, &places.cache) {
            Ok(found) => println!("yes  target {name:17} {} at {}", found.version, found.program.program().display()),
            Err(error) => println!("no   target {name:17} {error}"),
        }
    }
    Ok(0)
}
