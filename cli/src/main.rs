//! The one binary. Called `etcd`, it is the store with etcd's flags; called anything else, its first word says the role.
//!
//! `fairlead store` hands its words over untouched, since etcd's flags follow Go's rules and not clap's.

mod etcd_flags;
mod role;
mod shutdown;
mod telemetry;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Allocation was a tenth of a put's CPU with glibc's; see `docs/decisions/0016-allocator-and-link-time-optimisation.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A store that etcd's clients cannot tell from etcd.
#[derive(Debug, Parser)]
#[command(name = "fairlead", version, about)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Run one member of the store; takes etcd's flags (see `fairlead store --help`).
    #[command(disable_help_flag = true)]
    Store {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Run three members on this machine, and a prompt to break them with.
    Demo(role::demo::Args),
    /// Break a cluster under load and judge whether it kept its promises.
    Chaos(role::chaos::Chaos),
    /// Measure the store beside a real etcd, in one run.
    Bench(role::bench::Args),
    /// Inspect and restore what `etcdctl snapshot save` fetched.
    Snapshot(role::snapshot::Snapshot),
}

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_default();
    if Path::new(&program).file_name().is_some_and(|name| name == "etcd") {
        return role::store::run(words);
    }
    match Arguments::parse().role {
        Role::Store { args } => role::store::run(args),
        Role::Demo(args) => role::demo::run(&args).unwrap_or_else(|error| {
            eprintln!("fairlead demo: {error:#}");
            ExitCode::FAILURE
        }),
        Role::Chaos(chaos) => role::chaos::run(&chaos),
        Role::Bench(args) => role::bench::run(&args),
        Role::Snapshot(snapshot) => role::snapshot::run(&snapshot),
    }
}
