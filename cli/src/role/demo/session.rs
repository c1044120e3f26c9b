//! A running demo: carries out what is typed, reports what happens by itself, until it is to end.
//!
//! One task. A command in progress can be called off only by the end of the demo.

use std::io;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use fairlead_chaos_tests::cluster::process::{Cluster, Member, State};
use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::command::{Command, parse};
use super::screen::Screen;
use super::status::Clients;
use super::workload::Workload;

/// How long a new leader may take before it is called missing.
const LEADER_WITHIN: Duration = Duration::from_secs(10);
/// Leadership cannot be subscribed to from outside; this is how often it is asked for while a new one is awaited.
const LEADER_ASK_INTERVAL: Duration = Duration::from_millis(20);
/// Between two live lines for a person, and for a program.
const LIVE_INTERVAL: Duration = Duration::from_secs(1);
const LIVE_INTERVAL_ON_PIPE: Duration = Duration::from_secs(5);

/// A member's process has ended.
struct Ended<'a> {
    member: &'a Member,
    status: Option<ExitStatus>,
}

pub(crate) struct Session<'a> {
    cluster: &'a Cluster,
    clients: Clients,
    screen: &'a mut Screen,
    workload: Option<Workload>,
    /// One a running process.
    exits: FuturesUnordered<BoxFuture<'a, Ended<'a>>>,
    /// Members that we have killed, and whose end is no news.
    killed: Vec<&'a str>,
}

/// What the loop is to do after a command.
enum Next {
    GoOn,
    /// As `GoOn`; the live line begins one interval from now.
    ShowLive,
    Quit,
}

impl<'a> Session<'a> {
    /// # Errors
    /// When a member's URL cannot be used.
    pub(crate) fn new(cluster: &'a Cluster, screen: &'a mut Screen) -> anyhow::Result<Self> {
        let clients = Clients::of(cluster)?;
        let exits = cluster.members().iter().map(until_ended).collect();
        Ok(Session { cluster, clients, screen, workload: None, exits, killed: Vec::new() })
    }

