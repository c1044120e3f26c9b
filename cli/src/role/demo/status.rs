//! What each member says of itself, and what that means for writes.

use std::time::Duration;

use fairlead_chaos_tests::cluster::process::{Cluster, State};
use fairlead_client::etcd::{Client, Options, pb};
use futures::future::join_all;
use tokio::time::timeout;

/// How long a member may take to say how it is.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// A client of each member, by name.
pub(crate) struct Clients(Vec<(String, Client)>);

impl Clients {
    /// # Errors
    /// When a member's URL cannot be used.
    pub(crate) fn of(cluster: &Cluster) -> anyhow::Result<Self> {
        let client = |url| Client::connect([url], Options::default());
        let all = cluster.members().iter().map(|member| Ok((member.name().to_owned(), client(member.client_url())?)));
        Ok(Clients(all.collect::<anyhow::Result<_>>()?))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Client> {
        self.0.iter().map(|(_, client)| client)
    }

    /// Asks all members at once.
    pub(crate) async fn ask(&self, cluster: &Cluster) -> Report {
        let ask = async |(name, client): &(String, Client)| {
            let member = cluster.member(name).ok();
            let state = member.map_or(State::Stopped, |member| member.state());
            // A stopped or paused process cannot answer, so it is not waited for.
            let answer = match state {
                State::Running | State::Starting => timeout(ANSWER_WITHIN, client.status()).await.ok(),
                State::Paused | State::Stopped => None,
            };
            Row {
                name: name.clone(),
                state,
                pid: member.filter(|_| state != State::Stopped).and_then(|member| member.pid()),
                url: member.map(|member| member.client_url()).unwrap_or_default(),
                status: answer.and_then(Result::ok),
            }
        };
        let faults = cluster.links().faults();
        let cut = faults.into_iter().map(|(from, to, _)| (from, to)).collect();
        Report { rows: join_all(self.0.iter().map(ask)).await, cut }
    }
}

pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) state: State,
    pid: Option<u32>,
    url: String,
    status: Option<pb::StatusResponse>,
}

impl Row {
    fn leads_in(&self) -> Option<u64> {
        let status = self.status.as_ref()?;
        (status.leader == status.header.as_ref()?.member_id).then_some(status.raft_term)
    }

    fn role(&self) -> &'static str {
        match &self.status {
            None => "-",
            Some(_) if self.leads_in().is_some() => "leader",
            Some(status) if status.is_learner => "learner",
            Some(status) if status.leader == 0 => "no leader",
            Some(_) => "follower",
        }
    }

    fn state(&self) -> &'static str {
        match (self.state, &self.status) {
            (State::Running, None) => "silent",
            (State::Running, Some(_)) => "running",
            (State::Starting, _) => "starting",
            (State::Paused, _) => "paused",
            (State::Stopped, _) => "stopped",
        }
    }

    /// Term, revision, index and size as text; dashes when it does not answer.
    fn figures(&self) -> [String; 4] {
        let Some(status) = &self.status else { return std::array::from_fn(|_| "-".to_owned()) };
        let revision = status.header.as_ref().map_or(0, |header| header.revision);
        [
            status.raft_term.to_string(),
            revision.to_string(),
            status.raft_index.to_string(),
            format!("{}KiB", status.db_size / 1024),
        ]
    }
}

/// All members at one time.
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    /// Directed links that carry nothing.
    cut: Vec<(String, String)>,
}

impl Report {
    /// Who leads in the newest term.
    pub(crate) fn leader(&self) -> Option<(&str, u64)> {
        let leading = self.rows.iter().filter_map(|row| Some((row.leads_in()?, row.name.as_str())));
        leading.max().map(|(term, name)| (name, term))
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut lines = vec![format!(
            "  {:<8}{:<10}{:<11}{:<6}{:<10}{:<10}{:<10}{:<9}{}",
            "member", "state", "role", "term", "revision", "index", "size", "pid", "client URL"
        )];
        for row in &self.rows {
            let [term, revision, index, size] = row.figures();
            let pid = row.pid.map_or("-".to_owned(), |pid| pid.to_string());
            let (state, role) = (row.state(), row.role());
            lines.push(format!(
                "  {:<8}{state:<10}{role:<11}{term:<6}{revision:<10}{index:<10}{size:<10}{pid:<9}{}",
                row.name, row.url
            ));
        }
        lines.join("\n")
    }

