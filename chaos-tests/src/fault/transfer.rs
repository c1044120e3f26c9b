//! F-70: leadership is handed to another member again and again. One that cannot take it costs an election, which is an effect,
//! too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fairlead_client::etcd::Client;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{Error, Fault, Ground, figures};
use crate::history::Figures;

pub(super) struct Transfer {
    every: Duration,
    seen: Arc<Seen>,
    task: Option<JoinHandle<()>>,
}

/// What has come of it.
#[derive(Default)]
struct Seen {
    handed: AtomicU64,
    first_term: AtomicU64,
    last_term: AtomicU64,
}

impl Transfer {
    pub(super) fn new(every_ms: u64) -> Transfer {
        Transfer { every: Duration::from_millis(every_ms), seen: Arc::default(), task: None }
    }
}

/// One hand-over, if some member says that it leads.
async fn hand_on(admins: &[Client], seen: &Seen) {
    for admin in admins {
        let Ok(status) = admin.status().await else { continue };
        let me = status.header.as_ref().map_or(0, |header| header.member_id);
        if status.leader != me || me == 0 {
            continue;
        }
        if seen.last_term.fetch_max(status.raft_term, Ordering::Relaxed) == 0 {
            seen.first_term.store(status.raft_term, Ordering::Relaxed);
        }
        let Ok(members) = admin.member_list(false).await else { continue };
        let others: Vec<u64> = members.members.iter().map(|member| member.id).filter(|id| *id != me).collect();
        if others.is_empty() {
            return;
        }
        let target = others[rand::random_range(0..others.len())];
        seen.handed.fetch_add(u64::from(admin.move_leader(target).await.is_ok()), Ordering::Relaxed);
        return;
    }
}

#[tonic::async_trait]
impl Fault for Transfer {
    async fn apply(&mut self, ground: &Ground, _: &[String]) -> Result<Figures, Error> {
        let admins: Vec<Client> = ground.names().iter().map(|name| ground.admin(name).clone()).collect();
        let (every, seen) = (self.every, Arc::clone(&self.seen));
        self.task = Some(tokio::spawn(async move {
            loop {
                hand_on(&admins, &seen).await;
                sleep(every).await;
            }
        }));
        Ok(Figures::new())
    }

    async fn witness(&mut self, _: &Ground) -> Result<Figures, Error> {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (handed, terms) = (load(&self.seen.handed), load(&self.seen.last_term) - load(&self.seen.first_term));
        match handed + terms {
            0 => Err(Error::NoEffect("leadership never moved".to_owned())),
            _ => Ok(figures([("handed_on", handed), ("terms", terms)])),
        }
    }

    async fn heal(&mut self, _: &Ground) -> Result<Figures, Error> {
        if let Some(task) = self.task.take() {
            task.abort();
        }
        Ok(Figures::new())
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
