//! Plays a script of etcdctl commands on one cluster and keeps a levelled transcript.
//!
//! A step runs to its end, or starts a command in the background whose lines later steps wait for. Every command talks to
//! one member only (n1 unless said otherwise), so that both clusters are asked alike.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use fairlead_chaos_tests::cluster::process::Cluster;
use fairlead_proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use fairlead_proto::etcd::etcdserverpb::{MoveLeaderRequest, StatusRequest};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Endpoint;

use crate::level::Level;

/// How long a command or a line of one may take.
const WITHIN: Duration = Duration::from_secs(30);
/// How long background commands get to settle where nothing of theirs can be waited for.
const SETTLE: Duration = Duration::from_millis(700);
/// How often an `until` step asks again.
const ASK_INTERVAL: Duration = Duration::from_millis(100);

enum Kind {
    Run,
    Start(String),
    Lines(String, usize),
    Stop(String),
    Exit(String),
    Until(String),
    Pause,
    Lead(String),
}

/// One step of a script.
pub(crate) struct Step {
    kind: Kind,
    line: String,
    input: Option<String>,
    member: String,
    within: Duration,
    newer: Option<(&'static str, String)>,
}

/// A step and what came of it.
pub(crate) struct Played {
    pub(crate) step: String,
    pub(crate) said: String,
    /// What Fairlead says where it answers as a newer etcd, and which.
    pub(crate) newer: Option<(&'static str, String)>,
}

fn step(kind: Kind, line: &str) -> Step {
    Step { kind, line: line.to_owned(), input: None, member: "n1".to_owned(), within: WITHIN, newer: None }
}

/// Runs a command to its end.
pub(crate) fn etcdctl(line: &str) -> Step {
    step(Kind::Run, line)
}

/// Starts a command in the background.
pub(crate) fn start(name: &str, line: &str) -> Step {
    step(Kind::Start(name.to_owned()), line)
}

/// Makes a member the leader, unless it is.
pub(crate) fn lead(member: &str) -> Step {
    step(Kind::Lead(member.to_owned()), &format!("(lead {member})"))
}

impl Step {
    /// Waits until a background command has written so many lines in all, and shows the new ones.
    pub(crate) fn lines(name: &str, count: usize) -> Step {
        step(Kind::Lines(name.to_owned(), count), &format!("({count} lines of {name})"))
    }

    /// Interrupts a background command and shows the rest.
    pub(crate) fn stop(name: &str) -> Step {
        step(Kind::Stop(name.to_owned()), &format!("(stop {name})"))
    }

    /// Waits for the end of a background command and shows the rest.
    pub(crate) fn exit(name: &str) -> Step {
        step(Kind::Exit(name.to_owned()), &format!("(end of {name})"))
    }

    /// Repeats a command until its output ends so.
    pub(crate) fn until(line: &str, wanted: &str) -> Step {
        step(Kind::Until(wanted.to_owned()), line)
    }

    /// Lets background commands settle.
    pub(crate) fn pause() -> Step {
        step(Kind::Pause, "(pause)")
    }

    /// Fairlead says this, as etcd does since the version in `since`, and ends well.
    pub(crate) fn newer(self, since: &'static str, said: &str) -> Step {
        Step { newer: Some((since, format!("{said}\n[0]"))), ..self }
    }

    pub(crate) fn input(self, input: &str) -> Step {
        Step { input: Some(input.to_owned()), ..self }
    }

    pub(crate) fn at(self, member: &str) -> Step {
        Step { member: member.to_owned(), ..self }
    }

