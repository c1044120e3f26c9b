//! The one that writes: takes what has arrived, writes it, syncs once, answers; and again.
//!
//! While a sync runs, requests gather; the next group takes them all, bounded by `log_group_bytes_max` only, so a slow disk gets
//! larger groups and not a longer queue. Of the appends of one group only the newest `Done` is called: it stands for the older ones,
//! which are dropped uncalled (openraft keeps a watermark; calling each costs three times the group's latency).
//! When idle it writes what the last group has made durable, so that damage there is noticed too, and the committed mark.
//! The first error ends it, and is told to [`super::Config::fatal`].

use std::sync::Arc;
use std::thread;

use tokio::sync::oneshot;

use super::tail::{Group, Op, Shared, Work, refuse, reply};
use super::writer::Writer;
use super::{Drive, Error, Flusher};

/// Starts the flusher on what the configuration names.
pub(super) fn start(writer: Writer) -> Result<Flusher, Error> {
    let (finish, finished) = oneshot::channel::<()>();
    let alarm = Alarm { fatal: Arc::clone(&writer.config.fatal) };
    let drive = writer.config.drive;
    let work = async move {
        let _alarm = alarm;
        run(writer).await;
        // That it ends is the message; nobody may be waiting for it.
        drop(finish);
    };
    let thread = match drive {
        Drive::Task => {
            drop(tokio::spawn(work));
            None
        }
        Drive::Thread => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(Error::Start)?;
            let builder = thread::Builder::new().name("log-flusher".into());
            Some(builder.spawn(move || runtime.block_on(work)).map_err(Error::Start)?)
        }
    };
    Ok(Flusher { finished, thread })
}

/// Those who wait for a flusher that has panicked would wait for ever.
struct Alarm {
    fatal: Arc<dyn Fn(&Error) + Send + Sync>,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if thread::panicking() {
            (self.fatal)(&Error::Closed);
        }
    }
}

/// Runs until the log is closed or fails.
async fn run(mut writer: Writer) {
    let shared = Arc::clone(&writer.shared);
    loop {
        let result = match shared.take_group(writer.config.log_group_bytes_max) {
            Work::Group(group) => flush(&mut writer, &shared, group).await,
            Work::Idle { committed_moved } => rest(&mut writer, &shared, committed_moved).await,
            Work::Closing => {
                if let Err(error) = finish(&mut writer, &shared).await {
                    fail(&writer, &shared, error);
                }
                return;
            }
        };
        if let Err(error) = result {
            fail(&writer, &shared, error);
            return;
        }
    }
}

/// Makes a group durable and answers it.
async fn flush(writer: &mut Writer, shared: &Shared, mut group: Group) -> Result<(), Error> {
    if let Err(error) = writer.write(&mut group).await {
        // Parked where `fail` finds them, so that nobody hears of the failure before `fatal` does.
        shared.put_back(group);
        return Err(error);
    }
    shared.durable(&group.ops, group.bytes, writer.cursor.end());
    let newest = group.ops.iter().rposition(|queued| matches!(queued.op, Op::Entries(..)));
    for (place, queued) in group.ops.into_iter().enumerate() {
        match queued.op {
            Op::Entries(_, done) if Some(place) == newest => done(Ok(())),
            Op::Vote(_, answer) | Op::Reset(_, Some(answer)) => reply(answer, Ok(())),
            Op::Entries(..) | Op::Truncate(_) | Op::Purge(_) | Op::Reset(_, None) => {}
        }
    }
    writer.drop_purged()
}

/// Waits for work; writes marks if none comes for a while.
async fn rest(writer: &mut Writer, shared: &Shared, committed_moved: bool) -> Result<(), Error> {
    if !committed_moved && !writer.mark_is_due() {
        if shared.park() {
            shared.wake.notified().await;
        }
        return Ok(());
    }
    tokio::select! {
        biased;
        () = shared.wake.notified() => Ok(()),
        () = tokio::time::sleep(writer.config.idle_mark) => {
            let committed = shared.lock().take_committed();
            writer.write_marks(committed).await
        }
    }
}

/// Leaves a log whose every byte is durable and marked.
async fn finish(writer: &mut Writer, shared: &Shared) -> Result<(), Error> {
    let committed = shared.lock().take_committed();
    writer.write_marks(committed).await?;
    writer.sync()
}

/// Nothing more is accepted. Waiting for space when closed is the one harmless way to fail.
fn fail(writer: &Writer, shared: &Shared, error: Error) {
    let error = Arc::new(error);
    if !matches!(*error, Error::NoSpace { .. }) {
        (writer.config.fatal)(&error);
    }
    refuse(shared.fail(&error), &error);
}
