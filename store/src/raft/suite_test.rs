//! openraft's own storage suite over [`LogStore`] and [`StateMachine`], case by case.
//!
//! Two kinds of cases need a word. Some append entries to an empty log that do not begin at index 0; ours has no holes, so
//! they run on a log that was purged up to where they begin, the only way in which such a log can come about. A few ask for
//! entries that were purged and expect a shorter answer; ours answers with an error, and that is what is asserted. The
//! suite's transfer of a snapshot hands one member's handle to another; here the file goes between, as on the wire. See
//! decision note 0015.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use openraft::entry::RaftEntry;
use openraft::storage::{RaftLogStorage, RaftStateMachine};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::{RaftLogReader, RaftSnapshotBuilder, StorageError};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tempfile::TempDir;

use super::answers::Answers;
use super::log_store::LogStore;
use super::snapshot::{Exporter, SnapshotData, Staging};
use super::state_dir::{OpenEngine, StateDir};
use super::state_machine::StateMachine;
use super::types::{Entry, LogId, Membership, TypeConfig, log_id, term_of};
use crate::apply::{Applier, Tables};
use crate::engine::Engine;
use crate::engine::mem::MemEngine;
use crate::lease::Lessor;
use crate::log::{self, Log, MemDisk};
use crate::metrics::Metrics;
use crate::mvcc::{self, Mvcc};
use crate::watch::{self, Hub};

/// A member's storage, as it is put together for a server, on memory.
pub(super) struct Storage {
    pub(super) folder: TempDir,
    log: LogStore,
    pub(super) machine: StateMachine,
    pub(super) state: Arc<StateDir>,
    pub(super) metrics: Metrics,
}

/// Builds storages whose log was purged up to an entry.
pub(super) struct Builder {
    pub(super) purged: Option<LogId>,
}

impl Builder {
    pub(super) async fn storage(&self) -> Storage {
        let folder = tempfile::tempdir().unwrap();
        let config = log::Config { segment_bytes: 16 << 10, ..log::Config::default() };
        let disk = Arc::new(MemDisk::new(true));
        let log = Log::open(&folder.path().join("log"), disk, config, log::Metrics::default()).unwrap();
        if let Some(id) = &self.purged {
            log.reset(log::LogId { term: term_of(id), index: id.index() }).await.unwrap();
        }
        let open: OpenEngine = Arc::new(|_| Ok(Arc::new(MemEngine::new()) as Arc<dyn Engine>));
        let state = Arc::new(StateDir::open(&folder.path().join("state"), open).unwrap());
        let metrics = Metrics::new(prometheus::Registry::new()).unwrap();
        let (mvcc, writer) = Mvcc::open(state.engine(), mvcc::Config::default()).unwrap();
        let tables = Tables::load(&*state.engine(), Lessor::default()).unwrap();
        let hub = Hub::new(Arc::new(mvcc.clone()), watch::Config::default(), StdRng::seed_from_u64(1));
        let applier = Applier::new(mvcc, writer, tables, hub, &metrics, Duration::from_secs(1), Box::new(|_, _| {}));
        let answers = Arc::new(Answers::new(0, 0));
        let (machine, _) = StateMachine::new(applier, Arc::clone(&state), answers, metrics.clone()).unwrap();
        Storage { folder, log: LogStore { log }, machine, state, metrics }
    }
}

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<TypeConfig>> {
        let Storage { folder, log, machine, .. } = self.storage().await;
        Ok((folder, log, machine))
    }
}

type Cases = Suite<TypeConfig, LogStore, StateMachine, Builder, TempDir>;

