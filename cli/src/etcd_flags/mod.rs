//! etcd's settings as etcd takes them: flags, `ETCD_*` variables and the YAML file, merged into one `Config`.
//!
//! ```text
//! command line ── args ────────┐
//! ETCD_* ──────── environment ─┼─► settings (flag over environment over file over default) ─► to_config ─► Config
//! --config-file ─ file ────────┘         └─► notices: one log line for each override, alias and flag without effect
//! ```
//! Promises: every flag of etcd 3.4 to 3.7 parses by Go's rules; an unknown one is refused with its nearest match.
//! Differs from etcd on purpose where etcd refuses or ignores: see `docs/decisions/0014-settings-are-merged.md`.
//! Does not: log (logging is one of the settings), touch the data dir, resolve names.
//! Source: etcd `server/etcdmain/{config,help}.go`, `pkg/flags`; Go `flag`.

mod args;
mod environment;
mod file;
mod help;
mod logging;
mod nearest;
mod notice;
mod settings;
mod table;
mod to_config;
mod value;

use std::ffi::OsString;
use std::path::Path;

use fairlead_store::config::{Config, Invalid};

pub(crate) use help::{usage, version};
pub(crate) use logging::{LogFormat, LogLevel, LogOutput, Logging};
pub(crate) use notice::Notice;

use settings::Settings;

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    /// Print the usage, exit 0.
    Help,
    /// Print the version, exit 0.
    Version,
    /// Serve.
    Serve(Box<Serve>),
}

/// Everything a member needs to start.
#[derive(Debug)]
pub(crate) struct Serve {
    /// The store's settings, valid.
    pub(crate) config: Config,
    /// Where logs go.
    pub(crate) logging: Logging,
    /// What must be logged once logging works.
    pub(crate) notices: Vec<Notice>,
}

/// A refusal, with the status that the process exits with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line itself is wrong: exit 2, as in etcd.
    #[error("{0}")]
    Usage(Invalid),
    /// A setting is wrong: exit 1, as in etcd.
    #[error("{0}")]
    Setting(Invalid),
}

impl Error {
    /// The exit status (etcd: flag error 2, config error 1).
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Error::Usage(_) => 2,
            Error::Setting(_) => 1,
        }
    }
}

/// Reads all three sources and merges them.
///
/// # Errors
/// `Usage` for a command line that does not parse, `Setting` for everything else that is refused.
pub(crate) fn parse(
    args: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    read_file: impl Fn(&Path) -> std::io::Result<String>,
) -> Result<Request, Error> {
    let mut settings = Settings::default();
    match args::parse(args, &mut settings).map_err(Error::Usage)? {
        args::Asked::Help => return Ok(Request::Help),
        args::Asked::Settings => {}
    }
    if settings.flag("version").map_err(Error::Usage)? {
        return Ok(Request::Version);
    }
    environment::parse(environment, &mut settings).map_err(Error::Setting)?;
    if let Some(path) = settings.path("config-file") {
        file::parse(&path, read_file, &mut settings).map_err(Error::Setting)?;
    }
    let (config, logging) = settings.to_config().map_err(Error::Setting)?;
    let notices = settings.into_notices();
    Ok(Request::Serve(Box::new(Serve { config, logging, notices })))
}

#[cfg(test)]
mod etcd_flags_test;