    pub(crate) fn within(self, seconds: u64) -> Step {
        Step { within: Duration::from_secs(seconds), ..self }
    }
}

struct Background {
    child: Child,
    lines: tokio::io::Lines<BufReader<ChildStdout>>,
    // Kept open: an interactive command ends with its input.
    _input: Option<ChildStdin>,
    seen: usize,
}

struct Player<'a> {
    cluster: &'a Cluster,
    level: Level,
    ids: HashMap<String, u64>,
    dir: PathBuf,
    background: HashMap<String, Background>,
}

/// Plays a script to its end.
pub(crate) async fn play(cluster: &Cluster, script: Vec<Step>) -> anyhow::Result<Vec<Played>> {
    let dir = tempfile::tempdir()?;
    let mut player = Player::new(cluster, dir.path()).await?;
    let mut transcript = Vec::new();
    for step in script {
        let said = player.step(&step).await.with_context(|| format!("step {}", step.line))?;
        let input = step.input.as_ref().map(|input| format!(" <<< {input:?}")).unwrap_or_default();
        let played = Played { step: format!("{}{input}", step.line), said, newer: step.newer };
        println!("$ {}\n{}", played.step, played.said);
        transcript.push(played);
    }
    Ok(transcript)
}

impl Player<'_> {
    async fn new<'a>(cluster: &'a Cluster, dir: &Path) -> anyhow::Result<Player<'a>> {
        let mut level = Level::default();
        let mut ids = HashMap::new();
        level.name(dir.display().to_string(), "DIR");
        for member in cluster.members() {
            let (url, name) = (member.client_url(), member.name());
            let status = status(&url).await?;
            level.name(url.clone(), format!("URL-{name}"));
            level.name(url.trim_start_matches("http://"), format!("HOST-{name}"));
            level.name(member.peer_url(), format!("PEER-{name}"));
            level.name(status.0.to_string(), format!("ID-{name}"));
            level.name(format!("{:x}", status.0), format!("ID-{name}"));
            level.name(status.1.to_string(), "CLUSTER");
            level.name(format!("{:x}", status.1), "CLUSTER");
            ids.insert(name.to_owned(), status.0);
        }
        Ok(Player { cluster, level, ids, dir: dir.to_owned(), background: HashMap::new() })
    }

    async fn step(&mut self, step: &Step) -> anyhow::Result<String> {
        match &step.kind {
            Kind::Run => {
                let (code, said) = self.run(step).await?;
                if step.line.starts_with("lease grant") {
                    self.level.note_lease(&said);
                }
                Ok(match step.line.starts_with("check perf") {
                    true => throughput(&said)?,
                    false => format!("{}\n[{code}]", self.levelled(&step.line, &said)),
                })
            }
            Kind::Start(name) => self.start(name, step).await.map(|()| String::new()),
            Kind::Lines(name, count) => self.lines(name, *count).await,
            Kind::Stop(name) => {
                self.interrupt(name)?;
                self.rest(name).await
            }
            Kind::Exit(name) => self.rest(name).await,
            Kind::Until(wanted) => self.until(step, wanted).await,
            Kind::Pause => {
                sleep(SETTLE).await;
                Ok(String::new())
            }
            Kind::Lead(member) => self.lead(member).await.map(|()| String::new()),
        }
    }

    fn levelled(&mut self, line: &str, said: &str) -> String {
        let levelled = self.level.level(said);
        let is_of_all = line.contains("--cluster") || line.starts_with("member list");
        if !is_of_all || levelled.starts_with(['[', '{']) {
            return levelled;
        }
        let levelled = levelled.replace("RaftTerm: …\nID:", "RaftTerm: …\n\nID:");
        // Blocks of fields, or lines, one a member in any order.
        let separator = if levelled.contains("\n\n") { "\n\n" } else { "\n" };
        let mut blocks: Vec<_> = levelled.trim_end().split(separator).collect();
        blocks.sort_by_key(|block| (block.rfind("-n").map(|at| block[at..].to_owned()), (*block).to_owned()));
        blocks.join(separator)
    }

    fn command(&self, step: &Step) -> anyhow::Result<Command> {
        let url = match self.cluster.member(&step.member) {
            Ok(member) => member.client_url(),
            // A port where nobody listens.
            Err(_) => "http://127.0.0.1:9".to_owned(),
        };
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").env("ETCDCTL_ENDPOINTS", url).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for argument in split(&step.line) {
            command.arg(self.filled(&argument)?);
        }
        Ok(command)
    }

    fn filled(&self, argument: &str) -> anyhow::Result<String> {
        let mut filled = argument.replace("{dir}", &self.dir.display().to_string());
        for member in self.cluster.members() {
            filled =
                filled.replace(&format!("{{{}}}", member.name()), member.client_url().trim_start_matches("http://"));
            filled = filled.replace(&format!("{{id:{}}}", member.name()), &format!("{:x}", self.ids[member.name()]));
        }
        if let Some((before, rest)) = filled.split_once("{lease:") {
            let (number, after) = rest.split_once('}').context("{lease:…")?;
            let id = self.level.lease(number.parse()?).context("no such lease yet")?;
            filled = format!("{before}{id}{after}");
        }
        Ok(filled)
    }

    async fn run(&self, step: &Step) -> anyhow::Result<(String, String)> {
        let mut child = self.command(step)?.spawn().context("etcdctl")?;
        let mut stdin = child.stdin.take().context("stdin")?;
        stdin.write_all(step.input.as_deref().unwrap_or_default().as_bytes()).await?;
        drop(stdin);
        let output = timeout(step.within, child.wait_with_output()).await.context("etcdctl hangs")??;
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        Ok((code(output.status), said))
    }

    async fn start(&mut self, name: &str, step: &Step) -> anyhow::Result<()> {
        let mut child = self.command(step)?.spawn().context("etcdctl")?;
        let lines = BufReader::new(child.stdout.take().context("stdout")?).lines();
        let mut stdin = child.stdin.take();
        if let (Some(input), Some(stdin)) = (&step.input, &mut stdin) {
            stdin.write_all(input.as_bytes()).await?;
        }
        self.background.insert(name.to_owned(), Background { child, lines, _input: stdin, seen: 0 });
        Ok(())
    }

    async fn lines(&mut self, name: &str, count: usize) -> anyhow::Result<String> {
        let command = self.background.get_mut(name).context("no such command")?;
        let mut shown = Vec::new();
        while command.seen < count {
            let line = match timeout(WITHIN, command.lines.next_line()).await {
                Ok(line) => line?.with_context(|| format!("{name} ended after {} lines: {shown:?}", command.seen))?,
                Err(_) => {
                    shown.push(format!("(only {} lines)", command.seen));
                    break;
                }
            };
            shown.push(self.level.level(&line));
            command.seen += 1;
        }
        Ok(shown.join("\n"))
    }

    fn interrupt(&self, name: &str) -> anyhow::Result<()> {
        let command = self.background.get(name).context("no such command")?;
        let pid = command.child.id().and_then(|pid| Pid::from_raw(pid as i32)).context("it has ended")?;
        Ok(kill_process(pid, Signal::INT)?)
    }

    async fn rest(&mut self, name: &str) -> anyhow::Result<String> {
        let mut command = self.background.remove(name).context("no such command")?;
        let mut shown = Vec::new();
        let ended = async {
            while let Some(line) = command.lines.next_line().await? {
                shown.push(line);
            }
            let mut errors = String::new();
            if let Some(stderr) = command.child.stderr.as_mut() {
                stderr.read_to_string(&mut errors).await?;
            }
            shown.push(errors);
            anyhow::Ok(command.child.wait().await?)
        };
        let status = timeout(WITHIN, ended).await.context("it does not end")??;
        Ok(format!("{}\n[{}]", self.level.level(&shown.join("\n")), code(status)))
    }

    async fn until(&self, step: &Step, wanted: &str) -> anyhow::Result<String> {
        let asked = Instant::now();
        loop {
            let (_, said) = self.run(step).await?;
            let plain = said.split_inclusive('\n').filter(|line| !line.trim().is_empty()).collect::<String>();
            let reached = if wanted.is_empty() { plain.is_empty() } else { plain.contains(wanted) };
            if reached {
                return Ok(String::new());
            }
            if asked.elapsed() > WITHIN {
                bail!("still {said:?}");
            }
            sleep(ASK_INTERVAL).await;
        }
    }

    async fn lead(&self, member: &str) -> anyhow::Result<()> {
        let leader = self.cluster.wait_leader(WITHIN).await?;
        if leader != member {
            let channel = Endpoint::from_shared(self.cluster.member(&leader)?.client_url())?.connect().await?;
            MaintenanceClient::new(channel).move_leader(MoveLeaderRequest { target_id: self.ids[member] }).await?;
        }
        let asked = Instant::now();
        for other in self.cluster.members() {
            while status(&other.client_url()).await?.2 != self.ids[member] {
                ensure!(asked.elapsed() < WITHIN, "{} does not follow {member}", other.name());
                sleep(ASK_INTERVAL).await;
            }
        }
        Ok(())
    }
}

