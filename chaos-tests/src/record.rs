//! The recorder: one clock, one file, and the numbers that make clients, operations and watches unique in a run.
//!
//! Everything that happens in a run passes through it, from any task. A write that fails does not stop the traffic; the run
//! asks [`Recorder::finish`] and is worth nothing then.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::history::{
    Event, Fault, FaultStep, Header, Invoke, Member, MemberStep, Outcome, Phase, Request, Return, Watch, WatchStep,
    WriteError, Writer,
};

/// Where a run is recorded.
#[derive(Debug)]
pub struct Recorder {
    start: Instant,
    writer: Mutex<Option<Writer<BufWriter<File>>>>,
    failure: Mutex<Option<WriteError>>,
    ops: AtomicU64,
    clients: AtomicU64,
    watches: AtomicU64,
    succeeded: AtomicU64,
    failed: AtomicU64,
    unknown: AtomicU64,
}

/// What a recorder has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Operations that were done.
    pub succeeded: u64,
    /// Operations that were certainly not done.
    pub failed: u64,
    /// Operations of which nobody knows.
    pub unknown: u64,
}

impl Counted {
    /// All of them.
    #[must_use]
    pub fn all(self) -> u64 {
        self.succeeded + self.failed + self.unknown
    }
}

impl Recorder {
    /// Opens a history at `path`, in place of what was there; its clock begins now.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(path: &Path, header: &Header) -> Result<Recorder, WriteError> {
        let writer = Writer::new(BufWriter::new(File::create(path)?), header)?;
        Ok(Recorder {
            start: Instant::now(),
            writer: Mutex::new(Some(writer)),
            failure: Mutex::new(None),
            ops: AtomicU64::new(0),
            clients: AtomicU64::new(0),
            watches: AtomicU64::new(0),
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
        })
    }

    /// Nanoseconds since the start.
    pub fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Records what happens now.
    pub fn record(&self, event: &Event) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock: records are in the order of their times.
        let at = self.now();
        let Some(open) = writer.as_mut() else { return };
        if let Err(error) = open.write(at, event) {
            *writer = None;
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    }

    /// A phase begins.
    pub fn phase(&self, phase: Phase) {
        self.record(&Event::Phase(phase));
    }

    /// A number for a client: one that has never been used.
    pub fn client(&self) -> u64 {
        self.clients.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A client asks a member; the operation's number.
    pub fn invoke(&self, client: u64, member: u64, request: Request) -> u64 {
        let op = self.ops.fetch_add(1, Ordering::Relaxed) + 1;
        self.record(&Event::Invoke(Invoke { op, client, member, request }));
        op
    }

    /// The client is told.
    pub fn returned(&self, op: u64, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Ok(_) => &self.succeeded,
            Outcome::Failed(_) => &self.failed,
            Outcome::Unknown(_) => &self.unknown,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.record(&Event::Return(Return { op, outcome }));
    }

    /// A number for a watch.
    pub fn watch_number(&self) -> u64 {
        self.watches.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A watch goes on.
    pub fn watch(&self, watch: u64, step: WatchStep) {
        self.record(&Event::Watch(Watch { watch, step }));
    }

    /// A fault goes on.
    pub fn fault(&self, id: u64, step: FaultStep) {
        self.record(&Event::Fault(Fault { id, step }));
    }

    /// A member goes on.
    pub fn member(&self, id: u64, step: MemberStep) {
        self.record(&Event::Member(Member { id, step }));
    }

    /// Operations so far.
    pub fn counted(&self) -> Counted {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counted { succeeded: load(&self.succeeded), failed: load(&self.failed), unknown: load(&self.unknown) }
    }

    /// Closes the file; nothing is recorded from here on.
    ///
    /// # Errors
    /// The first write that failed.
    pub fn finish(&self) -> Result<(), WriteError> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(error) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        if let Some(writer) = writer {
            writer.finish()?.flush()?;
        }
        Ok(())
    }
}
