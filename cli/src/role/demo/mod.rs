//! `fairlead demo`: three members to break, and a prompt to break them with.
//!
//! Promises: the members are real processes with a fault proxy before each peer port; the first Ctrl-C (or SIGTERM) stops
//! all of it and leaves no process and no folder behind, the second ends at once and leaves the rest to the harness's
//! guard, which also steps in should this process be killed.
//! Does not: serve other machines, keep a cluster for a later run.

mod command;
mod prompt;
mod screen;
mod session;
mod start;
mod status;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use fairlead_chaos_tests::cluster::process::{Cluster, State};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use screen::Screen;
use session::Session;

/// What a shell reports for a process that Ctrl-C has ended.
const INTERRUPTED: i32 = 130;

/// Three members of the store in a temporary folder, and a prompt to break them with.
///
/// With its input or output on a pipe it says one line a phase, beginning with `ok` or `fail`, obeys commands from
/// standard input, and runs until SIGTERM.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Keep data and logs in this folder, which must be empty or not there yet.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Fail when 2379, 22379 or 32379 is in use, instead of taking a free port.
    #[arg(long)]
    strict_ports: bool,
    /// Run this program instead of Fairlead's own store: any that takes etcd's flags, such as etcd itself.
    #[arg(long, value_name = "PATH")]
    store_binary: Option<PathBuf>,
}

/// Runs the demo to its end. What fails is shown as all else is; nothing is left behind then either.
///
/// # Errors
/// When a failure cannot be shown.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    let mut screen = Screen::of_process();
    let result = runtime.block_on(demo(args, &mut screen));
    // Not waited for: the thread that reads standard input cannot be called off.
    runtime.shutdown_background();
    match result {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // Nobody reads any more: not our failure.
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        Err(error) => screen.fail("demo", &format!("{error:#}")).map(|()| ExitCode::FAILURE).map_err(|_| error),
    }
}

async fn demo(args: &Args, screen: &mut Screen) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    let signals = tokio::spawn(obey_signals(Signals::listen()?, shutdown.clone()));
    let result = match shutdown.run_until_cancelled(start::start(args, screen)).await {
        None => screen.ok("stop", "while starting; no process is left", None).map_err(Into::into),
        Some(Err(error)) => Err(error),
        Some(Ok(cluster)) => play(args, cluster, screen, &shutdown).await,
    };
    signals.abort();
    result
}

async fn play(args: &Args, cluster: Cluster, screen: &mut Screen, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let session = Session::new(&cluster, screen)?;
    let played = session.run(prompt::lines().context("read standard input")?, shutdown).await;
    let (begun, folder) = (Instant::now(), cluster.dir().to_owned());
    match args.keep {
        // Nothing of what they would save on SIGTERM is kept, so nobody need wait for it.
        None => kill_all(&cluster),
        Some(_) => screen.text("Stopping in good order; Ctrl-C again ends it at once.")?,
    }
    let stopped = cluster.shutdown().await;
    played?;
    stopped.context("stop the members")?;
    let rest = match &args.keep {
        Some(_) => format!("data and logs are in {}", folder.display()),
        None if folder.exists() => anyhow::bail!("{} could not be removed", folder.display()),
        None => "no process and no folder is left".to_owned(),
    };
    screen.ok("stop", &format!("n1 n2 n3 gone; {rest}"), Some(begun.elapsed()))?;
    Ok(())
}

fn kill_all(cluster: &Cluster) {
    for member in cluster.members().iter().filter(|member| member.state() != State::Stopped) {
        if let Err(error) = member.kill_now() {
            tracing::warn!(member = member.name(), %error, "could not kill a member, SIGTERM follows");
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

/// Those that end a demo: Ctrl-C, SIGTERM, a terminal that goes away.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("listen to signals");
        Ok(Signals {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// The first ends the demo in good order, the second at once; the guard kills what is left then.
async fn obey_signals(mut signals: Signals, shutdown: CancellationToken) {
    signals.next().await;
    shutdown.cancel();
    signals.next().await;
    std::process::exit(INTERRUPTED);
}