    /// Runs until `shutdown`, `quit`, or the end of a person's input.
    ///
    /// # Errors
    /// When nothing can be shown any more.
    pub(crate) async fn run(
        mut self,
        mut lines: mpsc::Receiver<String>,
        shutdown: &CancellationToken,
    ) -> io::Result<()> {
        let mut live = self.live_interval();
        let mut input_open = true;
        loop {
            self.screen.prompt()?;
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(ended) = self.exits.next() => self.report(&ended)?,
                line = lines.recv(), if input_open => {
                    self.screen.entered();
                    match line {
                        None if self.screen.is_interactive() => break,
                        None => input_open = false,
                        Some(line) => match shutdown.run_until_cancelled(self.obey(&line)).await.transpose()? {
                            None | Some(Next::Quit) => break,
                            Some(Next::ShowLive) => live.reset(),
                            Some(Next::GoOn) => {}
                        }
                    }
                }
                _ = live.tick(), if self.workload.is_some() => self.show_live().await?,
            }
        }
        self.screen.leave_prompt()?;
        match self.workload.take() {
            Some(workload) => self.end_workload(workload).await,
            None => Ok(()),
        }
    }

    fn live_interval(&self) -> Interval {
        let mut live = interval(if self.screen.is_interactive() { LIVE_INTERVAL } else { LIVE_INTERVAL_ON_PIPE });
        live.set_missed_tick_behavior(MissedTickBehavior::Delay);
        live
    }

    async fn obey(&mut self, line: &str) -> io::Result<Next> {
        let command = match parse(line) {
            Ok(None) => return Ok(Next::GoOn),
            Ok(Some(command)) => command,
            Err(error) => return self.screen.fail("input", &error).map(|()| Next::GoOn),
        };
        match command {
            Command::Status => self.show_status().await?,
            Command::Kill(names) => self.each(names, "kill", Self::kill).await?,
            Command::Restart(names) => self.each(names, "restart", Self::restart).await?,
            Command::Pause(names) => self.each(names, "pause", Self::pause).await?,
            Command::Resume(names) => self.each(names, "resume", Self::resume).await?,
            Command::Partition(groups) => self.partition(groups).await?,
            Command::Heal => {
                self.cluster.heal();
                self.screen.ok("heal", "all links pass", None)?;
                self.await_leader(None).await?;
            }
            Command::Workload(on) => {
                self.switch_workload(on).await?;
                return Ok(Next::ShowLive);
            }
            Command::Help => self.screen.help()?,
            Command::Quit => return Ok(Next::Quit),
        }
        Ok(Next::GoOn)
    }

    /// Carries an operation out on each member named, and says how it went; then whether the leader has changed.
    async fn each<F>(&mut self, names: Vec<String>, verb: &str, act: F) -> io::Result<()>
    where
        F: AsyncFn(&mut Self, &'a Member) -> anyhow::Result<&'static str>,
    {
        let before = self.cluster.leader().await;
        for name in names {
            let name = if name == "leader" { before.clone().unwrap_or(name) } else { name };
            let begun = Instant::now();
            let done = match self.cluster.member(&name) {
                Ok(member) => act(self, member).await,
                Err(error) => Err(error.into()),
            };
            match done {
                Ok(said) => self.screen.ok(&format!("{verb} {name}"), said, Some(begun.elapsed()))?,
                Err(error) => self.screen.fail(&format!("{verb} {name}"), &format!("{error:#}"))?,
            }
        }
        self.await_leader(before.as_deref()).await
    }

    async fn kill(&mut self, member: &'a Member) -> anyhow::Result<&'static str> {
        self.killed.push(member.name());
        if let Err(error) = member.kill().await {
            self.killed.retain(|name| *name != member.name());
            return Err(error.into());
        }
        Ok("kill -9, gone")
    }

    async fn restart(&mut self, member: &'a Member) -> anyhow::Result<&'static str> {
        if member.state() != State::Stopped {
            self.kill(member).await?;
        }
        member.spawn()?;
        self.exits.push(until_ended(member));
        member.ready().await?;
        Ok("serves again, on the data it left")
    }

    async fn pause(&mut self, member: &'a Member) -> anyhow::Result<&'static str> {
        member.pause()?;
        Ok("stands still; `resume` lets it go on")
    }

    async fn resume(&mut self, member: &'a Member) -> anyhow::Result<&'static str> {
        member.resume()?;
        Ok("goes on")
    }

    async fn partition(&mut self, groups: Vec<Vec<String>>) -> io::Result<()> {
        let text = groups.iter().map(|group| group.join(" ")).collect::<Vec<_>>().join(" | ");
        let groups: Vec<Vec<&str>> = groups.iter().map(|group| group.iter().map(String::as_str).collect()).collect();
        let groups: Vec<&[&str]> = groups.iter().map(Vec::as_slice).collect();
        if let Some(error) = groups.iter().copied().flatten().find_map(|name| self.cluster.member(name).err()) {
            return self.screen.fail("partition", &error.to_string());
        }
        if groups.len() == 1 && groups[0].len() == self.cluster.members().len() {
            return self.screen.fail("partition", "all on one side is no partition; as in `partition n1 | n2 n3`");
        }
        let before = self.cluster.leader().await;
        self.cluster.heal();
        match self.cluster.partition(&groups) {
            Ok(()) => self.screen.ok("partition", &text, None)?,
            Err(error) => return self.screen.fail("partition", &error.to_string()),
        }
        self.await_leader(before.as_deref()).await
    }

    /// After a fault: waits until a leader is there that can commit, and says if it is another one than `before`.
    async fn await_leader(&mut self, before: Option<&str>) -> io::Result<()> {
        let begun = Instant::now();
        loop {
            let report = self.clients.ask(self.cluster).await;
            let verdict = report.verdict();
            if let (Ok(verdict), Some((leader, _))) = (&verdict, report.leader()) {
                let is_news = before != Some(leader);
                return if is_news { self.screen.ok("leader", verdict, Some(begun.elapsed())) } else { Ok(()) };
            }
            let hopeless = !report.has_majority();
            if let Err(verdict) = verdict
                && (hopeless || begun.elapsed() >= LEADER_WITHIN)
            {
                return self.screen.fail("leader", &verdict);
            }
            tokio::time::sleep(LEADER_ASK_INTERVAL).await;
        }
    }

    async fn show_status(&mut self) -> io::Result<()> {
        let report = self.clients.ask(self.cluster).await;
        if self.screen.is_interactive() {
            self.screen.text(&report.table())?;
        } else {
            for line in report.lines() {
                self.screen.ok("status", &line, None)?;
            }
        }
        match report.verdict() {
            Ok(verdict) => self.screen.ok("quorum", &verdict, None),
            Err(verdict) => self.screen.fail("quorum", &verdict),
        }
    }

    async fn switch_workload(&mut self, on: bool) -> io::Result<()> {
        match (on, self.workload.take()) {
            (true, None) => {
                self.workload = Some(Workload::start(self.clients.all()));
                self.screen.ok("workload on", "writers on every member; `workload off` ends it", None)
            }
            (true, running) => {
                self.workload = running;
                self.screen.fail("workload on", "it is on")
            }
            (false, Some(workload)) => self.end_workload(workload).await,
            (false, None) => self.screen.fail("workload off", "it is off"),
        }
    }

    async fn end_workload(&mut self, workload: Workload) -> io::Result<()> {
        self.screen.end_live()?;
        let total = workload.stop().await;
        self.screen.ok("workload off", &total, None)
    }

    async fn show_live(&mut self) -> io::Result<()> {
        let report = self.clients.ask(self.cluster).await;
        let leader = report.leader().map(|(leader, _)| leader);
        match &mut self.workload {
            Some(workload) => self.screen.live(&workload.live_line(leader)),
            None => Ok(()),
        }
    }

    /// Says so when a process has ended that nobody here has killed.
    fn report(&mut self, ended: &Ended<'_>) -> io::Result<()> {
        let name = ended.member.name();
        if let Some(at) = self.killed.iter().position(|killed| *killed == name) {
            self.killed.swap_remove(at);
            return Ok(());
        }
        let status = ended.status.map_or("nobody knows how".to_owned(), |status| status.to_string());
        let log = ended.member.log_path().display();
        self.screen
            .fail(&format!("{name} ended"), &format!("by itself, {status}; log {log}; `restart {name}` starts it"))
    }
}

/// Its process is up when this is called.
fn until_ended(member: &Member) -> BoxFuture<'_, Ended<'_>> {
    async move { Ended { member, status: member.gone(Duration::MAX).await.ok() } }.boxed()
}