async fn run<F>(name: &str, purged: Option<LogId>, case: impl Fn(LogStore, StateMachine) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>>,
{
    println!("{name}, on a log purged up to {purged:?}");
    let Storage { folder: _folder, log, machine, .. } = Builder { purged }.storage().await;
    let closing = log.log.clone();
    let ended = case(log, machine).await;
    closing.close().await;
    ended
}

macro_rules! pass {
    ($purged:expr => $($case:ident)+) => {
        $(run(stringify!($case), $purged, Cases::$case).await.unwrap();)+
    };
}

macro_rules! refuse_what_was_purged {
    ($($case:ident)+) => {
        $(
            let refused = run(stringify!($case), None, Cases::$case).await.unwrap_err().to_string();
            assert!(refused.contains("purged"), "{}: {refused}", stringify!($case));
        )+
    };
}

#[tokio::test(start_paused = true)]
async fn openrafts_storage_suite_passes_case_by_case() {
    pass!(None =>
        last_membership_in_log_initial get_membership_initial get_initial_state_without_init
        get_membership_from_empty_log_and_sm get_initial_state_membership_from_empty_log_and_sm
        get_initial_state_membership_from_log_insm_is_smaller get_initial_state_with_state get_initial_state_last_log_gt_sm
        get_initial_state_log_ids save_vote get_log_entries limited_get_log_entries leader_bounded_stream entries_stream
        log_reader_reads_new_entries initial_logs get_log_state get_log_id last_id_in_log last_applied_state
        delete_logs_after_11 delete_logs_after_5 delete_logs_after_0 delete_logs_after_none
        snapshot_meta snapshot_meta_optional apply_single apply_multiple
    );
    pass!(Some(log_id(0, 0)) =>
        last_membership_in_log last_membership_in_log_multi_step get_membership_from_log_and_empty_sm
        get_membership_from_log_le_sm_last_applied get_membership_from_log_gt_sm_last_applied_1
        get_membership_from_log_gt_sm_last_applied_2 get_initial_state_membership_from_sm_inlog_is_smaller
    );
    pass!(Some(log_id(1, 1)) =>
        get_initial_state_last_log_lt_sm get_initial_state_inverted_log_order get_initial_state_conflict_at_same_index
        get_initial_state_re_apply_committed
    );
}

#[tokio::test(start_paused = true)]
async fn a_question_for_purged_entries_is_refused_where_the_suite_expects_a_shorter_answer() {
    refuse_what_was_purged!(try_get_log_entry purge_logs_upto_0 purge_logs_upto_5 purge_logs_upto_20 append_to_log);
}

#[tokio::test]
async fn the_end_of_the_log_is_no_error_and_its_purged_front_is() {
    let Storage { folder: _folder, mut log, .. } = Builder { purged: Some(log_id(1, 3)) }.storage().await;
    assert!(log.try_get_log_entries(4..9).await.unwrap().is_empty());
    assert!(log.try_get_log_entries(3..9).await.unwrap_err().to_string().contains("purged"));
    let state = log.get_log_state().await.unwrap();
    assert_eq!((state.last_purged_log_id, state.last_log_id), (Some(log_id(1, 3)), Some(log_id(1, 3))));
}

/// What the suite's transfer_snapshot asks, by way of the file that members send.
#[tokio::test]
async fn a_snapshot_of_one_member_is_installed_on_another() {
    let (mut from, mut to) = (Builder { purged: None }.storage().await, Builder { purged: None }.storage().await);
    assert!(from.machine.get_current_snapshot().await.unwrap().is_none());
    assert!(to.machine.get_current_snapshot().await.unwrap().is_none());
    let members = Membership::new_with_defaults(vec![[1, 2, 3].into()], []);
    let entries = [Entry::new_membership(log_id(1, 2), members), Entry::new_blank(log_id(3, 3))];
    from.machine.apply(stream::iter(entries.map(|entry| Ok((entry, None))))).await.unwrap();
    let built = from.machine.get_snapshot_builder().await.build_snapshot().await.unwrap();
    assert_eq!(built.meta.last_log_id, Some(log_id(3, 3)));
    assert_eq!(built.meta, from.machine.get_current_snapshot().await.unwrap().unwrap().meta);

    let (state, folder) = (Arc::clone(&from.state), from.folder.path().to_owned());
    let exporter = Exporter { state, folder, cluster: 7, member: 1, metrics: from.metrics.clone() };
    let mut file = Vec::new();
    exporter.export(&mut file).unwrap();
    let mut staging = Staging::create(&to.folder.path().join("snap")).unwrap();
    staging.write(file.into()).await.unwrap();
    let (meta, generation) = staging.fill(Arc::clone(&to.state)).await.unwrap();
    assert_eq!(meta, built.meta, "the file says itself what it holds");
    to.machine.install_snapshot(&meta, SnapshotData::Staged(generation)).await.unwrap();

    assert_eq!(to.machine.get_current_snapshot().await.unwrap().unwrap().meta, built.meta);
    assert_eq!(to.machine.applied_state().await.unwrap(), from.machine.applied_state().await.unwrap());
    let handle = from.machine.get_current_snapshot().await.unwrap().unwrap();
    let refused = to.machine.install_snapshot(&handle.meta, handle.snapshot).await.unwrap_err();
    assert!(refused.to_string().contains("cannot install its own state"), "{refused}");
}
