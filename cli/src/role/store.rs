//! `fairlead store`, and the binary under the name `etcd`: settings, logs, signals and a runtime around the store.
//!
//! Developers' variables, which are no settings: `FAIRLEAD_RUNTIME_WORKERS` (threads of the runtime; 1 runs all on the
//! main thread), `FAIRLEAD_LOG` (see `telemetry`), and gofail's in builds with failpoints: `GOFAIL_HTTP` (a loopback address
//! where they can be armed) and `GOFAIL_FAILPOINTS`.
//! Exit status: 0 after `--help` and `--version`, 2 for a wrong command line, 1 for a wrong setting or a failure,
//! 143 or 130 after a signal.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use fairlead_store::config::{Config, ETCD_VERSION};
use tokio_util::sync::CancellationToken;

use crate::etcd_flags::{self, Request, Serve};
use crate::shutdown::Shutdown;
use crate::telemetry;

/// gofail's variable with failpoints to arm at the start: `name=terms;name=terms`.
const GOFAIL_FAILPOINTS: &str = "GOFAIL_FAILPOINTS";

/// gofail's variable with the loopback address on which failpoints can be armed.
const GOFAIL_HTTP: &str = "GOFAIL_HTTP";

/// Up to this many cores everything runs on one thread: more would only contend with the log's flusher and RocksDB.
const SINGLE_THREAD_CORES_MAX: usize = 2;

/// Runs the role with the words that follow its name.
pub(crate) fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    match etcd_flags::parse(args, std::env::vars_os(), |path| std::fs::read_to_string(path)) {
        Ok(Request::Help) => print(&etcd_flags::usage()),
        Ok(Request::Version) => print(&etcd_flags::version()),
        Ok(Request::Serve(serve)) => match run_server(*serve) {
            Ok(status) => ExitCode::from(status),
            Err(error) => {
                complain(format_args!("{error:#}"));
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            complain(&error);
            ExitCode::from(error.exit_status())
        }
    }
}

fn run_server(serve: Serve) -> anyhow::Result<u8> {
    let Serve { config, logging, notices } = serve;
    telemetry::start(&logging)?;
    telemetry::abort_on_panic();
    tracing::info!(
        "etcd-version" = ETCD_VERSION,
        version = env!("CARGO_PKG_VERSION"),
        "starting a member of the store"
    );
    for notice in &notices {
        notice.log();
    }
    if let Err(error) = raise_open_files_limit() {
        tracing::warn!(error = &error as &dyn std::error::Error, "cannot raise the limit on open files");
    }
    offer_failpoints()?;
    let runtime = runtime()?;
    let shutdown = Shutdown::listen().context("cannot listen for signals")?;
    let result = runtime.block_on(serve_store(config, shutdown.token()));
    if let Err(error) = &result {
        tracing::error!(error = format!("{error:#}"), "the store ended with an error");
    }
    // Blocking tasks that are still under way must not hold up the exit; what they do is crash-safe.
    runtime.shutdown_background();
    result.map(|()| shutdown.exit_status())
}

/// Arms what gofail's variables ask for, and opens its door; switches on the planted bug that is asked for.
#[cfg(feature = "failpoints")]
fn offer_failpoints() -> anyhow::Result<()> {
    let failpoints = std::sync::Arc::new(fairlead_store::failpoints::Failpoints::default());
    if let Ok(list) = std::env::var(GOFAIL_FAILPOINTS) {
        failpoints.arm_all(&list).context(GOFAIL_FAILPOINTS)?;
    }
    if let Ok(address) = std::env::var(GOFAIL_HTTP) {
        let bound = fairlead_store::http::failpoints::serve(&address, failpoints);
        let bound = bound.with_context(|| format!("{GOFAIL_HTTP}={address} cannot be served"))?;
        tracing::warn!(address = %bound, "failpoints can be armed over HTTP: for tests only");
    }
    if let Some(bug) = fairlead_store::planted::from_environment()? {
        tracing::warn!(bug, "a planted bug is switched on: for tests only");
    }
    Ok(())
}

/// Says that this binary has no failpoints.
#[cfg(not(feature = "failpoints"))]
fn offer_failpoints() -> anyhow::Result<()> {
    for variable in [GOFAIL_FAILPOINTS, GOFAIL_HTTP].into_iter().filter(|name| std::env::var_os(name).is_some()) {
        tracing::warn!(variable, "has no effect: this binary was built without failpoints");
    }
    Ok(())
}

/// Builds the store and runs it until `shutdown`: the one place where the store is plugged in.
async fn serve_store(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    fairlead_store::Store::build(config).await?.run(shutdown).await?;
    Ok(())
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let workers = match std::env::var("FAIRLEAD_RUNTIME_WORKERS") {
        Ok(text) => text.parse().context("FAIRLEAD_RUNTIME_WORKERS is not a number of threads")?,
        Err(_) => match std::thread::available_parallelism().map_or(1, usize::from) {
            0..=SINGLE_THREAD_CORES_MAX => 1,
            cores => cores,
        },
    };
    let mut builder = match workers {
        0 | 1 => tokio::runtime::Builder::new_current_thread(),
        workers => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(workers);
            builder
        }
    };
    builder.enable_all().thread_name("store").build().context("cannot start the runtime")
}

/// Raises the soft limit on open files to the hard one, as Go's runtime does for etcd.
fn raise_open_files_limit() -> rustix::io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE, // whoever asked has gone away
    }
}

fn complain(text: impl Display) {
    // When stderr is gone there is nobody to tell; the exit status says it.
    drop(writeln!(std::io::stderr().lock(), "error: {text}"));
}
