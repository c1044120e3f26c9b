//! Where a call spends its time: one log line for a slow one, with the phase to blame, and etcd's latency histogram.
//!
//! Promises: a call that its client gives up is logged too, with the phase in which it was: those are the ones that
//! matter. A proposal's time is told apart (`raft::Trace`): waiting for its turn, replication, apply. Logs keys, never values.
//! Source: etcd `server/etcdserver/api/v3rpc/interceptor.go` (`--warning-unary-request-duration`).

use std::time::Duration;

use tokio::time::Instant;

use super::Context;
use crate::raft::{Spent, Trace};

/// Bytes of a key that a log line shows.
const KEY_BYTES_MAX: usize = 128;

/// What a call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Admission.
    Queue,
    /// Proof that this member's state is current.
    Barrier,
    /// Through the log, to apply on this member.
    Propose,
    /// Reading this member's state.
    Read,
    /// Physical removal by a compaction.
    Compact,
}

/// How many phases there are.
const PHASES: usize = 5;

/// The clock of one call. Dropped without [`Phases::finish`], the call was given up.
pub struct Phases {
    ctx: Context,
    method: &'static str,
    key: Vec<u8>,
    begun: Instant,
    entered: Instant,
    current: Phase,
    spent: [Duration; PHASES],
    /// When the command was proposed, and how far it has come since.
    proposed: Option<Instant>,
    trace: Trace,
    finished: bool,
}

impl Phases {
    /// Starts the clock in [`Phase::Queue`].
    #[must_use]
    pub fn start(ctx: &Context, method: &'static str, key: &[u8]) -> Phases {
        let now = Instant::now();
        Phases {
            ctx: ctx.clone(),
            method,
            key: key[..key.len().min(KEY_BYTES_MAX)].to_vec(),
            begun: now,
            entered: now,
            current: Phase::Queue,
            spent: Default::default(),
            proposed: None,
            trace: Trace::default(),
            finished: false,
        }
    }

    /// Ends the current phase and begins `phase`.
    pub fn enter(&mut self, phase: Phase) {
        let now = Instant::now();
        self.spent[self.current as usize] += now - self.entered;
        self.entered = now;
        self.current = phase;
        if phase == Phase::Propose {
            self.proposed.get_or_insert(now);
        }
    }

    /// To be told how far the proposal has come.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Stops the clock.
    pub fn finish<T, E>(mut self, result: &Result<T, E>) {
        self.finished = true;
        self.enter(Phase::Queue);
        let took = self.entered - self.begun;
        let success = if result.is_ok() { "true" } else { "false" };
        let histogram = &self.ctx.metrics.server.request_duration_seconds;
        histogram.with_label_values(&[self.method, success]).observe(took.as_secs_f64());
        if took > self.ctx.limits.slow_request {
            self.log(took, if result.is_ok() { "ok" } else { "refused" });
        }
    }

    /// What took how long, by the names that the log gives.
    fn parts(&self) -> [(&'static str, Duration); 6] {
        let spent = |phase: Phase| self.spent[phase as usize];
        let proposal = self.proposed.map_or_else(Spent::default, |at| self.trace.spent(at, at + spent(Phase::Propose)));
        [
            ("queue", spent(Phase::Queue) + proposal.queue),
            ("barrier", spent(Phase::Barrier)),
            ("replicate", proposal.replicate),
            ("apply", proposal.apply),
            ("read", spent(Phase::Read)),
            ("compact", spent(Phase::Compact)),
        ]
    }

    fn log(&self, took: Duration, outcome: &'static str) {
        let parts = self.parts();
        let [queue, barrier, replicate, apply, read, compact] = parts.map(|(_, spent)| spent.as_millis() as u64);
        let guilty = parts.into_iter().max_by_key(|(_, spent)| *spent).map_or("", |(name, _)| name);
        tracing::warn!(
            method = self.method,
            key = %self.key.escape_ascii(),
            outcome,
            took_ms = took.as_millis() as u64,
            guilty,
            queue_ms = queue,
            barrier_ms = barrier,
            replicate_ms = replicate,
            apply_ms = apply,
            read_ms = read,
            compact_ms = compact,
            "request took too long"
        );
    }
}

impl Drop for Phases {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        self.enter(self.current);
        let took = self.entered - self.begun;
        if took > self.ctx.limits.slow_request {
            self.log(took, "given up by the client");
        }
    }
}
