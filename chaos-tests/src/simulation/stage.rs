//! The stage of a run: the world with its members on it, who records what happens, and who is looked after.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use fairlead_client::etcd::{Channel, Client, ConnectOptions, Options};
use fairlead_store::config::Config;

use super::call::Caller;
use super::member::{End, Member, client_url, members};
use super::network::Host;
use super::world::World;
use crate::history::{Entry, Event, Member as MemberEvent, MemberStep, Panic};
use crate::record::Recorder;
use crate::run::committed::committed_on;
use crate::traffic::etcd::Seat;

/// Steps between two looks at the logs: fewer than it takes to write and purge a segment.
const LOG_LOOK_STEPS: u64 = 200;
/// Ends that nobody asked for after which a member stays down.
const UNEXPECTED_ENDS_MAX: u32 = 3;

/// What a member has on top of itself.
struct Looked {
    member: Member,
    /// How many faults want it down.
    down: u32,
    unexpected_ends: u32,
    /// Committed entries that were seen in its log.
    logged: BTreeMap<u64, Entry>,
}

/// The stage.
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) recorder: Arc<Recorder>,
    members: Vec<Looked>,
}

impl Stage {
    /// Members that have just been started, and clients that can reach them; `recorder` makes the recorder, by the clients' clock.
    pub(super) fn build(
        count: usize,
        store: &Config,
        folder: &Path,
        seed: u64,
        recorder: impl FnOnce() -> anyhow::Result<Recorder>,
    ) -> anyhow::Result<Stage> {
        let mut world = World::new(count + 1, seed);
        let members = members(&world, store, count, folder, seed ^ 0x6d65_6d62_6572)?;
        let (runtime, _) = world.power_on(count)?;
        let recorder = {
            let _here = runtime.enter();
            Arc::new(recorder()?)
        };
        let looked = |member| Looked { member, down: 0, unexpected_ends: 0, logged: BTreeMap::new() };
        let mut stage = Stage { world, recorder, members: members.into_iter().map(looked).collect() };
        for host in 0..count {
            stage.start(host)?;
        }
        Ok(stage)
    }

    /// How many members there are.
    pub(super) fn count(&self) -> usize {
        self.members.len()
    }

    fn clients(&self) -> Host {
        self.members.len()
    }

    /// Does something as the clients' machine, which has the clock of the history.
    pub(super) fn as_clients<T>(&self, what: impl FnOnce() -> T) -> T {
        let runtime =
            self.world.runtime(self.clients()).expect("the clients' machine has power as long as the stage is");
        let _here = runtime.enter();
        what()
    }

    /// Records something.
    pub(super) fn record(&self, event: &Event) {
        self.as_clients(|| self.recorder.record(event));
    }

    fn record_member(&self, host: Host, step: MemberStep) {
        self.record(&Event::Member(MemberEvent { id: host as u64 + 1, step }));
    }

    /// A way to a member for clients.
    pub(super) fn channel(&self, host: Host) -> Channel {
        let from = self.world.network.sender(self.clients());
        Channel::service(Caller { network: self.world.network.clone(), from, url: client_url(host) })
    }

    /// The members as clients see them.
    pub(super) fn seats(&self) -> Vec<Seat> {
        let seat = |host| Seat { member: host as u64 + 1, url: client_url(host), way: Some(self.channel(host)) };
        (0..self.count()).map(seat).collect()
    }

    /// A client of one member, with as much patience.
    pub(super) fn client(&self, host: Host, patience: std::time::Duration) -> anyhow::Result<Client> {
        let connect = ConnectOptions::default();
        let options =
            Options { connect, request_timeout: patience, read_attempt_timeout: patience, ..Options::default() };
        Ok(Client::over([(client_url(host), self.channel(host))], options)?)
    }

    /// Takes a step, and looks after members that have ended.
    pub(super) fn step(&mut self) -> anyhow::Result<()> {
        self.world.step();
        for host in 0..self.count() {
            if let Some(reason) = self.members[host].member.has_ended() {
                self.has_ended(host, reason)?;
            }
        }
        if self.world.steps().is_multiple_of(LOG_LOOK_STEPS) {
            self.look_at_logs();
        }
        Ok(())
    }

    /// Takes `steps` steps.
    pub(super) fn steps(&mut self, steps: u64) -> anyhow::Result<()> {
        (0..steps).try_for_each(|_| self.step())
    }

