//! The applier: takes entries in log order, changes the state in one batch per group, and tells the watch hub.
//!
//! ```text
//! entry ─▶ commands ─▶ mvcc group ─┐
//!                 └──▶ leases, members, alarms ─┴─▶ one batch with the applied id ─▶ engine ─▶ tables, hub, answers
//! ```
//! Promises: a function of the log alone (no clock, no random number, no local quota or compaction progress decides what a
//! command does); an invalid command is an answer, a broken engine ends the process. Does not: know openraft.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fairlead_proto::served::etcdserverpb as pb;

use super::command::{self, BatchId, Command};
use super::meta;
use super::outcome::{Applied, Outcome, Refusal};
use super::tally::{self, Tally};
use crate::alarm::{self, Alarms};
use crate::engine::{self, Engine, Family};
use crate::lease::{self, Lessor};
use crate::member::{self, Members};
use crate::metrics::Metrics;
use crate::mvcc::{self, Group, Mvcc, Writer};
use crate::planted::{self, Bug};
use crate::watch::Hub;

/// What ends the member: the state cannot be written, or an entry cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// The MVCC store found its own records broken.
    #[error(transparent)]
    Mvcc(#[from] mvcc::Error),
    /// The entry is from a newer binary, or corrupt.
    #[error("entry {index} of term {term} cannot be applied")]
    Command {
        /// Its term.
        term: u64,
        /// Its index.
        index: u64,
        /// What is wrong with it.
        #[source]
        source: command::Error,
    },
    /// A table could not be loaded from the state.
    #[error("loading {what} from the state failed: {reason}")]
    Load {
        /// Which table.
        what: &'static str,
        /// Why.
        reason: String,
    },
}

/// The tables that apply keeps beside MVCC, shared with the services.
#[derive(Clone)]
pub struct Tables {
    /// Leases.
    pub lessor: Arc<Mutex<Lessor>>,
    /// Members.
    pub members: Members,
    /// Alarms.
    pub alarms: Alarms,
}

impl Tables {
    /// Loads all of them from the state.
    ///
    /// # Errors
    /// [`Error::Load`], [`Error::Engine`].
    pub fn load(engine: &dyn Engine, lessor: Lessor) -> Result<Tables, Error> {
        let tables =
            Tables { lessor: Arc::new(Mutex::new(lessor)), members: Members::default(), alarms: Alarms::default() };
        tables.reload(engine)?;
        Ok(tables)
    }

    /// Replaces all of them by what the state holds.
    ///
    /// # Errors
    /// [`Error::Load`], [`Error::Engine`].
    pub fn reload(&self, engine: &dyn Engine) -> Result<(), Error> {
        let load = |what| move |reason: String| Error::Load { what, reason };
        let snapshot = engine.snapshot();
        self.members.reload(&*snapshot).map_err(|error| load("members")(error.to_string()))?;
        self.alarms.reload(&*snapshot).map_err(|error| load("alarms")(error.to_string()))?;
        let records = lease::load(&*snapshot).map_err(|error| load("leases")(error.to_string()))?;
        self.lessor.lock().expect("no holder panics").load(records);
        Ok(())
    }
}

impl crate::rpc::Leases for Tables {
    fn ids_by_expiry(&self) -> Vec<i64> {
        self.lessor.lock().expect("no holder panics").ids_by_expiry()
    }
}

/// One entry's answers, for the member that proposed it.
pub type Answers = (BatchId, Vec<Applied>);

/// The single writer.
pub struct Applier {
    writer: Writer,
    mvcc: Mvcc,
    tables: Tables,
    hub: Hub,
    tally: Tally,
    slow: Duration,
    published: Published,
}

/// Called for each member that publishes itself: id and incarnation.
pub type Published = Box<dyn Fn(u64, u64) + Send + Sync>;

impl Applier {
    /// The writer of `mvcc`, its tables, and the hub that hears of changes. A group that takes longer than `slow` is logged
    /// (`--warning-apply-duration`).
    pub fn new(
        mvcc: Mvcc,
        writer: Writer,
        tables: Tables,
        hub: Hub,
        metrics: &Metrics,
        slow: Duration,
        published: Published,
    ) -> Applier {
        Applier { writer, mvcc, tables, hub, tally: Tally::new(metrics), slow, published }
    }

