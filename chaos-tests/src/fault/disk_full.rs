//! F-52: a member's disk is full to the last blocks; space returns when its time is over.
//!
//! Needs a disk for each member. The member may end, refuse or raise an alarm; it is started again if it has ended, and an
//! alarm is taken back once there is space.

use fairlead_proto::etcd::etcdserverpb as pb;
use pb::alarm_request::AlarmAction;

use super::{Error, Fault, Ground, figures};
use crate::cluster::process::{Disks, State};
use crate::history::Figures;

#[derive(Default)]
pub(super) struct DiskFull {
    on: Vec<String>,
}

/// The members' disks.
pub(super) fn disks<'g>(ground: &'g Ground, fault: &'static str) -> Result<&'g Disks, Error> {
    let why = || "the members have no disks of their own in this run".to_owned();
    ground.cluster.disks().ok_or_else(|| Error::Unavailable { fault, why: why() })
}

/// Takes back whatever alarm there is.
pub(super) async fn disarm(ground: &Ground) -> Result<u64, Error> {
    let refused = |error: fairlead_client::etcd::Error| Error::Member {
        member: "the cluster".to_owned(),
        what: "take its alarms back",
        why: error.to_string(),
    };
    let names = ground.names();
    let admin = ground.admin(&names[0]);
    let ask = pb::AlarmRequest { action: AlarmAction::Get.into(), ..Default::default() };
    let alarms = admin.alarm(ask).await.map_err(refused)?.alarms;
    for alarm in &alarms {
        let request =
            pb::AlarmRequest { action: AlarmAction::Deactivate.into(), member_id: alarm.member_id, alarm: alarm.alarm };
        admin.alarm(request).await.map_err(refused)?;
    }
    Ok(alarms.len() as u64)
}

#[tonic::async_trait]
impl Fault for DiskFull {
    async fn apply(&mut self, ground: &Ground, on: &[String]) -> Result<Figures, Error> {
        let disks = disks(ground, "disk full")?;
        let mut taken = 0;
        for name in on {
            self.on.push(name.clone());
            ground.tell(name);
            taken += disks.fill(name)?;
        }
        Ok(figures([("taken_bytes", taken)]))
    }

    async fn witness(&mut self, ground: &Ground) -> Result<Figures, Error> {
        let disks = disks(ground, "disk full")?;
        let (mut left, mut ended) = (0, 0);
        for name in &self.on {
            left = left.max(disks.free_kib(name)?);
            ended += u64::from(ground.cluster.member(name)?.state() == State::Stopped);
        }
        match left {
            0..1024 => Ok(figures([("left_kib", left), ("ended", ended)])),
            left => Err(Error::NoEffect(format!("{left} KiB are free"))),
        }
    }

    async fn heal(&mut self, ground: &Ground) -> Result<Figures, Error> {
        let disks = disks(ground, "disk full")?;
        for name in &self.on {
            disks.free(name)?;
        }
        for name in &self.on {
            let member = ground.cluster.member(name)?;
            if let (State::Stopped, Some(status)) = (member.state(), member.exit_status()) {
                ground.ended(name, &status.to_string());
            }
            ground.start(name).await?;
        }
        Ok(figures([("alarms", disarm(ground).await?)]))
    }
}
