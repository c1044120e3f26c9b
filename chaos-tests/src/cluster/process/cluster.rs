//! A cluster: its members, the links between them, the folder they live in.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, thread};

use fairlead_proto::etcd::etcdserverpb::StatusRequest;
use fairlead_proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use futures::future::{join_all, try_join_all};
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Endpoint;

use super::disk::Disks;
use super::guard::Guard;
use super::member::{Member, Parts, State, url};
use super::ports::Port;
use super::{Error, Target};
use crate::cluster::proxy::{LinkState, Links, OUTSIDE, Proxy, Roster};

/// How long a member may take to obey SIGTERM in [`Cluster::shutdown`] before it is killed.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(3);
/// How long one member may take to say whether it leads.
const STATUS_WITHIN: Duration = Duration::from_millis(500);
/// Leadership cannot be subscribed to from outside; this is how often it is asked for.
const LEADER_ASK_INTERVAL: Duration = Duration::from_millis(20);

/// What to start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The program.
    pub target: Target,
    /// How many members, named `n1`, `n2` and so on.
    pub members: usize,
    /// The folder for data and logs; `None` is a temporary one that goes with the cluster (kept if `FAIRLEAD_KEEP` is set).
    pub dir: Option<PathBuf>,
    /// The ports on which clients are to reach the members, in order. A free one is taken where none is named or it is busy.
    pub client_ports: Vec<u16>,
    /// Further flags for every member.
    pub args: Vec<String>,
    /// Environment for every member, beside our own without `ETCD_*`; `{name}` in a value becomes the member's name.
    pub env: Vec<(String, String)>,
    /// A disk of so many MiB for each member ([`Disks`]); `None` keeps their data in the folder.
    pub disk_mib: Option<u32>,
    /// Start of the command line of every member: a program that ends by executing the rest in its own process, as `nice` does.
    pub wrapper: Vec<OsString>,
    /// Whether peers reach each other without a fault proxy between them: faster, and no link can be cut.
    pub direct_peers: bool,
    /// How long a start may take until the member serves.
    pub ready_within: Duration,
}

impl Config {
    /// Three members of `target` in a temporary folder, ready within 30 s.
    pub fn new(target: Target) -> Config {
        Config {
            target,
            members: 3,
            dir: None,
            client_ports: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            disk_mib: None,
            wrapper: Vec::new(),
            direct_peers: false,
            ready_within: Duration::from_secs(30),
        }
    }
}

/// A running cluster. Dropping it kills all members and removes its temporary folder.
pub struct Cluster {
    // Dropped in this order: members first, the guard (which may remove the folder) last.
    members: Vec<Member>,
    links: Links,
    disks: Option<Disks>,
    dir: PathBuf,
    _guard: Arc<Guard>,
}

impl Cluster {
    /// Starts all members and waits until each serves.
    ///
    /// # Errors
    /// When ports, folder, processes or proxies cannot be had, or a member does not get ready.
    pub async fn start(config: Config) -> Result<Cluster, Error> {
        let cluster = Cluster::prepare(config).await?;
        for member in &cluster.members {
            member.spawn()?;
        }
        try_join_all(cluster.members.iter().map(Member::ready)).await?;
        Ok(cluster)
    }

    /// As [`start`](Self::start), but without starting the processes.
    ///
    /// # Errors
    /// When ports, folder or proxies cannot be had.
    pub async fn prepare(config: Config) -> Result<Cluster, Error> {
        let (dir, temporary) = folder(config.dir.as_deref(), config.target.name())?;
        let guard = Arc::new(Guard::start(temporary.then_some(dir.as_path()))?);
        let links = Links::default();
        let roster = Roster::default();
        let mut members = Vec::new();
        let names: Vec<String> = (1..=config.members).map(|number| format!("n{number}")).collect();
        let disks = config.disk_mib.map(|mib| Disks::mount(&dir, &names, mib)).transpose()?;
        let mut wrapper = disks.as_ref().map(Disks::inside).unwrap_or_default();
        wrapper.extend(config.wrapper);
        for (number, name) in (1..).zip(names) {
            let wanted = config.client_ports.get(number - 1).copied().and_then(Port::reserve_this);
            let (client, peer) = (wanted.map_or_else(Port::reserve, Ok)?, Port::reserve()?);
            let failed = |source| Error::Proxy { member: name.clone(), source };
            let proxy = |port: &Port| Proxy::start(&name, port.address(), links.clone(), roster.clone());
            let peer_proxy = proxy(&peer).await.map_err(failed)?;
            let client_proxy = proxy(&client).await.map_err(failed)?;
            members.push(Member::new(Parts {
                data_dir: match &disks {
                    Some(disks) => disks.mount_point(&name).join("data"),
                    None => dir.join(format!("{name}.etcd")),
                },
                log: dir.join(format!("{name}.log")),
                wrapper: wrapper.clone(),
                target: config.target.clone(),
                env: config.env.clone(),
                client,
                peer,
                direct_peers: config.direct_peers,
                peer_proxy,
                client_proxy,
                ready_within: config.ready_within,
                roster: roster.clone(),
                guard: guard.clone(),
                name,
            }));
        }
        let token = format!("{}-{}", config.target.name(), dir.display());
        let peers: Vec<_> = members.iter().map(|member| format!("{}={}", member.name, member.peer_url())).collect();
        for member in &mut members {
            member.args = arguments(member, &peers.join(","), &token, &config.args);
        }
        Ok(Cluster { members, links, disks, dir, _guard: guard })
    }

