//! What faults stand on: the cluster, ways to ask its members past the proxies, the recorder, the ledger.
//!
//! Whoever tells a member to end says so here first, so that an end nobody asked for is told from one that was.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fairlead_client::etcd::{Client, ConnectOptions, Options};
use tokio::time::timeout;

use super::ledger::{Ledger, Undo};
use super::{APPLY_WITHIN, Error};
use crate::cluster::process::{self, Cluster, Member, State};
use crate::history::MemberStep;
use crate::page::Page;
use crate::record::Recorder;
use crate::traffic::etcd::{Seat, Session};

/// How long a member may take to answer what the run itself asks.
const ASK_WITHIN: Duration = Duration::from_secs(3);
/// How long a status may take, which is asked for often.
const STATUS_WITHIN: Duration = Duration::from_millis(400);

/// The ground of a run.
pub(crate) struct Ground {
    pub(crate) cluster: Cluster,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) ledger: Ledger,
    /// Members past their proxies, in the cluster's order.
    admins: Vec<Client>,
    /// Members that were told to end, until they are started again.
    told: Mutex<HashSet<String>>,
}

impl Ground {
    /// Around a cluster, started or not.
    ///
    /// # Errors
    /// When a member's address cannot be used.
    pub(crate) fn new(cluster: Cluster, recorder: Arc<Recorder>, ledger: Ledger) -> Result<Ground, Error> {
        let connect = ConnectOptions { timeout: STATUS_WITHIN, ..ConnectOptions::default() };
        let options =
            Options { connect, request_timeout: ASK_WITHIN, read_attempt_timeout: ASK_WITHIN, ..Options::default() };
        let admin = |member: &Member| {
            let refused = |error: fairlead_client::etcd::Error| Error::Member {
                member: member.name().to_owned(),
                what: "have a usable address",
                why: error.to_string(),
            };
            Client::connect([member.client_url()], options.clone()).map_err(refused)
        };
        let admins = cluster.members().iter().map(admin).collect::<Result<_, _>>()?;
        Ok(Ground { cluster, recorder, ledger, admins, told: Mutex::new(HashSet::new()) })
    }

    /// A member's number in the history: its place, from 1.
    pub(crate) fn number(&self, name: &str) -> u64 {
        let at = self.cluster.members().iter().position(|member| member.name() == name);
        at.map_or(0, |at| at as u64 + 1)
    }

    /// Names and numbers of all members.
    pub(crate) fn names(&self) -> Vec<String> {
        self.cluster.members().iter().map(|member| member.name().to_owned()).collect()
    }

    /// A way to ask a member past its proxy.
    pub(crate) fn admin(&self, name: &str) -> &Client {
        let at = self.number(name).max(1) as usize - 1;
        &self.admins[at]
    }

    /// A client that records what it does, past the proxies: what faults write has to be known to the checkers.
    pub(crate) fn session(&self, first: usize) -> Result<Session, Error> {
        let seats: Vec<Seat> =
            (1..).zip(self.cluster.client_urls()).map(|(member, url)| Seat::at(member, url)).collect();
        let opened = Session::open(&self.recorder, &seats, first, false, ASK_WITHIN);
        opened.map_err(|error| Error::Member {
            member: "the cluster".to_owned(),
            what: "have usable addresses",
            why: error.to_string(),
        })
    }

    /// Whether a member that is down was told to be.
    pub(crate) fn was_told(&self, name: &str) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    /// From here on the member may end.
    pub(crate) fn tell(&self, name: &str) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }

    /// kill -9, and waits until it is gone; nothing if it is down already.
    pub(crate) async fn kill(&self, name: &str) -> Result<(), Error> {
        let member = self.cluster.member(name)?;
        self.tell(name);
        if member.state() == State::Stopped {
            return Ok(());
        }
        let status = match member.kill().await {
            // Without its disk it may have ended by itself just before.
            Err(process::Error::WrongState { .. }) => member.gone(APPLY_WITHIN).await,
            killed => killed,
        };
        self.ended(name, &status?.to_string());
        Ok(())
    }

    /// Its end, as the run wanted it.
    pub(crate) fn ended(&self, name: &str, status: &str) {
        let step = MemberStep::Ended { expected: true, status: status.to_owned() };
        self.recorder.member(self.number(name), step);
    }

    /// Starts a member that is down and waits until it serves; nothing if it runs.
    pub(crate) async fn start(&self, name: &str) -> Result<(), Error> {
        self.spawn(name)?;
        self.cluster.member(name)?.ready().await?;
        self.recorder.member(self.number(name), MemberStep::Ready);
        self.told.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        Ok(())
    }

    /// Starts members at once, and waits until all of them serve.
    pub(crate) async fn start_together(&self, names: &[String]) -> Result<(), Error> {
        for name in names {
            self.spawn(name)?;
        }
        for name in names {
            self.start(name).await?;
        }
        Ok(())
    }

    /// Starts a member that is down, without waiting.
    fn spawn(&self, name: &str) -> Result<(), Error> {
        let member = self.cluster.member(name)?;
        if member.state() == State::Stopped {
            member.spawn()?;
            self.recorder.member(self.number(name), MemberStep::Started);
        }
        Ok(())
    }

    /// Enters something to be undone.
    pub(crate) fn enter(&self, undo: Undo) -> Result<u64, Error> {
        self.ledger.enter(undo).map_err(|source| Error::Io { what: "write the undo ledger".to_owned(), source })
    }

    /// It is undone.
    pub(crate) fn undone(&self, entry: u64) -> Result<(), Error> {
        self.ledger.done(entry).map_err(|source| Error::Io { what: "write the undo ledger".to_owned(), source })
    }

    /// What a member says of itself.
    pub(crate) async fn status(&self, name: &str) -> Option<fairlead_proto::etcd::etcdserverpb::StatusResponse> {
        let state = self.cluster.member(name).ok()?.state();
        if !matches!(state, State::Running | State::Starting) {
            return None;
        }
        timeout(STATUS_WITHIN, self.admin(name).status()).await.ok()?.ok()
    }

    /// A counter on a member's metrics page, summed over its labels; 0 for none.
    pub(crate) async fn metric(&self, name: &str, metric: &str) -> Result<u64, Error> {
        let url = self.cluster.member(name)?.client_url();
        let failed = |why: String| Error::Member { member: name.to_owned(), what: "show its metrics", why };
        match timeout(ASK_WITHIN, Page::of(&url)).await {
            Ok(page) => Ok(page.map_err(|error| failed(error.to_string()))?.sum(metric) as u64),
            Err(_) => Err(failed("no answer in time".to_owned())),
        }
    }
}
