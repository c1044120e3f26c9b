//! What a key costs: memory, bytes written to disk, disk; and how long a follower needs from kill -9 to serving.
//!
//! On members of its own: they are filled with keys of 1 KiB, put one by one. Memory is compared right after that. Then a
//! quarter is overwritten, everything old compacted, and space given back as the target wants it (Defragment).

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fairlead_proto::etcd::etcdserverpb as pb;
use fairlead_proto::etcd::etcdserverpb::kv_client::KvClient;
use pb::maintenance_client::MaintenanceClient;
use tokio::time::{Instant, sleep};
use tonic::Status;
use tonic::transport::Channel;

use super::Settings;
use super::fill::key;
use super::restart::kill_to_serving;
use crate::Error;
use crate::closed_loop::{Client, Done, ONE, Seen, drive_all};
use crate::connect::{channel, kv, kvs};
use crate::sample::{Figure, Sample};
use crate::target::{Running, Target};
use crate::values::{Random, value};

/// The set that is filled.
pub(super) const SET: &str = "footprint";
/// Bytes of a value.
const VALUE_BYTES: usize = 1024;
const CLIENTS: usize = 64;
/// One key of so many is overwritten.
const OVERWRITTEN: u64 = 4;
/// When files have not changed in size for so long, what goes on in the background is over.
const STILL: Duration = Duration::from_secs(2);
const STILL_WITHIN: Duration = Duration::from_secs(30);
const LEADER_WITHIN: Duration = Duration::from_secs(10);

struct Filler {
    kv: KvClient<Channel>,
    random: Random,
    next: Arc<AtomicU64>,
    step: u64,
    keys: u64,
}

impl Client for Filler {
    async fn step(&mut self) -> Result<Done, Status> {
        let at = self.next.fetch_add(self.step, Ordering::Relaxed).min(self.keys - 1);
        let value = value(&mut self.random, VALUE_BYTES);
        self.kv.put(pb::PutRequest { key: key(SET, at).into(), value, ..Default::default() }).await?;
        Ok(ONE)
    }

    fn is_done(&self) -> bool {
        self.next.load(Ordering::Relaxed) >= self.keys
    }
}

/// Puts every key once.
pub(super) async fn fill(running: &Running, keys: u64) -> Result<Seen, Error> {
    put_each(running, keys, 1).await
}

/// Puts one of `step` keys.
async fn put_each(running: &Running, keys: u64, step: u64) -> Result<Seen, Error> {
    let next = Arc::new(AtomicU64::new(0));
    let fillers = (1..).zip(kvs(&running.endpoints, CLIENTS).await?);
    let fillers =
        fillers.map(|(seed, kv)| Filler { kv, random: Random::new(seed), next: Arc::clone(&next), step, keys });
    drive_all(running, fillers.collect()).await
}

pub(super) async fn measure(target: &Target, settings: &Settings) -> Result<Sample, Error> {
    let running = target.start(settings.members, Vec::new()).await?;
    let sample = on(&running, settings.keys).await;
    running.end().await?;
    sample
}

async fn on(running: &Running, keys: u64) -> Result<Sample, Error> {
    let (resident, written) = (running.resident_bytes()?, running.written_bytes()?);
    let filled = fill(running, keys).await?;
    let grown = running.resident_bytes()?.saturating_sub(resident);
    let again = put_each(running, keys, OVERWRITTEN).await?;
    compact(running).await?;
    let payload = (keys * VALUE_BYTES as u64) as f64;
    settle(running).await?;
    let written = (running.written_bytes()? - written) as f64 / (filled.operations() + again.operations()) as f64;
    for url in &running.endpoints {
        let mut maintenance = MaintenanceClient::new(channel(url).await?);
        maintenance.defragment(pb::DefragmentRequest {}).await.map_err(Error::request("defragment"))?;
    }
    let disk = settle(running).await? as f64 / running.endpoints.len() as f64 / payload;
    let restart = restart_follower(running).await?;
    let sample = filled.sample().with(Figure::Memory, grown as f64 / keys as f64);
    Ok(sample
        .with(Figure::Written, written)
        .with(Figure::Disk, disk)
        .with(Figure::Restart, restart.as_secs_f64() * 1e3))
}

async fn compact(running: &Running) -> Result<(), Error> {
    let mut kv = kv(channel(&running.endpoints[0]).await?);
    let get = pb::RangeRequest { key: key(SET, 0).into(), ..Default::default() };
    let answer = kv.range(get).await.map_err(Error::request("ask for the revision"))?.into_inner();
    let revision = answer.header.map_or(0, |header| header.revision);
    let compact = pb::CompactionRequest { revision, physical: true };
    kv.compact(compact).await.map_err(Error::request("compact")).map(drop)
}

/// A member that does not lead, or the only one there is.
async fn restart_follower(running: &Running) -> Result<Duration, Error> {
    let cluster = running.cluster()?;
    let leader = cluster.wait_leader(LEADER_WITHIN).await?;
    let member = cluster.members().iter().find(|member| member.name() != leader);
    kill_to_serving(member.map_or_else(|| cluster.member(&leader), Ok)?).await
}

/// Waits until the members' files stay as they are; their bytes. Files cannot be subscribed to across processes.
async fn settle(running: &Running) -> Result<u64, Error> {
    let bytes = || -> Result<u64, Error> {
        let members = running.cluster()?.members();
        members.iter().map(|member| disk_bytes(member.data_dir()).map_err(Error::files("a member's data"))).sum()
    };
    let deadline = Instant::now() + STILL_WITHIN;
    let mut last = bytes()?;
    loop {
        sleep(STILL).await;
        let now = bytes()?;
        if now == last || Instant::now() >= deadline {
            return Ok(now);
        }
        last = now;
    }
}

/// What the files below a folder take on disk.
fn disk_bytes(folder: &Path) -> io::Result<u64> {
    /// Of `st_blocks`, whatever the file system's own.
    const BLOCK: u64 = 512;
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // A file that is removed meanwhile takes nothing.
        let Ok(metadata) = entry.metadata() else { continue };
        sum += if metadata.is_dir() { disk_bytes(&entry.path())? } else { metadata.blocks() * BLOCK };
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_of_a_folder_is_that_of_all_its_files() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("below")).unwrap();
        for name in ["one", "below/two"] {
            let file = fs::File::create(folder.path().join(name)).unwrap();
            io::Write::write_all(&mut &file, &[7; 100_000]).unwrap();
            file.sync_all().unwrap();
        }
        let bytes = disk_bytes(folder.path()).unwrap();
        assert!((200_000..400_000).contains(&bytes), "{bytes}");
    }
}
