//! Where a call spends its time: one log line for a slow one, with the phase to blame, and etcd's latency histogram.
//!
//! Promises: a call that its client gives up is logged too, with the phase in which it was: those are the ones that
//! matter. Logs keys and sizes, never values.
//! Source: etcd `server/etcdserver/api/v3rpc/interceptor.go` (`--warning-unary-request-duration`).

use std::time::Duration;

use tokio::time::Instant;

use super::Context;

/// Bytes of a key that a log line shows.
const KEY_BYTES_MAX: usize = 128;

/// What a call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Admission, and the turn of a large read.
    Queue,
    /// Proof that this member's state is current.
    Barrier,
    /// Replication, and apply on this member.
    Propose,
    /// Reading this member's state.
    Read,
    /// Physical removal by a compaction.
    Compact,
}

impl Phase {
    const ALL: [Phase; 5] = [Phase::Queue, Phase::Barrier, Phase::Propose, Phase::Read, Phase::Compact];

    fn name(self) -> &'static str {
        match self {
            Phase::Queue => "queue",
            Phase::Barrier => "barrier",
            Phase::Propose => "propose",
            Phase::Read => "read",
            Phase::Compact => "compact",
        }
    }
}

/// The clock of one call. Dropped without [`Phases::finish`], the call was given up.
pub struct Phases {
    ctx: Context,
    method: &'static str,
    key: Vec<u8>,
    begun: Instant,
    entered: Instant,
    current: Phase,
    spent: [Duration; Phase::ALL.len()],
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
            finished: false,
        }
    }

    /// Ends the current phase and begins `phase`.
    pub fn enter(&mut self, phase: Phase) {
        let now = Instant::now();
        self.spent[self.current as usize] += now - self.entered;
        self.entered = now;
        self.current = phase;
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

    /// The phase that took longest.
    fn guilty(&self) -> Phase {
        Phase::ALL.into_iter().max_by_key(|phase| self.spent[*phase as usize]).expect("there are phases")
    }

    fn log(&self, took: Duration, outcome: &'static str) {
        let millis = |phase: Phase| self.spent[phase as usize].as_millis() as u64;
        tracing::warn!(
            method = self.method,
            key = %self.key.escape_ascii(),
            outcome,
            took_ms = took.as_millis() as u64,
            guilty = self.guilty().name(),
            queue_ms = millis(Phase::Queue),
            barrier_ms = millis(Phase::Barrier),
            propose_ms = millis(Phase::Propose),
            read_ms = millis(Phase::Read),
            compact_ms = millis(Phase::Compact),
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
