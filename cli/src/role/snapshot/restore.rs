//! `fairlead snapshot restore FILE --data-dir …`: a new member's data dir out of a snapshot, under a new cluster's membership.
//!
//! Run it once for each member of the new cluster, from the same file and with the same `--initial-cluster`. Flags and
//! defaults are etcdutl's. Does not: touch a data dir that exists, or fetch the file.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use fairlead_store::config::{Config, InitialCluster, Invalid, Url};
use fairlead_store::data_dir::initial_ids;
use fairlead_store::engine::Engine;
use fairlead_store::engine::rocks::{self, RocksEngine};
use fairlead_store::restore::restore;

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Restore {
    /// The snapshot file.
    file: PathBuf,
    /// The data dir to make; must not exist. Default: NAME.etcd.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// A folder of its own for the Raft log; give it to the member too.
    #[arg(long)]
    wal_dir: Option<PathBuf>,
    /// This member's name.
    #[arg(long, default_value = "default")]
    name: String,
    /// All members of the new cluster: NAME=URL,NAME=URL,…
    #[arg(long, default_value = "default=http://localhost:2380", value_parser = InitialCluster::parse)]
    initial_cluster: InitialCluster,
    /// The new cluster's token; another one than the old cluster's keeps their members apart.
    #[arg(long, default_value = "etcd-cluster")]
    initial_cluster_token: String,
    /// This member's peer URLs, as the initial cluster has them.
    #[arg(long, default_value = "http://localhost:2380", value_parser = urls)]
    initial_advertise_peer_urls: Urls,
}

/// A list of URLs as one flag; a `Vec` would make clap expect the flag several times.
#[derive(Clone, Debug)]
struct Urls(Vec<Url>);

fn urls(text: &str) -> Result<Urls, Invalid> {
    Url::parse_list(text).map(Urls)
}

/// Restores, and prints what was restored and how to go on.
///
/// # Errors
/// Where the file is not a sound snapshot, the flags contradict each other, or the data dir exists or cannot be filled;
/// nothing is left behind then.
pub(crate) fn run(flags: &Restore, out: &mut impl Write) -> Result<()> {
    let config = config(flags);
    config.validate_bootstrap()?;
    let summary = restore(&flags.file, &config, Arc::new(open_engine))
        .with_context(|| format!("cannot restore {}", flags.file.display()))?;
    let ids = initial_ids(&config);
    let member = ids.iter().find(|(name, ..)| *name == config.name).map_or(0, |(_, id, _)| *id);
    writeln!(
        out,
        "restored revision {} ({} records) into {} as member {} ({member:x})",
        summary.header.revision,
        summary.records(),
        config.data_dir.display(),
        config.name
    )?;
    let wal_dir = flags.wal_dir.as_ref().map(|dir| format!(" --wal-dir {}", dir.display())).unwrap_or_default();
    writeln!(
        out,
        "next, once every member of the cluster is restored:\n  fairlead store --name {} --data-dir {}{wal_dir} \\\n    \
         --initial-cluster {} --initial-cluster-token {} …",
        config.name,
        config.data_dir.display(),
        config.initial_cluster,
        config.initial_cluster_token
    )?;
    Ok(())
}

fn config(flags: &Restore) -> Config {
    Config {
        data_dir: flags.data_dir.clone().unwrap_or_else(|| format!("{}.etcd", flags.name).into()),
        wal_dir: flags.wal_dir.clone(),
        name: flags.name.clone(),
        initial_cluster: flags.initial_cluster.clone(),
        initial_cluster_token: flags.initial_cluster_token.clone(),
        initial_advertise_peer_urls: flags.initial_advertise_peer_urls.0.clone(),
        ..Config::default()
    }
}

fn open_engine(folder: &Path) -> Result<Arc<dyn Engine>, fairlead_store::engine::Error> {
    Ok(Arc::new(RocksEngine::open(folder, &rocks::Config::default())?))
}
