//! One member: its addresses, its data, and the process that runs it now.
//!
//! Ports, name and data folder stay the same over restarts. A signal is sent only to a process that has not been reaped.

use std::ffi::OsString;
use std::net::SocketAddrV4;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;
use tokio::time::timeout;

use super::guard::Guard;
use super::output::{Progress, SharedChild, follow, tail};
use super::ports::Port;
use super::{Error, Target};
use crate::cluster::proxy::{Proxy, Roster};

/// How long a killed process may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(20);

/// What a member's process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Started, not yet ready.
    Starting,
    /// Ready to serve when last heard of.
    Running,
    /// Stopped by SIGSTOP.
    Paused,
    /// No process.
    Stopped,
}

/// How a member ended after SIGTERM.
#[derive(Clone, Copy, Debug)]
pub struct Terminated {
    /// Its exit status.
    pub status: ExitStatus,
    /// From the signal to the end.
    pub took: Duration,
}

struct Run {
    child: SharedChild,
    pid: u32,
    progress: watch::Receiver<Progress>,
    paused: bool,
}

/// One member of a cluster.
pub struct Member {
    pub(super) name: String,
    pub(super) target: Target,
    pub(super) wrapper: Vec<OsString>,
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(String, String)>,
    pub(super) data_dir: PathBuf,
    pub(super) log: PathBuf,
    pub(super) client: Port,
    pub(super) peer: Port,
    pub(super) direct_peers: bool,
    pub(super) peer_proxy: Proxy,
    pub(super) client_proxy: Proxy,
    pub(super) ready_within: Duration,
    pub(super) roster: Roster,
    pub(super) guard: Arc<Guard>,
    run: Mutex<Option<Run>>,
}

/// The parts of a member that the cluster prepares.
pub(super) struct Parts {
    pub(super) name: String,
    pub(super) data_dir: PathBuf,
    pub(super) log: PathBuf,
    pub(super) wrapper: Vec<OsString>,
    pub(super) target: Target,
    pub(super) env: Vec<(String, String)>,
    pub(super) client: Port,
    pub(super) peer: Port,
    pub(super) direct_peers: bool,
    pub(super) peer_proxy: Proxy,
    pub(super) client_proxy: Proxy,
    pub(super) ready_within: Duration,
    pub(super) roster: Roster,
    pub(super) guard: Arc<Guard>,
}

impl Member {
    pub(super) fn new(parts: Parts) -> Member {
        Member {
            data_dir: parts.data_dir,
            log: parts.log,
            name: parts.name,
            wrapper: parts.wrapper,
            target: parts.target,
            args: Vec::new(),
            env: parts.env,
            client: parts.client,
            peer: parts.peer,
            direct_peers: parts.direct_peers,
            peer_proxy: parts.peer_proxy,
            client_proxy: parts.client_proxy,
            ready_within: parts.ready_within,
            roster: parts.roster,
            guard: parts.guard,
            run: Mutex::new(None),
        }
    }

    /// The member's name, `n1` and so on.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where clients reach the member itself; this is what it advertises.
    pub fn client_url(&self) -> String {
        url(self.client.address())
    }

    /// Where clients reach the member through its fault proxy (links between it and [`OUTSIDE`](crate::cluster::proxy::OUTSIDE)).
    pub fn client_proxy_url(&self) -> String {
        url(self.client_proxy.address())
    }

    /// Where peers reach the member: its fault proxy, unless the cluster has [`direct_peers`](super::Config::direct_peers).
    pub fn peer_url(&self) -> String {
        url(if self.direct_peers { self.peer.address() } else { self.peer_proxy.address() })
    }

    /// The pid of the process that runs now.
    pub fn pid(&self) -> Option<u32> {
        self.with(|run| run.pid)
    }

    /// The file that has everything the member has written to its standard error, over all its runs.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// Where the member keeps its data.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// What the process is doing.
    pub fn state(&self) -> State {
        self.with(|run| match *run.progress.borrow() {
            Progress::Ended(_) => State::Stopped,
            _ if run.paused => State::Paused,
            Progress::Starting => State::Starting,
            Progress::Ready => State::Running,
        })
        .unwrap_or(State::Stopped)
    }