/// A member's id, its cluster's, and whom it follows.
async fn status(url: &str) -> anyhow::Result<(u64, u64, u64)> {
    let channel = Endpoint::from_shared(url.to_owned())?.connect().await?;
    let status = MaintenanceClient::new(channel).status(StatusRequest {}).await?.into_inner();
    let header = status.header.context("no header")?;
    Ok((header.member_id, header.cluster_id, status.leader))
}

fn code(status: std::process::ExitStatus) -> String {
    status.code().map_or_else(|| status.to_string(), |code| code.to_string())
}

/// What `check perf` says of the throughput. Its other checks, and with them its exit status, judge latencies: on a busy
/// machine they say nothing of the server.
fn throughput(said: &str) -> anyhow::Result<String> {
    let line = said.lines().find_map(|line| line.find("PASS: Throughput").map(|at| &line[at..]));
    let line = line.with_context(|| format!("the throughput was not reached: {said}"))?;
    Ok(line.split(" is ").next().unwrap_or_default().to_owned())
}

/// Splits at blanks; single quotes hold an argument together.
fn split(line: &str) -> Vec<String> {
    let (mut arguments, mut argument, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    for c in line.chars() {
        match c {
            '\'' => (quoted, any) = (!quoted, true),
            ' ' if !quoted => {
                if any {
                    arguments.push(std::mem::take(&mut argument));
                }
                any = false;
            }
            c => {
                argument.push(c);
                any = true;
            }
        }
    }
    if any {
        arguments.push(argument);
    }
    arguments
}
