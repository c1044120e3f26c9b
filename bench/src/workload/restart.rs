//! kill -9 to serving: until the member itself answers a linearizable read again.

use std::time::Duration;

use fairlead_chaos_tests::cluster::process::Member;
use fairlead_proto::etcd::etcdserverpb as pb;
use tokio::time::Instant;

use super::Settings;
use super::fill::key;
use super::footprint::{SET, fill};
use crate::Error;
use crate::connect::{channel, kv};
use crate::ratio::median;
use crate::sample::{Figure, Sample};
use crate::target::{Running, Target};

/// Kills of a cluster that has been filled once.
const KILLS: usize = 3;

/// Kills a member and starts it; how long it took until it answered a linearizable read.
pub(super) async fn kill_to_serving(member: &Member) -> Result<Duration, Error> {
    let begun = Instant::now();
    member.kill().await?;
    // Returns with the line that tells of readiness; the read then waits for whatever is still missing.
    member.start().await?;
    let request = pb::RangeRequest { key: key(SET, 0).into(), ..Default::default() };
    let answer = kv(channel(&member.client_url()).await?).range(request).await;
    let answer = answer.map_err(Error::request("read after a restart"))?.into_inner();
    if answer.kvs.len() != 1 {
        return Err(Error::Unable("what was written is gone after kill -9".to_owned()));
    }
    Ok(begun.elapsed())
}

/// A cluster of one member, which has nobody to wait for or to be caught up by.
pub(super) async fn measure(target: &Target, settings: &Settings) -> Result<Sample, Error> {
    let running = target.start(1, Vec::new()).await?;
    let sample = on(&running, settings).await;
    running.end().await?;
    sample
}

async fn on(running: &Running, settings: &Settings) -> Result<Sample, Error> {
    let sample = fill(running, settings.keys).await?.sample();
    let mut took = Vec::new();
    for _ in 0..KILLS {
        for member in running.cluster()?.members() {
            took.push(kill_to_serving(member).await?.as_secs_f64() * 1e3);
        }
    }
    Ok(sample.with_some(Figure::Restart, median(&took)))
}
