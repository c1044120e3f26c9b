//! Hands changes to watchers, without one slow watcher holding back the others for long.
//!
//! ```text
//! change ─▶ offer to all whose scope it lies in ─┬─ room ─▶ done
//!                                                └─ full ─▶ blocked ─▶ wait, all together on one budget ─┬─ room ─▶ done
//!                                                                                                        └─ time up ─▶ closed
//! ```
//!
//! Promises: each watcher gets its scope's changes in order and without a gap, or is closed. A closed one resumes by revision.
//! Source: apiserver `storage/cacher/cacher.go` (`dispatchEvent`).

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, timeout_at};

use super::budget::Budget;
use crate::storage::{Change, Error, Scope};

/// Why a watcher's changes have ended.
pub(crate) type End = Arc<OnceLock<Error>>;

/// All watchers of a resource, by what they watch: those of one object cost nothing when another one changes.
#[derive(Debug)]
pub(crate) struct Outlets {
    /// The resource's own prefix.
    collection: Arc<str>,
    by_scope: HashMap<Box<str>, Vec<Outlet>>,
    next_id: u64,
}

/// One watcher's end that takes changes.
#[derive(Clone, Debug)]
struct Outlet {
    id: u64,
    changes: mpsc::Sender<Arc<Change>>,
    end: End,
}

/// A watcher whose buffer was full, with what it has not got yet.
struct Blocked {
    scope: Box<str>,
    outlet: Outlet,
    pending: VecDeque<Arc<Change>>,
}

impl Outlets {
    pub(crate) fn new(collection: Arc<str>) -> Self {
        Outlets { collection, by_scope: HashMap::new(), next_id: 0 }
    }

    /// A new watcher; returns its id.
    pub(crate) fn add(&mut self, scope: &Scope, changes: mpsc::Sender<Arc<Change>>, end: End) -> u64 {
        self.next_id += 1;
        let outlet = Outlet { id: self.next_id, changes, end };
        self.by_scope.entry(scope.as_str().into()).or_default().push(outlet);
        self.next_id
    }

    /// Forgets a watcher.
    pub(crate) fn remove(&mut self, scope: &str, id: u64) {
        if let Some(outlets) = self.by_scope.get_mut(scope) {
            outlets.retain(|outlet| outlet.id != id);
            if outlets.is_empty() {
                self.by_scope.remove(scope);
            }
        }
    }