    /// Starts a group of entries that take effect together.
    pub fn begin(&mut self) -> Applying<'_> {
        let Applier { writer, tables, hub, tally, slow, published, .. } = self;
        let watch = Stopwatch::start(*slow);
        Applying { group: writer.begin(), tables, hub, tally, watch, published }
    }

    /// Takes over a state that was installed as a snapshot: counters, tables and caches are read from it, and watchers go
    /// on from their own next revision.
    ///
    /// # Errors
    /// [`Error`]; the member must end.
    pub fn replace_engine(&mut self, engine: Arc<dyn Engine>) -> Result<(), Error> {
        self.mvcc.replace_engine(&mut self.writer, Arc::clone(&engine))?;
        self.tables.reload(&*engine)?;
        self.hub.rebase(self.mvcc.revision());
        Ok(())
    }
}

/// A group being applied; dropping it without commit leaves the state as it was, but not the tables: the member must end.
pub struct Applying<'a> {
    group: Group<'a>,
    tables: &'a Tables,
    hub: &'a Hub,
    tally: &'a Tally,
    watch: Stopwatch,
    published: &'a Published,
}

/// What a group's applying takes.
struct Stopwatch {
    begun: Instant,
    /// The end of the last command.
    lap: Instant,
    commands: usize,
    slow: Duration,
}

impl Stopwatch {
    fn start(slow: Duration) -> Stopwatch {
        let now = Instant::now();
        Stopwatch { begun: now, lap: now, commands: 0, slow }
    }

    /// What the command that has just ended took.
    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        self.commands += 1;
        now - std::mem::replace(&mut self.lap, now)
    }

    /// Logs the group if it was slow.
    fn stop(&self, tally: &Tally, index: u64) {
        let took = self.begun.elapsed();
        if took <= self.slow {
            return;
        }
        tally.slow();
        let commands = self.lap - self.begun;
        let commit = took - commands;
        tracing::warn!(
            target: "apply",
            index,
            commands = self.commands,
            took_ms = took.as_millis() as u64,
            guilty = if commit > commands { "commit" } else { "commands" },
            commands_ms = commands.as_millis() as u64,
            commit_ms = commit.as_millis() as u64,
            "apply request took too long"
        );
    }
}

