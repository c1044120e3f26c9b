//! What is asked of a target, by name.
//!
//! A workload on a *shared* cluster runs on members that serve several workloads one after the other; one on its *own* cluster
//! starts members for itself, since it measures their memory, disk or start, or needs a slow disk.

mod fill;
mod footprint;
mod get;
mod keep_alive;
mod mix;
mod put;
mod range;
mod read_under_writes;
mod restart;
mod slow_disk;
mod txn;
mod watch;

use std::slice;
use std::time::Duration;

use crate::Error;
use crate::closed_loop::Window;
use crate::sample::Sample;
use crate::target::{Running, Target};
use range::Way;
use watch::{FanOut, Pace};

/// How large and how long.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long a repetition counts.
    pub length: Duration,
    /// Members of a cluster.
    pub members: usize,
    /// Keys where memory, disk or a restart is measured.
    pub keys: u64,
}

impl Settings {
    fn window(&self) -> Window {
        Window { warm: (self.length / 5).min(Duration::from_millis(500)), length: self.length }
    }
}

/// One workload.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// What its rate and its CPU count.
    pub counted: &'static str,
    how: How,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Put { clients: usize },
    PutAtFollower,
    Get { clients: usize, serializable: bool },
    GetAtFollower,
    Txn { clients: usize },
    Range { clients: usize, way: Way },
    Watch(FanOut),
    KeepAlive,
    Mix,
    ReadUnderWrites,
    SlowDisk,
    Footprint,
    RestartOne,
}

const fn workload(name: &'static str, counted: &'static str, how: How, about: &'static str) -> Workload {
    Workload { name, about, counted, how }
}

const fn get(name: &'static str, clients: usize, serializable: bool, about: &'static str) -> Workload {
    workload(name, "get", How::Get { clients, serializable }, about)
}

const fn range(name: &'static str, clients: usize, way: Way, about: &'static str) -> Workload {
    workload(name, "key", How::Range { clients, way }, about)
}

const fn fan_out(name: &'static str, watchers: usize, pace: Pace, about: &'static str) -> Workload {
    workload(name, "event", How::Watch(FanOut { watchers, pace }), about)
}

/// All workloads, in the order in which they run.
pub const ALL: &[Workload] = &[
    workload("put-1", "put", How::Put { clients: 1 }, "puts of 256 B, 1 client of the leader"),
    workload("put-1-follower", "put", How::PutAtFollower, "puts of 256 B, 1 client of a follower"),
    workload("put-64", "put", How::Put { clients: 64 }, "puts of 256 B, 64 clients"),
    workload("put-256", "put", How::Put { clients: 256 }, "puts of 256 B, 256 clients"),
    get("get-1", 1, false, "linearizable gets, 1 client of the leader"),
    workload("get-1-follower", "get", How::GetAtFollower, "linearizable gets, 1 client of a follower"),
    get("get-64", 64, false, "linearizable gets, 64 clients"),
    get("get-256", 256, false, "linearizable gets, 256 clients"),
    get("get-serializable-1", 1, true, "serializable gets, 1 client"),
    get("get-serializable-64", 64, true, "serializable gets, 64 clients"),
    get("get-serializable-256", 256, true, "serializable gets, 256 clients"),
    workload("txn-1", "txn", How::Txn { clients: 1 }, "updates as Kubernetes sends them, 1 KiB, 1 client"),
    workload("txn-64", "txn", How::Txn { clients: 64 }, "updates as Kubernetes sends them, 1 KiB, 64 clients"),
    workload("txn-256", "txn", How::Txn { clients: 256 }, "updates as Kubernetes sends them, 1 KiB, 256 clients"),
    range("range-reply-1", 1, Way::Reply, "10,000 keys of 1 KiB in one reply, 1 client"),
    range("range-reply-8", 8, Way::Reply, "10,000 keys of 1 KiB in one reply, 8 clients"),
    range("range-pages-1", 1, Way::Pages, "10,000 keys of 1 KiB in pages of 500, 1 client"),
    range("range-pages-8", 8, Way::Pages, "10,000 keys of 1 KiB in pages of 500, 8 clients"),
    range("range-stream-1", 1, Way::Stream, "10,000 keys of 1 KiB by RangeStream, 1 client"),
    range("range-stream-8", 8, Way::Stream, "10,000 keys of 1 KiB by RangeStream, 8 clients"),
    fan_out("watch-100-paced", 100, Pace::PerSecond(50), "100 watchers of 50 puts/s of 256 B"),
    fan_out("watch-100-flat", 100, Pace::FlatOut, "100 watchers of 16 clients that put flat out"),
    fan_out("watch-1000-paced", 1_000, Pace::PerSecond(50), "1,000 watchers of 50 puts/s of 256 B"),
    fan_out("watch-1000-flat", 1_000, Pace::FlatOut, "1,000 watchers of 16 clients that put flat out"),
    workload("keep-alive-1000", "renewal", How::KeepAlive, "1,000 clients that keep a lease each alive"),
    workload("kube-mix-64", "request", How::Mix, "64 clients of a Kubernetes-like mix, and a watcher a member"),
    workload("get-under-puts", "get", How::ReadUnderWrites, "linearizable gets of 4 clients while 40 others put"),
    workload("put-slow-disk", "put", How::SlowDisk, "puts of 256 B, 256 clients, each fdatasync held 10 ms"),
    workload("footprint", "put", How::Footprint, "memory, bytes written, disk, and a follower's restart, 1 KiB a key"),
    workload("restart-one", "put", How::RestartOne, "kill -9 to serving of a cluster of one member"),
];

