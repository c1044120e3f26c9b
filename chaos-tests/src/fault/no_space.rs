//! F-74: writes until the store's quota is used up and it raises NOSPACE; then space is given back and the alarm taken back.
//!
//! A run that has it starts its members with a small quota. What it writes is recorded, as digests.

use fairlead_client::etcd::Error as ClientError;
use fairlead_proto::etcd::etcdserverpb as pb;
use pb::alarm_request::AlarmAction;
use pb::maintenance_client::MaintenanceClient;
use tonic::transport::Endpoint;

use super::disk_full::disarm;
use super::{Error, Fault, Ground, figures};
use crate::history::{Answer, Compact, Delete, Figures, Put, Request};

/// Bytes of one filling value.
const VALUE_BYTES: usize = 256 * 1024;
const FIRST: &str = "fill/";
const END: &str = "fill0";

pub(super) struct NoSpace {
    bytes: u64,
    alarms: u64,
}

impl NoSpace {
    pub(super) fn new(bytes: u64) -> NoSpace {
        NoSpace { bytes, alarms: 0 }
    }
}

fn refused(what: &'static str, why: String) -> Error {
    Error::Member { member: "the cluster".to_owned(), what, why }
}

#[tonic::async_trait]
impl Fault for NoSpace {
    async fn apply(&mut self, ground: &Ground, _: &[String]) -> Result<Figures, Error> {
        let mut session = ground.session(0)?;
        let (mut written, mut number) = (0, 0);
        while written < self.bytes {
            number += 1;
            let value = format!("{number:08}{}", "x".repeat(VALUE_BYTES));
            written += value.len() as u64;
            let put = Put { key: format!("{FIRST}{number:06}"), value, ..Put::default() };
            if session.ask(Request::Put(put)).await.ok().is_none() && alarms(ground).await? > 0 {
                break;
            }
        }
        self.alarms = alarms(ground).await?;
        Ok(figures([("written_bytes", written), ("alarms", self.alarms)]))
    }

    async fn witness(&mut self, _: &Ground) -> Result<Figures, Error> {
        match self.alarms {
            0 => Err(Error::NoEffect("no alarm was raised".to_owned())),
            alarms => Ok(figures([("alarms", alarms)])),
        }
    }

    async fn heal(&mut self, ground: &Ground) -> Result<Figures, Error> {
        let mut session = ground.session(0)?;
        let delete = Delete { key: FIRST.to_owned(), end: Some(END.to_owned()), ..Delete::default() };
        let deleted = session.ask(Request::Delete(delete)).await.ok();
        let Some(deleted) = deleted.filter(|deleted| matches!(deleted.answer, Answer::Delete(_))) else {
            return Err(refused("delete", "see the history".to_owned()));
        };
        session.ask(Request::Compact(Compact { revision: deleted.revision, physical: true })).await;
        for member in ground.cluster.members() {
            // Ours gives space back by itself and answers at once.
            defragment(member.client_url()).await.map_err(|error| refused("defragment", error.to_string()))?;
        }
        let disarmed = disarm(ground).await?;
        let put = Put { key: "fill".to_owned(), value: "over".to_owned(), ..Put::default() };
        match session.ask(Request::Put(put)).await.ok() {
            Some(_) => Ok(figures([("disarmed", disarmed)])),
            None => Err(refused("take a write again", "see the history".to_owned())),
        }
    }
}

async fn defragment(url: String) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let channel = Endpoint::from_shared(url)?.connect().await?;
    MaintenanceClient::new(channel).defragment(pb::DefragmentRequest {}).await?;
    Ok(())
}

async fn alarms(ground: &Ground) -> Result<u64, Error> {
    let ask = pb::AlarmRequest { action: AlarmAction::Get.into(), ..Default::default() };
    let answer = ground.admin(&ground.names()[0]).alarm(ask).await;
    let answer = answer.map_err(|error: ClientError| refused("list its alarms", error.to_string()))?;
    Ok(answer.alarms.len() as u64)
}