    /// How the last run ended, if it has.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.with(|run| match *run.progress.borrow() {
            Progress::Ended(status) => Some(status),
            _ => None,
        })
        .flatten()
    }

    /// Starts the process and returns at once; [`ready`](Self::ready) waits.
    ///
    /// # Errors
    /// When it runs already, or cannot be started.
    pub fn spawn(&self) -> Result<(), Error> {
        self.spawn_with(&[])
    }

    /// As [`spawn`](Self::spawn), with flags of this run alone behind the member's own, which they override.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn spawn_with(&self, flags: &[&str]) -> Result<(), Error> {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        if run.as_ref().is_some_and(|run| !matches!(*run.progress.borrow(), Progress::Ended(_))) {
            return Err(Error::WrongState { member: self.name.clone(), state: "running" });
        }
        let failed = |source| Error::Spawn { program: self.target.program().display().to_string(), source };
        let mut child = self
            .target
            .command(&self.wrapper)
            .args(&self.args)
            .args(flags)
            .envs(self.env.iter().map(|(name, value)| (name, value.replace("{name}", &self.name))))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let pid = child.id();
        self.guard.add(pid);
        self.roster.enter(&self.name, pid);
        let stderr = child.stderr.take().expect("standard error was asked for as a pipe");
        let child = Arc::new(Mutex::new(child));
        // Weak: the thread that calls this may outlive the cluster by a moment, the guard must not.
        let (guard, roster, name) = (Arc::downgrade(&self.guard), self.roster.clone(), self.name.clone());
        let ended = move || {
            if let Some(guard) = guard.upgrade() {
                guard.del(pid);
            }
            roster.leave(&name);
        };
        let progress = follow(&self.name, child.clone(), stderr, self.log.clone(), ended).map_err(failed)?;
        *run = Some(Run { child, pid, progress, paused: false });
        Ok(())
    }

    /// Waits until the member says that it serves.
    ///
    /// # Errors
    /// When it ends first or is not ready in time; the end of its log is in the message.
    pub async fn ready(&self) -> Result<(), Error> {
        let mut progress = self.progress()?;
        match timeout(self.ready_within, progress.wait_for(|progress| *progress != Progress::Starting)).await {
            Ok(Ok(progress)) => match *progress {
                Progress::Ended(status) => Err(self.ended_early(status.to_string())),
                _ => Ok(()),
            },
            Ok(Err(_)) => Err(self.ended_early("its output could not be read".to_owned())),
            Err(_) => Err(self.too_late("ready", self.ready_within)),
        }
    }

    /// Starts the process and waits until it serves.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn) and [`ready`](Self::ready).
    pub async fn start(&self) -> Result<(), Error> {
        self.spawn()?;
        self.ready().await
    }

    /// Kills the process if there is one, starts it anew and waits until it serves.
    ///
    /// # Errors
    /// As [`kill`](Self::kill) and [`start`](Self::start).
    pub async fn restart(&self) -> Result<(), Error> {
        if self.state() != State::Stopped {
            self.kill().await?;
        }
        self.start().await
    }

    /// kill -9, and waits until the process is gone.
    ///
    /// One that ends by itself meanwhile has ended as well.
    ///
    /// # Errors
    /// When there has been no process.
    pub async fn kill(&self) -> Result<ExitStatus, Error> {
        match self.kill_now() {
            Ok(()) | Err(Error::WrongState { .. }) => self.gone(GONE_WITHIN).await,
            Err(error) => Err(error),
        }
    }

    /// kill -9 without waiting.
    ///
    /// # Errors
    /// When there is no process.
    pub fn kill_now(&self) -> Result<(), Error> {
        self.signal(Signal::KILL, "SIGKILL")
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// When there is no process, or it is still there after `within`.
    pub async fn terminate(&self, within: Duration) -> Result<Terminated, Error> {
        let from = Instant::now();
        self.signal(Signal::TERM, "SIGTERM")?;
        let status = self.gone(within).await?;
        Ok(Terminated { status, took: from.elapsed() })
    }

    /// SIGSTOP: the process holds its connections and says nothing.
    ///
    /// # Errors
    /// When there is no process.
    pub fn pause(&self) -> Result<(), Error> {
        self.signal(Signal::STOP, "SIGSTOP")?;
        self.set_paused(true);
        Ok(())
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When there is no process.
    pub fn resume(&self) -> Result<(), Error> {
        self.signal(Signal::CONT, "SIGCONT")?;
        self.set_paused(false);
        Ok(())
    }

    /// Waits until the process has ended.
    ///
    /// # Errors
    /// When there has been none, or it is still there after `within`.
    pub async fn gone(&self, within: Duration) -> Result<ExitStatus, Error> {
        let mut progress = self.progress()?;
        let ended = async {
            loop {
                if let Progress::Ended(status) = *progress.borrow_and_update() {
                    return Ok(status);
                }
                if progress.changed().await.is_err() {
                    return Err(self.ended_early("its output could not be read".to_owned()));
                }
            }
        };
        timeout(within, ended).await.unwrap_or_else(|_| Err(self.too_late("gone", within)))
    }

    /// Closes the proxies of a member whose process has ended.
    pub(super) async fn close(&mut self) {
        self.peer_proxy.stop().await;
        self.client_proxy.stop().await;
    }

    fn signal(&self, signal: Signal, name: &'static str) -> Result<(), Error> {
        let stopped = || Error::WrongState { member: self.name.clone(), state: "stopped" };
        let child = self.with(|run| run.child.clone()).ok_or_else(stopped)?;
        let failed = |source| Error::Signal { member: self.name.clone(), signal: name, source };
        let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
        if child.try_wait().map_err(failed)?.is_some() {
            return Err(stopped());
        }
        let pid = Pid::from_raw(child.id() as i32).ok_or_else(stopped)?;
        kill_process(pid, signal).map_err(|errno| failed(errno.into()))
    }

    fn set_paused(&self, paused: bool) {
        if let Some(run) = self.run.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            run.paused = paused;
        }
    }

    fn progress(&self) -> Result<watch::Receiver<Progress>, Error> {
        self.with(|run| run.progress.clone())
            .ok_or_else(|| Error::WrongState { member: self.name.clone(), state: "not started" })
    }

    fn with<T>(&self, f: impl FnOnce(&Run) -> T) -> Option<T> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(f)
    }

    fn ended_early(&self, status: String) -> Error {
        Error::EndedEarly { member: self.name.clone(), status, log: self.log.clone(), tail: tail(&self.log) }
    }

    fn too_late(&self, wanted: &'static str, within: Duration) -> Error {
        Error::TooLate { member: self.name.clone(), wanted, within, log: self.log.clone(), tail: tail(&self.log) }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(run) = run.as_ref() else { return };
        let mut child = run.child.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(None) = child.try_wait() {
            // Waited for, so that nothing writes into a folder that is being removed. The guard has whatever fails here.
            let ended = child.kill().map(|()| self.guard.del(run.pid)).and_then(|()| child.wait());
            if let Err(error) = ended {
                tracing::warn!(member = self.name, %error, "a member could not be killed");
            }
        }
    }
}

pub(super) fn url(address: SocketAddrV4) -> String {
    format!("http://{address}")
}