    /// The member of that name.
    ///
    /// # Errors
    /// When there is none; the message lists those there are.
    pub fn member(&self, name: &str) -> Result<&Member, Error> {
        self.members.iter().find(|member| member.name == name).ok_or_else(|| Error::MemberUnknown {
            name: name.to_owned(),
            members: self.members.iter().map(|member| member.name.clone()).collect(),
        })
    }

    /// All members, in order.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The members' own client URLs, in order.
    pub fn client_urls(&self) -> Vec<String> {
        self.members.iter().map(Member::client_url).collect()
    }

    /// Where data and logs are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The members' own disks, if they have such.
    pub fn disks(&self) -> Option<&Disks> {
        self.disks.as_ref()
    }

    /// The directed links, for any fault that the methods here do not name.
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// Cuts every link between members of different groups, both ways. Members not named form one more group.
    ///
    /// # Errors
    /// When a name is unknown; then nothing has been cut.
    pub fn partition(&self, groups: &[&[&str]]) -> Result<(), Error> {
        for name in groups.iter().copied().flatten() {
            self.member(name)?;
        }
        let group_of = |name: &str| groups.iter().position(|group| group.contains(&name));
        self.cut(|from, to| group_of(from) != group_of(to));
        Ok(())
    }

    /// Lets nothing from `from` reach `to`; the way back stays open.
    ///
    /// # Errors
    /// When a name is unknown.
    pub fn partition_one_way(&self, from: &str, to: &str) -> Result<(), Error> {
        let (from, to) = (self.member(from)?, self.member(to)?);
        self.links.set(&from.name, &to.name, LinkState::Hold);
        Ok(())
    }

    /// Lets nothing from any peer reach `name`: it speaks, and hears nothing.
    ///
    /// # Errors
    /// When the name is unknown.
    pub fn deafen(&self, name: &str) -> Result<(), Error> {
        self.member(name)?;
        self.cut(|_, to| to == name);
        Ok(())
    }

    /// Lets nothing from `name` reach any peer: it hears, and cannot speak.
    ///
    /// # Errors
    /// When the name is unknown.
    pub fn mute(&self, name: &str) -> Result<(), Error> {
        self.member(name)?;
        self.cut(|from, _| from == name);
        Ok(())
    }

    /// Each member keeps links to just enough neighbours for a majority, so that no two see the same one (five members or more).
    pub fn partition_ring(&self) {
        let members = self.members.len();
        let reach = members / 4 + usize::from(members % 4 >= 2);
        let place = |name: &str| self.members.iter().position(|member| member.name == name).unwrap_or(0);
        self.cut(|from, to| {
            let distance = place(from).abs_diff(place(to));
            distance.min(members - distance) > reach
        });
    }

    /// Cuts a member off from clients that come through its client proxy.
    ///
    /// # Errors
    /// When the name is unknown.
    pub fn cut_clients(&self, name: &str) -> Result<(), Error> {
        self.member(name)?;
        self.links.set(OUTSIDE, name, LinkState::Hold);
        self.links.set(name, OUTSIDE, LinkState::Hold);
        Ok(())
    }

    /// Opens every link.
    pub fn heal(&self) {
        self.links.heal();
    }

