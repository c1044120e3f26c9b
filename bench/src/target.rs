//! Whom: a program whose members are started on loopback for the run, or members that run already.
//!
//! Members reach each other directly, without the harness's fault proxies, and keep their data in a temporary folder that goes
//! with them. What is measured of them comes from `/proc` and from their own metrics.

use std::ffi::OsString;
use std::path::Path;

use fairlead_chaos_tests::cluster::process::{Cluster, Config};
use fairlead_chaos_tests::page::Page;
use fairlead_chaos_tests::run::target::Candidate;
use fairlead_chaos_tests::traffic::cpu;
use fairlead_proto::etcd::etcdserverpb::StatusRequest;
use fairlead_proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;

use crate::Error;
use crate::connect::channel;

/// Counts the syncs of the log, in etcd's metrics and in ours.
const SYNCS: &str = "etcd_disk_wal_fsync_duration_seconds";

/// A target by its description.
#[derive(Clone, Debug)]
pub enum Target {
    /// A program, whose members are started when they are needed.
    Program(Candidate),
    /// Members that run already.
    Running {
        /// The user's name for it.
        name: String,
        /// Their client URLs.
        endpoints: Vec<String>,
        /// Their processes, for CPU and memory; empty where that is not known.
        pids: Vec<u32>,
    },
}

impl Target {
    /// Reads `fairlead`, `etcd`, `etcd-3.5.1` (fetched into `cache`), `NAME=PATH` or `NAME=URL,URL@PID,PID`.
    ///
    /// # Errors
    /// When it is none of these, or the program is not there.
    pub fn find(text: &str, cache: &Path) -> Result<Target, Error> {
        match text.split_once('=') {
            Some((name, at)) if at.starts_with("http://") => running(text, name, at),
            _ => Ok(Target::Program(Candidate::find(text, cache)?)),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Target::Program(candidate) => &candidate.name,
            Target::Running { name, .. } => name,
        }
    }

    /// Its version, as far as it is known.
    pub fn version(&self) -> &str {
        match self {
            Target::Program(candidate) => &candidate.version,
            Target::Running { .. } => "running already",
        }
    }

    /// Starts `members` behind `wrapper`, or takes those that run.
    pub(crate) async fn start(&self, members: usize, wrapper: Vec<OsString>) -> Result<Running, Error> {
        match self {
            Target::Program(candidate) => {
                let config = Config::new(candidate.program.clone());
                let cluster = Cluster::start(Config { members, wrapper, direct_peers: true, ..config }).await?;
                Ok(Running { endpoints: cluster.client_urls(), members: Members::Ours(Box::new(cluster)) })
            }
            Target::Running { endpoints, pids, .. } => {
                Ok(Running { endpoints: endpoints.clone(), members: Members::Theirs(pids.clone()) })
            }
        }
    }

    /// Whether members can be started at will.
    pub(crate) fn is_program(&self) -> bool {
        matches!(self, Target::Program(_))
    }
}

fn running(text: &str, name: &str, at: &str) -> Result<Target, Error> {
    let wrong = |what| Error::Target { text: text.to_owned(), what };
    let (urls, pids) = at.split_once('@').unwrap_or((at, ""));
    let endpoints: Vec<String> = urls.split(',').map(str::to_owned).collect();
    if name.is_empty() {
        return Err(wrong("it has no name"));
    }
    if !endpoints.iter().all(|url| url.strip_prefix("http://").is_some_and(|host| !host.is_empty())) {
        return Err(wrong("an endpoint is not http://HOST:PORT"));
    }
    let pids = pids.split(',').filter(|pid| !pid.is_empty()).map(str::parse);
    let pids = pids.collect::<Result<_, _>>().map_err(|_| wrong("a PID is not a number"))?;
    Ok(Target::Running { name: name.to_owned(), endpoints, pids })
}

enum Members {
    Ours(Box<Cluster>),
    Theirs(Vec<u32>),
}

