//! `fairlead chaos check`.

use std::io;
use std::path::PathBuf;

use fairlead_chaos_tests::run;

use super::{say, status};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The history.
    history: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<u8> {
    let (verdict, judged) = run::check_file(&args.history)?;
    println!("{:8} {}", say::word(verdict), args.history.display());
    say::judged(&mut io::stdout().lock(), &judged, true)?;
    Ok(status(verdict))
}