    fn cut(&self, is_cut: impl Fn(&str, &str) -> bool) {
        for from in &self.members {
            for to in &self.members {
                if from.name != to.name && is_cut(&from.name, &to.name) {
                    self.links.set(&from.name, &to.name, LinkState::Hold);
                }
            }
        }
    }

    /// The name of the member that leads in the newest term anybody tells of, if one says so itself.
    pub async fn leader(&self) -> Option<String> {
        let running = self.members.iter().filter(|member| member.state() == State::Running);
        let answers = join_all(running.map(|member| async move { (member, leads(&member.client_url()).await) })).await;
        let leading = answers.into_iter().filter_map(|(member, term)| term.map(|term| (term, member.name.clone())));
        leading.max().map(|(_, name)| name)
    }

    /// Waits for a leader.
    ///
    /// # Errors
    /// When there is none within `within`.
    pub async fn wait_leader(&self, within: Duration) -> Result<String, Error> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(leader) = self.leader().await {
                return Ok(leader);
            }
            if Instant::now() >= deadline {
                return Err(Error::NoLeader { within });
            }
            sleep(LEADER_ASK_INTERVAL).await;
        }
    }

    /// Heals, resumes and ends all members by SIGTERM, by SIGKILL where that is not obeyed, and closes the proxies.
    ///
    /// # Errors
    /// When a process cannot be signalled.
    pub async fn shutdown(mut self) -> Result<(), Error> {
        self.heal();
        let end = |member: &Member| {
            let resumed = if member.state() == State::Paused { member.resume() } else { Ok(()) };
            resumed.map(|()| member.state() != State::Stopped)
        };
        let mut running = Vec::new();
        for member in &self.members {
            if end(member)? {
                running.push(member);
            }
        }
        try_join_all(running.into_iter().map(|member| async move {
            match member.terminate(SHUTDOWN_WITHIN).await {
                Ok(_) | Err(Error::WrongState { .. }) => Ok(()),
                Err(Error::TooLate { .. }) => member.kill().await.map(|_| ()),
                Err(error) => Err(error),
            }
        }))
        .await?;
        for member in &mut self.members {
            member.close().await;
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if thread::panicking() && !self.members.is_empty() && env::var_os("FAIRLEAD_KEEP").is_none() {
            eprintln!(
                "a test failed with a cluster in {}; FAIRLEAD_KEEP=1 keeps its data and logs",
                self.dir.display()
            );
        }
    }
}

/// The folder, and whether it is to go with the cluster.
fn folder(wanted: Option<&Path>, target: &str) -> Result<(PathBuf, bool), Error> {
    match wanted {
        Some(dir) => {
            fs::create_dir_all(dir).map_err(|source| Error::Files { path: dir.to_owned(), source })?;
            Ok((dir.to_owned(), false))
        }
        None => {
            let made = tempfile::Builder::new().prefix(&format!("fairlead-{target}-")).tempdir();
            let dir = made.map_err(|source| Error::Files { path: env::temp_dir(), source })?.keep();
            Ok((dir, env::var_os("FAIRLEAD_KEEP").is_none()))
        }
    }
}

fn arguments(member: &Member, peers: &str, token: &str, further: &[String]) -> Vec<OsString> {
    let (client, peer) = (member.client_url(), url(member.peer.address()));
    let flags = [
        ("--name", member.name.clone()),
        ("--data-dir", member.data_dir.display().to_string()),
        ("--listen-client-urls", client.clone()),
        ("--advertise-client-urls", client),
        ("--listen-peer-urls", peer),
        ("--initial-advertise-peer-urls", member.peer_url()),
        ("--initial-cluster", peers.to_owned()),
        ("--initial-cluster-token", token.to_owned()),
        ("--initial-cluster-state", "new".to_owned()),
    ];
    let mut arguments: Vec<OsString> = Vec::new();
    for (flag, value) in flags {
        arguments.extend([OsString::from(flag), OsString::from(value)]);
    }
    arguments.extend(further.iter().map(OsString::from));
    arguments
}

/// The term in which the member at `url` says it leads.
async fn leads(url: &str) -> Option<u64> {
    let ask = async {
        let channel = Endpoint::from_shared(url.to_owned()).ok()?.connect().await.ok()?;
        let status = MaintenanceClient::new(channel).status(StatusRequest {}).await.ok()?.into_inner();
        let me = status.header?.member_id;
        (status.leader == me).then_some(status.raft_term)
    };
    timeout(STATUS_WITHIN, ask).await.ok().flatten()
}
