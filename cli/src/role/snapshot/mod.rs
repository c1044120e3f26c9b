//! `fairlead snapshot`: what `etcdutl snapshot` does for etcd's files, for ours. Works on files only; needs no member.
//!
//! Source of flags and output: etcd `etcdutl/etcdutl/{snapshot_command,printer*}.go`.

mod restore;
mod status;

use std::process::ExitCode;

/// Inspects and restores what `etcdctl snapshot save` fetched.
#[derive(Debug, clap::Args)]
pub(crate) struct Snapshot {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Verifies a snapshot file and says what it holds.
    Status(status::Status),
    /// Makes the data dir of a new cluster's member out of a snapshot file.
    Restore(restore::Restore),
}

/// Runs the role.
pub(crate) fn run(snapshot: &Snapshot) -> ExitCode {
    let out = &mut std::io::stdout().lock();
    let done = match &snapshot.command {
        Command::Status(flags) => status::run(flags, out),
        Command::Restore(flags) => restore::run(flags, out),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
