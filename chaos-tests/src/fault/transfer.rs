//! F-70: leadership is handed to the next member again and again.

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
    handed: Arc<AtomicU64>,
    task: Option<JoinHandle<()>>,
}

impl Transfer {
    pub(super) fn new(every_ms: u64) -> Transfer {
        Transfer { every: Duration::from_millis(every_ms), handed: Arc::default(), task: None }
    }
}

/// One hand-over, if some member says that it leads.
async fn hand_on(admins: &[Client], round: usize) -> bool {
    for admin in admins {
        let Ok(status) = admin.status().await else { continue };
        let me = status.header.as_ref().map_or(0, |header| header.member_id);
        if status.leader != me || me == 0 {
            continue;
        }
        let Ok(members) = admin.member_list(false).await else { continue };
        let others: Vec<u64> = members.members.iter().map(|member| member.id).filter(|id| *id != me).collect();
        let Some(target) = others.get(round % others.len().max(1)) else { continue };
        return admin.move_leader(*target).await.is_ok();
    }
    false
}

#[tonic::async_trait]
impl Fault for Transfer {
    async fn apply(&mut self, ground: &Ground, _: &[String]) -> Result<Figures, Error> {
        let admins: Vec<Client> = ground.names().iter().map(|name| ground.admin(name).clone()).collect();
        let (every, handed) = (self.every, Arc::clone(&self.handed));
        self.task = Some(tokio::spawn(async move {
            for round in 0usize.. {
                handed.fetch_add(u64::from(hand_on(&admins, round).await), Ordering::Relaxed);
                sleep(every).await;
            }
        }));
        Ok(Figures::new())
    }

    async fn witness(&mut self, _: &Ground) -> Result<Figures, Error> {
        match self.handed.load(Ordering::Relaxed) {
            0 => Err(Error::NoEffect("leadership was never handed on".to_owned())),
            handed => Ok(figures([("handed_on", handed)])),
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
