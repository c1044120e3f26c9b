//! Runs the Python script in an environment of its own, made once in the target folder.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, ensure};
use fairlead_chaos_tests::cluster::process::Cluster;
use tokio::process::Command;
use tokio::time::timeout;

/// The client, and the last releases of what it needs that still work with it.
const PACKAGES: [&str; 3] = ["etcd3==0.12.0", "protobuf==3.20.3", "tenacity==6.3.1"];
const SCRIPT: &str = "tests/clients/etcd3_script.py";
/// How long the packages may take to come.
const INSTALLED_WITHIN: Duration = Duration::from_secs(300);
/// How long the script may take.
const PLAYED_WITHIN: Duration = Duration::from_secs(60);

/// The interpreter of a virtual environment that has the client.
pub(crate) async fn environment() -> anyhow::Result<PathBuf> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-etcd3-0.12.0");
    let (python, finished) = (dir.join("bin/python"), dir.join("finished"));
    if !finished.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir), INSTALLED_WITHIN)
            .await
            .context("python3 -m venv (Debian: python3-venv)")?;
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES);
        run(&mut pip, INSTALLED_WITHIN).await.context("pip install")?;
        std::fs::write(&finished, "")?;
    }
    Ok(python)
}

/// Plays the script against a cluster's first member.
pub(crate) async fn play(python: &Path, cluster: &Cluster) -> anyhow::Result<()> {
    let url = cluster.member("n1")?.client_url();
    let (host, port) = url.trim_start_matches("http://").split_once(':').context("host and port")?;
    let mut script = Command::new(python);
    // The generated code is older than the C++ implementation's checks.
    script.env("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python").arg(SCRIPT).args([host, port]);
    let output = run(&mut script, PLAYED_WITHIN).await?;
    ensure!(output.stdout.ends_with(b"all passed\n"), "{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

async fn run(command: &mut Command, within: Duration) -> anyhow::Result<Output> {
    let output = timeout(within, command.kill_on_drop(true).output()).await.context("it takes too long")??;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{}: {said}", output.status);
    Ok(output)
}