    /// Lets clients do something, for `steps` steps at most.
    pub(super) fn until_done<T: Send + 'static>(
        &mut self,
        steps: u64,
        work: impl Future<Output = T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let doing = self.as_clients(|| tokio::spawn(work));
        for _ in 0..steps {
            if doing.is_finished() {
                break;
            }
            self.step()?;
        }
        ensure!(doing.is_finished(), "clients are not done after {steps} steps");
        let runtime = self.world.runtime(self.clients()).context("the clients' machine has power")?;
        Ok(runtime.block_on(doing)?)
    }

    fn has_ended(&mut self, host: Host, reason: String) -> anyhow::Result<()> {
        let expected = self.members[host].member.may_end;
        if !expected {
            self.members[host].unexpected_ends += 1;
            tracing::warn!(member = host + 1, reason, "a simulated member has ended by itself");
            let step = MemberStep::Ended { expected, status: reason.clone() };
            self.record_member(host, step);
            if reason.contains("panic") {
                self.record(&Event::Panic(Panic { member: host as u64 + 1, expected, text: reason.clone() }));
            }
        }
        self.end(host, End::Power, &reason);
        let looked = &self.members[host];
        if looked.down == 0 && looked.unexpected_ends < UNEXPECTED_ENDS_MAX {
            self.start(host)?;
        }
        Ok(())
    }

    fn start(&mut self, host: Host) -> anyhow::Result<()> {
        self.members[host].member.start(&mut self.world)?;
        self.record_member(host, MemberStep::Started);
        Ok(())
    }

    /// A member's life ends; nothing where it has none.
    fn end(&mut self, host: Host, how: End, why: &str) {
        if self.members[host].member.has_power() {
            self.look_at_log(host);
            self.members[host].member.end(&mut self.world, how);
            self.record_member(host, MemberStep::Ended { expected: true, status: why.to_owned() });
        } else {
            self.members[host].member.end(&mut self.world, how);
        }
    }

    /// A member is down until a [`Stage::let_up`] for each of these.
    pub(super) fn keep_down(&mut self, host: Host, how: End) {
        self.members[host].down += 1;
        self.end(host, how, if how == End::Kill { "killed" } else { "its power was cut" });
    }

    /// What is done to a member that runs will end it; then it stays down, as by [`Stage::keep_down`].
    pub(super) fn expect_down(&mut self, host: Host, how: impl FnOnce(&mut Member)) {
        let looked = &mut self.members[host];
        looked.down += 1;
        if looked.member.has_power() {
            how(&mut looked.member);
        }
    }

    /// A member that is expected to be down is, now.
    pub(super) fn cut_power(&mut self, host: Host) {
        self.end(host, End::Power, "its power was cut");
    }

    /// A fault no longer wants a member down.
    pub(super) fn let_up(&mut self, host: Host) -> anyhow::Result<()> {
        let looked = &mut self.members[host];
        looked.down = looked.down.saturating_sub(1);
        if looked.down == 0 && !looked.member.has_power() && looked.unexpected_ends < UNEXPECTED_ENDS_MAX {
            self.start(host)?;
        }
        Ok(())
    }

    /// Every member ends, and what is committed by its log goes into the history.
    pub(super) fn close(&mut self) {
        for host in 0..self.count() {
            self.end(host, End::Kill, "the run is over");
            for entry in std::mem::take(&mut self.members[host].logged).into_values() {
                self.record(&Event::Entry(entry));
            }
        }
    }

    fn look_at_logs(&mut self) {
        for host in 0..self.count() {
            if self.members[host].member.has_power() {
                self.look_at_log(host);
            }
        }
    }

    /// Notes what is committed by a member's log, before it is purged.
    fn look_at_log(&mut self, host: Host) {
        let looked = &mut self.members[host];
        let (disk, folder) = looked.member.log();
        // Where its disk fails there is nothing to see.
        let entries = committed_on(disk, &folder, host as u64 + 1).unwrap_or_default();
        let mut changed = Vec::new();
        for entry in entries {
            match looked.logged.get(&entry.index) {
                None => _ = looked.logged.insert(entry.index, entry),
                Some(known) if *known == entry => {}
                // It is for the checkers to say what that means.
                Some(_) => changed.push(entry),
            }
        }
        changed.into_iter().for_each(|entry| self.record(&Event::Entry(entry)));
    }
}
