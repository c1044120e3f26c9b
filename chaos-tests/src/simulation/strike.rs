//! A fault of a schedule, brought into force and undone.

use std::collections::BTreeMap;

use super::member::{End, Member};
use super::network::Host;
use super::schedule::{Blow, Strike, Whom};
use super::stage::Stage;
use crate::history::{Event, Fault, FaultStep, Figures};

/// A fault that is in force.
pub(super) struct InForce {
    strike: Strike,
    /// On whom it turned out to be.
    host: Host,
    /// Links that it cut or slowed.
    links: Vec<(Host, Host)>,
    /// Who is down for it.
    down: Vec<Host>,
    figures: Figures,
}

/// Records what is planned.
pub(super) fn plan(stage: &Stage, strike: &Strike) {
    let figures = Figures::from([("for_ms".to_owned(), i64::try_from(strike.for_ms).unwrap_or(i64::MAX))]);
    let step = FaultStep::Planned { kind: strike.blow.kind().to_owned(), members: Vec::new(), figures };
    stage.record(&Event::Fault(Fault { id: strike.number, step }));
}

/// Brings a fault into force.
pub(super) fn apply(stage: &mut Stage, strike: Strike, leader: Host) -> anyhow::Result<InForce> {
    let count = stage.count();
    let host = match strike.on {
        Whom::Leader => leader,
        Whom::Follower(number) => (leader + 1 + usize::from(number) % (count - 1)) % count,
    };
    let mut force = InForce { strike, host, links: Vec::new(), down: Vec::new(), figures: Figures::new() };
    force.strike_with(stage)?;
    let members = if force.down.is_empty() { vec![host] } else { force.down.clone() };
    let members = members.into_iter().map(|host| host as u64 + 1).collect();
    force.tell(stage, FaultStep::Applied { members, figures: Figures::new() });
    Ok(force)
}

impl InForce {
    fn tell(&self, stage: &Stage, step: FaultStep) {
        stage.record(&Event::Fault(Fault { id: self.strike.number, step }));
    }

    fn strike_with(&mut self, stage: &mut Stage) -> anyhow::Result<()> {
        let (host, count) = (self.host, stage.count());
        let others: Vec<Host> = (0..count).filter(|other| *other != host).collect();
        match self.strike.blow {
            Blow::Kill => self.keep_down(stage, &[host], End::Kill),
            Blow::PowerCut => self.keep_down(stage, &[host], End::Power),
            Blow::PowerCutOfAll => self.keep_down(stage, &(0..count).collect::<Vec<_>>(), End::Power),
            Blow::DiskFails { after } => {
                stage.expect_down(host, |member| member.fail_after(after));
                self.down.push(host);
            }
            Blow::SyncsFail => {
                for host in [host, others[0]] {
                    stage.expect_down(host, Member::fail_syncs);
                    self.down.push(host);
                }
            }
            Blow::Partition | Blow::Lag => {
                let both = |other: Host| [(host, other), (other, host)];
                self.links = others.into_iter().flat_map(both).collect();
                self.cut(stage);
            }
            Blow::Deaf => {
                self.links = others.into_iter().map(|other| (other, host)).collect();
                self.cut(stage);
            }
            Blow::Mute => {
                self.links = others.into_iter().map(|other| (host, other)).collect();
                self.cut(stage);
            }
            Blow::HalfPartition => {
                self.links = vec![(host, others[0]), (others[0], host)];
                self.cut(stage);
            }
            Blow::Delay { ms } => {
                self.links = others.into_iter().flat_map(|other| [(host, other), (other, host)]).collect();
                self.links.iter().for_each(|(from, to)| stage.world.network.slow(*from, *to, ms * 1_000));
            }
            Blow::Pause => stage.world.hold(host, false),
            Blow::ClockStop => stage.world.hold(host, true),
            Blow::Reset => {
                let calls = (0..=count).filter(|other| *other != host);
                let calls: u64 = calls.map(|other| stage.world.network.reset(host, other)).sum();
                self.figure("calls", calls);
            }
            Blow::Transfer => {
                let (to, ways) = (host, (0..count).map(|host| stage.client(host, super::ASK_WITHIN)));
                let clients = ways.collect::<anyhow::Result<Vec<_>>>()?;
                stage.as_clients(|| {
                    drop(tokio::spawn(async move {
                        let Ok(status) = clients[to].status().await else { return };
                        let target = status.header.unwrap_or_default().member_id;
                        for client in &clients {
                            // Only the leader takes it, and an election may come in between.
                            if client.move_leader(target).await.is_ok() {
                                return;
                            }
                        }
                    }));
                });
            }
        }
        Ok(())
    }

    fn keep_down(&mut self, stage: &mut Stage, hosts: &[Host], how: End) {
        hosts.iter().for_each(|host| stage.keep_down(*host, how));
        self.down = hosts.to_vec();
    }

    fn cut(&self, stage: &Stage) {
        self.links.iter().for_each(|(from, to)| stage.world.network.cut(*from, *to));
    }

    fn figure(&mut self, name: &str, value: u64) {
        self.figures.insert(name.to_owned(), i64::try_from(value).unwrap_or(i64::MAX));
    }

    /// Undoes it.
    pub(super) fn undo(mut self, stage: &mut Stage) -> anyhow::Result<()> {
        match self.strike.blow {
            Blow::DiskFails { .. } => self.down.iter().for_each(|host| stage.cut_power(*host)),
            Blow::SyncsFail => {
                self.down.iter().for_each(|host| stage.cut_power(*host));
                let others: Vec<Host> = (0..stage.count()).filter(|host| !self.down.contains(host)).collect();
                others.iter().for_each(|host| stage.keep_down(*host, End::Power));
                self.down.extend(others);
            }
            Blow::Partition | Blow::Lag | Blow::Deaf | Blow::Mute | Blow::HalfPartition => {
                let held: u64 = self.links.iter().map(|(from, to)| stage.world.network.heal(*from, *to)).sum();
                self.figure("parcels_held", held);
            }
            Blow::Delay { ms } => {
                self.links.iter().for_each(|(from, to)| stage.world.network.hasten(*from, *to, ms * 1_000));
            }
            Blow::Pause | Blow::ClockStop => stage.world.release(self.host),
            Blow::Kill | Blow::PowerCut | Blow::PowerCutOfAll | Blow::Reset | Blow::Transfer => {}
        }
        // What a simulation does is done: a witness has nothing to find out.
        let figures: BTreeMap<String, i64> = std::mem::take(&mut self.figures);
        self.tell(stage, FaultStep::Witnessed { figures });
        self.down.iter().try_for_each(|host| stage.let_up(*host))?;
        self.tell(stage, FaultStep::Healed { figures: Figures::new() });
        Ok(())
    }
}
