//! F-03: SIGSTOP for its time: the process holds its connections and its leases, and says nothing.

use super::ledger::{Process, Undo};
use super::{Error, Fault, Ground, figures};
use crate::cluster::process::State;
use crate::history::Figures;

#[derive(Default)]
pub(super) struct Pause {
    stopped: Vec<(String, Process, u64)>,
}

#[tonic::async_trait]
impl Fault for Pause {
    async fn apply(&mut self, ground: &Ground, on: &[String]) -> Result<Figures, Error> {
        for name in on {
            let member = ground.cluster.member(name)?;
            let process = member.pid().and_then(Process::of).filter(|_| member.state() == State::Running);
            let Some(process) = process else { continue };
            let entry = ground.enter(Undo::Resume(process))?;
            self.stopped.push((name.clone(), process, entry));
            member.pause()?;
        }
        Ok(figures([("paused", self.stopped.len() as u64)]))
    }

    async fn witness(&mut self, _: &Ground) -> Result<Figures, Error> {
        let stopped = self.stopped.iter().filter(|(_, process, _)| process.is_stopped()).count() as u64;
        match stopped {
            0 => Err(Error::NoEffect("no member is stopped".to_owned())),
            stopped => Ok(figures([("stopped", stopped)])),
        }
    }

    async fn heal(&mut self, ground: &Ground) -> Result<Figures, Error> {
        for (name, process, entry) in self.stopped.drain(..) {
            let member = ground.cluster.member(&name)?;
            // Killed meanwhile by another fault, it may be a new process by now.
            if member.pid() == Some(process.pid) && member.state() == State::Paused {
                member.resume()?;
            }
            ground.undone(entry)?;
        }
        Ok(Figures::new())
    }
}
