//! Starts the demo's members, phase by phase, and says what runs.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use fairlead_chaos_tests::cluster::process::{Cluster, Config, Target};
use futures::future::try_join_all;

use super::Args;
use super::screen::Screen;
use super::status::Clients;

/// etcd's port, and the two that its own three-member examples use (etcd `Procfile`).
const CLIENT_PORTS: [u16; 3] = [2379, 22379, 32379];
/// The workload writes the same keys again and again: a minute of history is enough.
const FLAGS: [&str; 4] = ["--auto-compaction-mode", "periodic", "--auto-compaction-retention", "1m"];
const LEADER_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

/// Three members, ready to serve.
///
/// # Errors
/// What could not be had, and what to try.
pub(crate) async fn start(args: &Args, screen: &mut Screen) -> anyhow::Result<Cluster> {
    if let Some(dir) = &args.keep {
        check_empty(dir)?;
    }
    let target = match &args.store_binary {
        Some(program) => Target::Etcd(program.clone()),
        None => Target::Fairlead(std::env::current_exe().context("find this program's own file")?),
    };
    let config = Config {
        dir: args.keep.clone(),
        client_ports: CLIENT_PORTS.to_vec(),
        args: FLAGS.map(str::to_owned).to_vec(),
        ..Config::new(target)
    };
    let cluster = Cluster::prepare(config).await.context("prepare three members")?;
    ports(args, &cluster, screen)?;

    let begun = Instant::now();
    for member in cluster.members() {
        member.spawn()?;
    }
    try_join_all(cluster.members().iter().map(|member| member.ready())).await?;
    screen.ok("store", "n1 n2 n3 ready, a process each", Some(begun.elapsed()))?;

    let begun = Instant::now();
    let leader = cluster.wait_leader(LEADER_WITHIN).await?;
    let report = Clients::of(&cluster)?.ask(&cluster).await;
    let term = report.leader().map_or(0, |(_, term)| term);
    screen.ok("leader", &format!("{leader} in term {term}"), Some(begun.elapsed()))?;
    introduce(args, &cluster, screen)?;
    Ok(cluster)
}

/// Peers reach each other through proxies on other ports at each start, so members cannot take up an earlier demo's data.
fn check_empty(dir: &Path) -> anyhow::Result<()> {
    match std::fs::read_dir(dir) {
        Ok(mut entries) => ensure!(
            entries.next().is_none(),
            "{} is not empty: a demo begins anew each time, name a folder that is empty or not there yet",
            dir.display()
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("read {}", dir.display())),
    }
    Ok(())
}

fn ports(args: &Args, cluster: &Cluster, screen: &mut Screen) -> anyhow::Result<()> {
    let (mut all, mut busy) = (Vec::new(), Vec::new());
    for (member, wanted) in cluster.members().iter().zip(CLIENT_PORTS) {
        let url = member.client_url();
        let port = url.rsplit(':').next().unwrap_or_default().to_owned();
        if port != wanted.to_string() {
            busy.push(wanted.to_string());
        }
        all.push(format!("{} {port}", member.name()));
    }
    let (all, busy) = (all.join(", "), busy.join(", "));
    match (busy.is_empty(), args.strict_ports) {
        (true, _) => screen.ok("ports", &all, None)?,
        (false, false) => screen.ok("ports", &format!("{all} (in use by others: {busy})"), None)?,
        (false, true) => bail!("port {busy} is in use: stop what listens there, or leave out --strict-ports"),
    }
    Ok(())
}

fn introduce(args: &Args, cluster: &Cluster, screen: &mut Screen) -> anyhow::Result<()> {
    let (folder, urls) = (cluster.dir().display(), cluster.client_urls().join(",").replace("http://", ""));
    let life = match &args.keep {
        None => "until quit, Ctrl-C or SIGTERM; nothing is left behind",
        Some(_) => "and stay there after quit, Ctrl-C or SIGTERM",
    };
    let etcdctl = format!("export ETCDCTL_API=3 ETCDCTL_ENDPOINTS={urls}");
    if !screen.is_interactive() {
        screen.ok("folder", &format!("{folder} {life}"), None)?;
        screen.ok("etcdctl", &etcdctl, None)?;
        screen.ok("demo", "runs until SIGTERM; commands are read from standard input, `help` lists them", None)?;
        return Ok(());
    }
    let what = match &args.store_binary {
        None => format!("Fairlead {}", env!("CARGO_PKG_VERSION")),
        Some(program) => program.display().to_string(),
    };
    screen.text(&format!(
        "\nThree members of {what} on this machine's loopback; the links between them can be cut.\n\
         Data and logs live in {folder}\n{life}.\n\n  \
         etcdctl   {etcdctl}\n            etcdctl put greeting hello && etcdctl get greeting\n\n\
         Try:  workload on   kill leader   status   restart n1   partition n1 | n2 n3   heal   help\n"
    ))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_something_in_it_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        check_empty(dir.path()).unwrap();
        check_empty(&dir.path().join("new")).unwrap();
        std::fs::write(dir.path().join("mine"), "").unwrap();
        assert!(check_empty(dir.path()).unwrap_err().to_string().contains("is not empty"));
    }
}