/// Members that serve.
pub(crate) struct Running {
    /// Their client URLs; the leader's first once they are [`arrange`](Running::arrange)d.
    pub(crate) endpoints: Vec<String>,
    members: Members,
}

impl Running {
    /// Puts the leader's URL first: a lone client asks the same member of every target.
    pub(crate) async fn arrange(&mut self) -> Result<(), Error> {
        for at in 0..self.endpoints.len() {
            let status = MaintenanceClient::new(channel(&self.endpoints[at]).await?).status(StatusRequest {}).await;
            let status = status.map_err(Error::request("ask who leads"))?.into_inner();
            if status.header.is_some_and(|header| header.member_id == status.leader) {
                self.endpoints.swap(0, at);
                return Ok(());
            }
        }
        Err(Error::Unable("no member says that it leads".to_owned()))
    }

    /// A client URL of a member that does not lead, once they are arranged.
    pub(crate) fn follower(&self) -> Result<&String, Error> {
        let follower = self.endpoints.last().filter(|_| self.endpoints.len() > 1);
        follower.ok_or_else(|| Error::Unable("a single member has no follower".to_owned()))
    }

    /// Their processes now.
    pub(crate) fn pids(&self) -> Vec<u32> {
        match &self.members {
            Members::Ours(cluster) => cluster.members().iter().filter_map(|member| member.pid()).collect(),
            Members::Theirs(pids) => pids.clone(),
        }
    }

    /// The cluster, where it has been started for the run.
    pub(crate) fn cluster(&self) -> Result<&Cluster, Error> {
        match &self.members {
            Members::Ours(cluster) => Ok(cluster),
            Members::Theirs(_) => {
                Err(Error::Unable("members that were not started by the run are left alone".to_owned()))
            }
        }
    }

    /// CPU seconds of all members so far; `None` where their processes are not known.
    pub(crate) fn cpu_seconds(&self) -> Result<Option<f64>, Error> {
        let sum: std::io::Result<f64> = self.pids().into_iter().map(cpu::seconds).sum();
        Ok(Some(sum.map_err(Error::files("the CPU time of a member"))?).filter(|_| !self.pids().is_empty()))
    }

    /// Resident memory of all members.
    pub(crate) fn resident_bytes(&self) -> Result<u64, Error> {
        let sum: std::io::Result<u64> = self.pids().into_iter().map(cpu::resident_bytes).sum();
        sum.map_err(Error::files("the memory of a member"))
    }

    /// Bytes all members have written so far.
    pub(crate) fn written_bytes(&self) -> Result<u64, Error> {
        let sum: std::io::Result<u64> = self.pids().into_iter().map(cpu::written_bytes).sum();
        sum.map_err(Error::files("the bytes written by a member"))
    }

    /// Syncs of all members' logs so far; `None` where a member shows no such metric.
    pub(crate) async fn syncs(&self) -> Option<f64> {
        let mut sum = 0.0;
        for url in &self.endpoints {
            let page = Page::of(url).await.ok()?;
            page.kind(SYNCS)?;
            sum += page.sum(SYNCS);
        }
        Some(sum)
    }

    /// Ends members that were started for the run.
    pub(crate) async fn end(self) -> Result<(), Error> {
        match self.members {
            Members::Ours(cluster) => Ok(cluster.shutdown().await?),
            Members::Theirs(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_members_are_told_by_urls_and_pids() {
        let found = Target::find("x=http://a:1,http://b:2@10,11", Path::new("none")).unwrap();
        let Target::Running { name, endpoints, pids } = found else { panic!("{found:?}") };
        assert_eq!((name.as_str(), pids), ("x", vec![10, 11]));
        assert_eq!(endpoints, ["http://a:1", "http://b:2"]);
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for wrong in ["x=http://", "=http://a:1", "x=http://a:1,b:2", "x=http://a:1@ten", "nobody", "x=no/such/program"]
        {
            Target::find(wrong, Path::new("none")).expect_err(wrong);
        }
    }
}