/// The workload of that name.
///
/// # Errors
/// When there is none.
pub fn find(name: &str) -> Result<&'static Workload, Error> {
    ALL.iter().find(|workload| workload.name == name).ok_or_else(|| Error::Workload { name: name.to_owned() })
}

/// The workloads whose names are these or begin with them, in the order of [`ALL`]; all for none.
///
/// # Errors
/// When a name is none's.
pub fn chosen(names: &[String]) -> Result<Vec<&'static Workload>, Error> {
    let wanted = |workload: &&Workload, name: &String| {
        workload.name == name || ALL.iter().all(|other| other.name != name) && workload.name.starts_with(name.as_str())
    };
    if let Some(name) = names.iter().find(|name| !ALL.iter().any(|workload| wanted(&workload, name))) {
        return Err(Error::Workload { name: name.clone() });
    }
    let is_chosen = |workload: &&Workload| names.is_empty() || names.iter().any(|name| wanted(workload, name));
    Ok(ALL.iter().filter(is_chosen).collect())
}

impl Workload {
    /// Whether it starts members of its own.
    pub(crate) fn needs_own(&self) -> bool {
        matches!(self.how, How::SlowDisk | How::Footprint | How::RestartOne)
    }

    /// One repetition on members that others use too.
    pub(crate) async fn on_shared(&self, target: &Running, settings: &Settings) -> Result<Sample, Error> {
        let window = settings.window();
        match self.how {
            How::Put { clients } => put::measure(target, &target.endpoints, clients, window).await,
            How::PutAtFollower => put::measure(target, slice::from_ref(target.follower()?), 1, window).await,
            How::Get { clients, serializable } => {
                get::measure(target, &target.endpoints, clients, serializable, window).await
            }
            How::GetAtFollower => get::measure(target, slice::from_ref(target.follower()?), 1, false, window).await,
            How::Txn { clients } => txn::measure(target, clients, window).await,
            How::Range { clients, way } => range::measure(target, clients, way, window).await,
            How::Watch(fan_out) => watch::measure(target, fan_out, window.length).await,
            How::KeepAlive => keep_alive::measure(target, window).await,
            How::Mix => mix::measure(target, window).await,
            How::ReadUnderWrites => read_under_writes::measure(target, window).await,
            How::SlowDisk | How::Footprint | How::RestartOne => {
                Err(Error::Unable("it starts members of its own".to_owned()))
            }
        }
    }

    /// One repetition on members started for it.
    pub(crate) async fn on_own(&self, target: &Target, settings: &Settings) -> Result<Sample, Error> {
        if !target.is_program() {
            return Err(Error::Unable("it needs members of its own, and this target runs already".to_owned()));
        }
        match self.how {
            How::SlowDisk => slow_disk::measure(target, settings).await,
            How::Footprint => footprint::measure(target, settings).await,
            How::RestartOne => restart::measure(target, settings).await,
            _ => Err(Error::Unable("it runs on shared members".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_is_found_by_its_name() {
        for workload in ALL {
            assert_eq!(find(workload.name).unwrap().about, workload.about);
        }
        find("nothing").unwrap_err();
    }

    #[test]
    fn workloads_are_chosen_by_name_or_by_its_beginning() {
        let names = |asked: &[&str]| -> Vec<&str> {
            let asked: Vec<String> = asked.iter().map(|name| (*name).to_owned()).collect();
            chosen(&asked).unwrap().iter().map(|workload| workload.name).collect()
        };
        assert_eq!(names(&["put-1"]), ["put-1"]);
        assert_eq!(names(&["watch-1000", "put-6"]), ["put-64", "watch-1000-paced", "watch-1000-flat"]);
        assert_eq!(names(&[]).len(), ALL.len());
        chosen(&["put".to_owned(), "nothing".to_owned()]).unwrap_err();
    }
}