    /// Closes all watchers, for this reason.
    pub(crate) fn end_all(&mut self, reason: &Error) {
        for outlet in self.by_scope.drain().flat_map(|(_, outlets)| outlets) {
            outlet.end.get_or_init(|| reason.clone());
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_scope.values().map(Vec::len).sum()
    }

    /// First pass: nobody is waited for. A watcher that is full once keeps its place: what follows queues behind.
    fn offer(&mut self, changes: &[Arc<Change>]) -> Vec<Blocked> {
        let mut blocked: Vec<Blocked> = Vec::new();
        for change in changes {
            let (all, parent, key) = (&*self.collection, change.key.parent(), change.key.as_str());
            // Without namespaces the parent is the collection itself.
            let scopes = [Some(all), (parent != all).then_some(parent), Some(key)];
            for scope in scopes.into_iter().flatten() {
                let Some(outlets) = self.by_scope.get_mut(scope) else { continue };
                outlets.retain(|outlet| offer(scope, outlet, change, &mut blocked));
            }
        }
        blocked
    }
}

/// One change for one watcher; returns whether the watcher is still there.
fn offer(scope: &str, outlet: &Outlet, change: &Arc<Change>, blocked: &mut Vec<Blocked>) -> bool {
    if let Some(waiting) = blocked.iter_mut().find(|blocked| blocked.outlet.id == outlet.id) {
        waiting.pending.push_back(Arc::clone(change));
        return true;
    }
    match outlet.changes.try_send(Arc::clone(change)) {
        Ok(()) => true,
        Err(TrySendError::Closed(_)) => false,
        Err(TrySendError::Full(change)) => {
            let pending = VecDeque::from([change]);
            blocked.push(Blocked { scope: scope.into(), outlet: outlet.clone(), pending });
            true
        }
    }
}

/// Hands these changes to all whom they concern.
pub(crate) async fn dispatch(outlets: &Mutex<Outlets>, changes: &[Arc<Change>], budget: &mut Budget) {
    let blocked = outlets.lock().expect("nothing panics under this lock").offer(changes);
    if blocked.is_empty() {
        return;
    }
    let begun = Instant::now();
    let deadline = begun + budget.left(begun);
    for waiting in blocked {
        let (scope, id, end) = (waiting.scope.clone(), waiting.outlet.id, Arc::clone(&waiting.outlet.end));
        if !deliver(waiting, deadline).await {
            end.get_or_init(|| Error::TooSlow);
            outlets.lock().expect("nothing panics under this lock").remove(&scope, id);
        }
    }
    budget.spend(begun.elapsed());
}

/// Second pass, for one watcher; returns whether it has got everything. Once the time is up only those are served that have
/// room at once.
async fn deliver(mut blocked: Blocked, deadline: Instant) -> bool {
    while let Some(change) = blocked.pending.pop_front() {
        if let Err(TrySendError::Full(change)) = blocked.outlet.changes.try_send(change) {
            let sent = timeout_at(deadline, blocked.outlet.changes.send(change)).await;
            if !matches!(sent, Ok(Ok(()))) {
                return false;
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::storage::{Collection, Key, Revision};

    fn collection() -> Collection {
        Collection::new("/registry", "things")
    }

    fn change(key: &str, revision: u64) -> Arc<Change> {
        Arc::new(Change::new(Key::new(format!("/registry/things/{key}")), Revision::new(revision), None, None))
    }

    struct Watcher {
        changes: mpsc::Receiver<Arc<Change>>,
        end: End,
    }

    impl Watcher {
        fn new(outlets: &Mutex<Outlets>, scope: &Scope, buffer: usize) -> Self {
            let (sender, changes) = mpsc::channel(buffer);
            let end = End::default();
            outlets.lock().unwrap().add(scope, sender, Arc::clone(&end));
            Watcher { changes, end }
        }

        fn got(&mut self) -> Vec<u64> {
            std::iter::from_fn(|| self.changes.try_recv().ok()).map(|change| change.revision.get()).collect()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_watcher_gets_its_scopes_changes_and_no_others() {
        let outlets = Mutex::new(Outlets::new(Arc::clone(collection().prefix())));
        let mut all = Watcher::new(&outlets, &collection().everything(), 9);
        let mut namespace = Watcher::new(&outlets, &collection().namespace("a").unwrap(), 9);
        let mut object = Watcher::new(&outlets, &Scope::Object(collection().object(Some("a"), "x").unwrap()), 9);
        let mut budget = Budget::full(Instant::now());
        let changes = [change("a/x", 1), change("a/y", 2), change("b/x", 3), change("cluster-scoped", 4)];
        dispatch(&outlets, &changes, &mut budget).await;
        assert_eq!((all.got(), namespace.got(), object.got()), (vec![1, 2, 3, 4], vec![1, 2], vec![1]));
        drop(object);
        dispatch(&outlets, &[change("a/x", 5)], &mut budget).await;
        assert_eq!(outlets.lock().unwrap().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn slow_watchers_are_closed_on_one_budget_and_the_others_have_everything() {
        let outlets = Mutex::new(Outlets::new(Arc::clone(collection().prefix())));
        let mut quick = Watcher::new(&outlets, &collection().everything(), 9);
        let slow: Vec<_> = (0..20).map(|_| Watcher::new(&outlets, &collection().everything(), 1)).collect();
        let mut budget = Budget::full(Instant::now());
        let begun = Instant::now();
        dispatch(&outlets, &[change("a/x", 1), change("a/x", 2)], &mut budget).await;
        // The timer's resolution is a millisecond.
        assert!(begun.elapsed() <= Duration::from_millis(101), "not once for each: {:?}", begun.elapsed());
        assert_eq!(quick.got(), [1, 2]);
        for mut watcher in slow {
            assert_eq!(watcher.got(), [1]);
            assert!(matches!(watcher.end.get(), Some(Error::TooSlow)));
            assert!(watcher.changes.recv().await.is_none(), "it is closed");
        }
        assert_eq!(outlets.lock().unwrap().len(), 1);
        // The budget is spent, but for what has come back meanwhile.
        let _slow = Watcher::new(&outlets, &collection().everything(), 1);
        let begun = Instant::now();
        dispatch(&outlets, &[change("a/x", 3), change("a/x", 4)], &mut budget).await;
        assert!(begun.elapsed() <= Duration::from_millis(6), "{:?}", begun.elapsed());
        assert_eq!(quick.got(), [3, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_watcher_that_is_slow_once_is_waited_for() {
        let outlets = Mutex::new(Outlets::new(Arc::clone(collection().prefix())));
        let mut watcher = Watcher::new(&outlets, &collection().everything(), 1);
        let mut budget = Budget::full(Instant::now());
        let changes = [change("a/x", 1), change("a/x", 2), change("a/x", 3)];
        let taking = async {
            let mut got = Vec::new();
            while got.len() < 3 {
                tokio::time::sleep(Duration::from_millis(20)).await;
                got.extend(watcher.got());
            }
            got
        };
        let ((), got) = tokio::join!(dispatch(&outlets, &changes, &mut budget), taking);
        assert_eq!((got, watcher.end.get().is_none()), (vec![1, 2, 3], true));
    }
}
