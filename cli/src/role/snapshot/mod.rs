//! `fairlead snapshot`: what `etcdutl snapshot` does for etcd's files, for ours. Works on files only; needs no member.
//!
//! Source of flags and output: etcd `etcdutl/etcdutl/{snapshot_command,printer*}.go`.

mod status;

use std::process::ExitCode;

/// Inspects what `etcdctl snapshot save` fetched.
#[derive(Debug, clap::Args)]
pub(crate) struct Snapshot {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Verifies a snapshot file and says what it holds.
    Status(status::Status),
}

/// Runs the role.
pub(crate) fn run(snapshot: &Snapshot) -> ExitCode {
    let done = match &snapshot.command {
        Command::Status(status) => status::run(status, &mut std::io::stdout().lock()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