    /// For programs: a line a member.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        self.rows.iter().map(|row| {
            let [term, revision, index, size] = row.figures();
            let pid = row.pid.map_or("-".to_owned(), |pid| pid.to_string());
            let (name, state, role, url) = (&row.name, row.state(), row.role().replace(' ', "-"), &row.url);
            format!(
                "{name} state={state} role={role} term={term} revision={revision} index={index} size={size} pid={pid} url={url}"
            )
        })
    }

    /// Whether writes can succeed, in a sentence; `Err` when they cannot.
    pub(crate) fn verdict(&self) -> Result<String, String> {
        let members = self.rows.len();
        let quorum = members / 2 + 1;
        let answering = self.rows.iter().filter(|row| row.status.is_some()).count();
        let cut = match self.cut.as_slice() {
            [] => String::new(),
            cut => format!("; cut: {}", cut.iter().map(|(a, b)| format!("{a}→{b}")).collect::<Vec<_>>().join(" ")),
        };
        let reached = self.leader().map(|(leader, term)| (leader, term, self.reached_by(leader)));
        match reached {
            Some((leader, term, reached)) if reached >= quorum => {
                Ok(format!("{leader} leads in term {term} with {reached} of {members} members: writes succeed{cut}"))
            }
            Some((leader, _, reached)) => Err(format!(
                "{leader} still says it leads, with {reached} of {members} members (a majority is {quorum}): writes wait{cut}"
            )),
            None => Err(format!(
                "no leader; {answering} of {members} members answer, a majority is {quorum}: writes wait{cut}"
            )),
        }
    }

    /// Whether any part of the cluster can elect: enough members answer, and enough of them reach each other.
    pub(crate) fn has_majority(&self) -> bool {
        self.rows.iter().any(|row| row.status.is_some() && self.reached_by(&row.name) > self.rows.len() / 2)
    }

    /// Members that answer and whose links to and from `leader` are whole, itself included.
    fn reached_by(&self, leader: &str) -> usize {
        let whole = |a: &str, b: &str| !self.cut.iter().any(|(from, to)| from == a && to == b);
        let reached = |row: &&Row| row.status.is_some() && whole(leader, &row.name) && whole(&row.name, leader);
        self.rows.iter().filter(reached).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, state: State, id: u64, leader: u64, term: u64) -> Row {
        let header = pb::ResponseHeader { member_id: id, revision: 9, ..Default::default() };
        let status = pb::StatusResponse { header: Some(header), leader, raft_term: term, ..Default::default() };
        let answers = state == State::Running;
        Row {
            name: name.to_owned(),
            state,
            pid: Some(7),
            url: "http://a".to_owned(),
            status: answers.then_some(status),
        }
    }

    #[test]
    fn the_verdict_says_whether_writes_succeed_and_why() {
        let mut report = Report {
            rows: vec![
                row("n1", State::Running, 1, 1, 3),
                row("n2", State::Running, 2, 1, 3),
                row("n3", State::Stopped, 3, 0, 0),
            ],
            cut: Vec::new(),
        };
        assert_eq!(report.verdict().unwrap(), "n1 leads in term 3 with 2 of 3 members: writes succeed");
        report.cut = vec![("n1".to_owned(), "n2".to_owned())];
        assert!(report.verdict().unwrap_err().starts_with("n1 still says it leads, with 1 of 3 members"));
        report.rows[0] = row("n1", State::Paused, 1, 1, 3);
        report.rows[1] = row("n2", State::Running, 2, 0, 4);
        assert!(report.verdict().unwrap_err().starts_with("no leader; 1 of 3 members answer"));
        assert!(report.lines().nth(1).unwrap().starts_with("n2 state=running role=no-leader term=4 revision=9"));
        assert_eq!(report.table().lines().count(), 4);
    }

    #[test]
    fn of_two_that_say_they_lead_the_newer_term_counts() {
        let rows = vec![row("n1", State::Running, 1, 1, 3), row("n2", State::Running, 2, 2, 4)];
        assert_eq!(Report { rows, cut: Vec::new() }.leader(), Some(("n2", 4)));
    }
}
