//! Some members, and power for all of them.

use std::time::Duration;

use anyhow::ensure;
use fairlead_store::config::{self, InitialCluster, Url};
use futures::future::try_join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use super::member::{Cut, Member, Remains};
use crate::cluster::process::ports::Port;

/// What to start.
#[derive(Clone, Debug)]
pub struct Config {
    /// How many members, named `n1`, `n2` and so on.
    pub members: usize,
    /// All chance that is ours: ids, what a cut leaves, when engines flush.
    pub seed: u64,
    /// What each member is told, but for names, folders and addresses.
    pub store: config::Config,
    /// How long a start may take until a member serves.
    pub ready_within: Duration,
}

impl Config {
    /// Three members that snapshot, purge and compact often, and elect fast.
    #[must_use]
    pub fn new(seed: u64) -> Config {
        let store = config::Config {
            heartbeat_interval: Duration::from_millis(50),
            election_timeout: Duration::from_millis(500),
            snapshot_count: 100,
            snapshot_catchup_entries: 50,
            log_retained_bytes_max: 512 << 10,
            compaction_batch_limit: 20,
            compaction_sleep_interval: Duration::from_millis(4),
            ..config::Config::default()
        };
        Config { members: 3, seed, store, ready_within: Duration::from_secs(30) }
    }
}

/// A cluster in this process.
pub struct Cluster {
    members: Vec<Member>,
    ready_within: Duration,
    // Held until the members are gone.
    _ports: Vec<Port>,
    _dir: TempDir,
}

impl Cluster {
    /// Starts all members and waits until each serves.
    ///
    /// # Errors
    /// When folder or ports cannot be had, or a member does not serve.
    pub async fn start(config: Config) -> anyhow::Result<Cluster> {
        let dir = tempfile::Builder::new().prefix("fairlead-sim-").tempdir()?;
        let mut rng = StdRng::seed_from_u64(config.seed);
        let names: Vec<String> = (1..=config.members).map(|number| format!("n{number}")).collect();
        let ports = (0..2 * config.members).map(|_| Port::reserve()).collect::<Result<Vec<_>, _>>()?;
        let url = |port: &Port| Url::parse(&format!("http://{}", port.address()));
        let urls = ports.iter().map(url).collect::<Result<Vec<_>, _>>()?;
        let (clients, peers) = urls.split_at(config.members);
        let initial: Vec<String> = names.iter().zip(peers).map(|(name, peer)| format!("{name}={peer}")).collect();
        let initial = InitialCluster::parse(&initial.join(","))?;
        let members = names.into_iter().zip(clients.iter().zip(peers)).map(|(name, (client, peer))| {
            let store = config::Config {
                data_dir: dir.path().join(&name),
                listen_client_urls: vec![client.clone()],
                advertise_client_urls: vec![client.clone()],
                listen_peer_urls: vec![peer.clone()],
                initial_advertise_peer_urls: vec![peer.clone()],
                initial_cluster: initial.clone(),
                name,
                ..config.store.clone()
            };
            Member::new(store, rng.random())
        });
        let members = members.collect();
        let mut cluster = Cluster { members, ready_within: config.ready_within, _ports: ports, _dir: dir };
        cluster.power_on().await?;
        Ok(cluster)
    }

    /// All members, in order.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member at `place`.
    ///
    /// # Errors
    /// When there is none.
    pub fn member_mut(&mut self, place: usize) -> anyhow::Result<&mut Member> {
        let members = self.members.len();
        ensure!(place < members, "there are {members} members");
        Ok(&mut self.members[place])
    }

    /// Where clients reach the members, in order.
    #[must_use]
    pub fn client_urls(&self) -> Vec<String> {
        self.members.iter().map(Member::client_url).collect()
    }

    /// Power goes for the members at `places` at once; what was seen then. They stay off.
    ///
    /// # Errors
    /// When a place has no member or no power, or a life does not end.
    pub async fn power_cut(&mut self, places: &[usize]) -> anyhow::Result<Vec<Cut>> {
        let mut seen = Vec::new();
        for place in places {
            seen.push(self.member_mut(*place)?.pull_the_plug()?);
        }
        let seen: Option<Vec<Cut>> = seen.into_iter().collect();
        let remains: Vec<Remains> = places.iter().filter_map(|place| self.members[*place].take_life()).collect();
        let buried = remains.into_iter().map(|life| tokio::task::spawn_blocking(|| life.bury()));
        try_join_all(buried).await?.into_iter().collect::<anyhow::Result<()>>()?;
        seen.ok_or_else(|| anyhow::anyhow!("a member had no power to cut"))
    }

    /// Starts all members that have no power, and waits until every member serves.
    ///
    /// # Errors
    /// When one does not.
    pub async fn power_on(&mut self) -> anyhow::Result<()> {
        for member in self.members.iter_mut().filter(|member| !member.has_power()) {
            member.power_on()?;
        }
        try_join_all(self.members.iter().map(|member| member.ready(self.ready_within))).await?;
        Ok(())
    }

    /// Ends all members in order.
    ///
    /// # Errors
    /// When one does not end.
    pub async fn shutdown(mut self) -> anyhow::Result<()> {
        try_join_all(self.members.iter_mut().filter_map(Member::take_life).map(Remains::end)).await?;
        Ok(())
    }
}
