//! Watches the members while a run goes on: an end that nobody asked for, who leads, how far each has come.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::sleep;

use crate::cluster::process::State;
use crate::fault::Ground;
use crate::history::MemberStep;

/// A process's end is noticed within this; so is a new leader.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Looks between two records of how far a member is.
const STATUS_EVERY: u32 = 10;

/// Goes on until it is dropped.
pub(super) async fn watch(ground: Arc<Ground>) {
    let names = ground.names();
    // The pid of each member whose end is already recorded.
    let mut ended: HashMap<String, u32> = HashMap::new();
    let mut leading = (0, 0);
    for look in 0u32.. {
        for name in &names {
            unexpected_end(&ground, name, &mut ended);
        }
        if look.is_multiple_of(STATUS_EVERY) {
            let statuses = join_all(names.iter().map(|name| ground.status(name))).await;
            for (name, status) in names.iter().zip(statuses) {
                let Some(status) = status else { continue };
                let (number, header) = (ground.number(name), status.header.unwrap_or_default());
                let step = MemberStep::Status {
                    applied: status.raft_applied_index.max(status.raft_index),
                    revision: header.revision,
                    term: status.raft_term,
                };
                ground.recorder.member(number, step);
                if status.leader == header.member_id && (status.raft_term, number) > leading {
                    leading = (status.raft_term, number);
                    ground.recorder.member(number, MemberStep::Leader { term: status.raft_term });
                }
            }
        }
        sleep(LOOK_EVERY).await;
    }
}

fn unexpected_end(ground: &Ground, name: &str, ended: &mut HashMap<String, u32>) {
    let Ok(member) = ground.cluster.member(name) else { return };
    let (Some(pid), Some(status)) = (member.pid(), member.exit_status()) else { return };
    if member.state() != State::Stopped || ground.was_told(name) || ended.get(name) == Some(&pid) {
        return;
    }
    ended.insert(name.to_owned(), pid);
    let step = MemberStep::Ended { expected: false, status: status.to_string() };
    ground.recorder.member(ground.number(name), step);
}