impl Applying<'_> {
    /// Applies one entry's commands.
    ///
    /// # Errors
    /// [`Error`]; the member must end.
    pub fn entry(&mut self, term: u64, index: u64, mut body: Bytes) -> Result<Answers, Error> {
        fail::fail_point!("beforeApplyOneEntryNormal");
        let bad = |source| Error::Command { term, index, source };
        let (id, count) = command::decode_header(&mut body).map_err(bad)?;
        let mut answers = Vec::with_capacity(count.min(4096) as usize);
        for _ in 0..count {
            let command = Command::decode(&mut body).map_err(bad)?;
            let operation = tally::operation(&command);
            let outcome = self.command(term, command)?;
            self.tally.took(operation, &outcome, self.watch.lap());
            answers.push(Applied { revision: self.group.revision(), index, outcome });
        }
        Ok((id, answers))
    }

    /// Notes a membership that an entry has set.
    pub fn membership(&mut self, record: Bytes) {
        self.group.batch().put(Family::Meta, Bytes::from_static(meta::MEMBERSHIP), record);
    }

    /// Writes everything, with the last entry's id, and tells the watchers.
    ///
    /// # Errors
    /// [`Error::Engine`]; the member must end.
    pub fn commit(mut self, term: u64, index: u64) -> Result<(), Error> {
        let applied = meta::encode_applied(term, index);
        self.group.batch().put(Family::Meta, Bytes::from_static(meta::APPLIED), applied);
        let events = self.group.commit()?;
        self.watch.stop(self.tally, index);
        if !events.is_empty() {
            self.hub.publish(events);
        }
        Ok(())
    }

    fn command(&mut self, term: u64, command: Command) -> Result<Result<Outcome, Refusal>, Error> {
        if let Some(refusal) = self.refuse(&command) {
            return Ok(Err(refusal));
        }
        let lessor = &self.tables.lessor;
        let exists = |id: i64| lessor.lock().expect("no holder panics").exists(id);
        Ok(match command {
            Command::Put(put) => self.group.put(&put, &exists)?.inspect(|_| self.tally.put(&put)).map(Outcome::Put),
            Command::DeleteRange(delete) => {
                let response = self.group.delete_range(&delete)?;
                response.inspect(|_| self.tally.delete()).map(Outcome::DeleteRange)
            }
            Command::Txn(txn) => {
                let response = self.group.txn(&txn, &exists)?;
                response.inspect(|response| self.tally.txn(&txn, response)).map(Outcome::Txn)
            }
            Command::Compact(compact) => self.group.compact(compact.revision)?.map(|()| Outcome::Compact),
            Command::LeaseGrant(grant) => self.lease_grant(&grant),
            Command::LeaseRevoke(revoke) => self.lease_revoke(revoke.id)?,
            // A leader that was deposed meanwhile may not have seen a renewal: what it found expired does not count.
            Command::LeaseExpire { term: found_in, .. } if found_in != term && !planted::is(Bug::ExpiryUnconfirmed) => {
                Ok(Outcome::LeaseRevoke)
            }
            Command::LeaseExpire { id, .. } => self.lease_revoke(id)?,
            Command::LeaseCheckpoint(checkpoint) => self.lease_checkpoint(&checkpoint),
            Command::Alarm(alarm) => Ok(Outcome::Alarm(self.alarm(&alarm))),
            Command::MemberPublish { member, incarnation } => self.member_publish(member, incarnation),
        })
    }

    /// What an active alarm refuses.
    fn refuse(&self, command: &Command) -> Option<Refusal> {
        let alarms = &self.tables.alarms;
        if alarms.corrupt() && !matches!(command, Command::Alarm(_) | Command::MemberPublish { .. }) {
            return Some(Refusal::Corrupt);
        }
        let grows = match command {
            Command::Put(_) | Command::LeaseGrant(_) => true,
            Command::Txn(txn) => crate::quota::txn_cost(txn) > 0,
            _ => false,
        };
        (grows && alarms.no_space()).then_some(Refusal::NoSpace)
    }

    fn lease_grant(&mut self, grant: &pb::LeaseGrantRequest) -> Result<Outcome, Refusal> {
        let mut lessor = self.tables.lessor.lock().expect("no holder panics");
        if !lessor.grant(grant.id, grant.ttl, tokio::time::Instant::now()) {
            return Err(Refusal::LeaseExists);
        }
        let (key, value) = lease::record(grant.id, grant.ttl, 0);
        self.group.batch().put(Family::Leases, key, value);
        self.tally.lease_granted(grant.ttl);
        Ok(Outcome::LeaseGrant { id: grant.id, ttl: grant.ttl })
    }

    fn lease_revoke(&mut self, id: i64) -> Result<Result<Outcome, Refusal>, Error> {
        if !self.tables.lessor.lock().expect("no holder panics").revoke(id) {
            return Ok(Err(Refusal::LeaseNotFound));
        }
        self.tally.lease_revoked(self.group.revoke(id)?);
        self.group.batch().delete(Family::Leases, lease::key(id));
        Ok(Ok(Outcome::LeaseRevoke))
    }

    fn lease_checkpoint(&mut self, request: &pb::LeaseCheckpointRequest) -> Result<Outcome, Refusal> {
        let mut lessor = self.tables.lessor.lock().expect("no holder panics");
        for checkpoint in &request.checkpoints {
            if let Some(granted) = lessor.checkpointed(checkpoint.id, checkpoint.remaining_ttl) {
                let (key, value) = lease::record(checkpoint.id, granted, checkpoint.remaining_ttl);
                self.group.batch().put(Family::Leases, key, value);
            }
        }
        Ok(Outcome::LeaseCheckpoint)
    }

    fn alarm(&mut self, request: &pb::AlarmRequest) -> Vec<pb::AlarmMember> {
        let (alarms, kind) = (&self.tables.alarms, request.alarm());
        let member = request.member_id;
        let key = alarm::key(member, kind);
        let changed = match request.action() {
            pb::alarm_request::AlarmAction::Get => false,
            pb::alarm_request::AlarmAction::Activate => {
                self.group.batch().put(Family::Alarms, key, Bytes::new());
                alarms.activate(member, kind);
                // etcd answers an activation with the alarm, also when it was active already.
                true
            }
            pb::alarm_request::AlarmAction::Deactivate => {
                self.group.batch().delete(Family::Alarms, key);
                alarms.deactivate(member, kind)
            }
        };
        let alarm = pb::AlarmMember { member_id: member, alarm: request.alarm };
        changed.then_some(alarm).into_iter().collect()
    }

    fn member_publish(&mut self, member: pb::Member, incarnation: u64) -> Result<Outcome, Refusal> {
        let id = member.id;
        // The first incarnation of an id is the only one: another data directory under it never takes part.
        let known = meta::incarnation_key(id);
        self.group.batch().put(Family::Members, member::key(id), member::record(&member));
        self.group.batch().put(Family::Meta, known, Bytes::copy_from_slice(&incarnation.to_be_bytes()));
        self.tables.members.put(member);
        (self.published)(id, incarnation);
        Ok(Outcome::MemberPublish)
    }
}
