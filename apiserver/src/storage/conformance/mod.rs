//! The suite that every [`Storage`] passes: straight from the store or through a cache, over our store, a real etcd, a store in
//! memory, and stores that lag. Over a store that loses events it fails, which is tested as well.
//!
//! Each case has a collection of its own, so that one store serves the whole suite; only compactions are felt by all, which is
//! why cases run one after another. A case says what is wrong instead of panicking.

mod crud;
mod faulty;
mod list;
mod thing;
mod watch;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;

pub use faulty::{Fault, Faulty};
pub use thing::{Labelled, ThingCodec, thing};

use super::{Collection, Error, Storage};

/// How long a case may take: far more than any needs, since a lost event is noticed by waiting for it.
const CASE_WITHIN: Duration = Duration::from_secs(60);

/// Makes storages to be tested.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// A storage of [`thing`]s in this collection, all over one store. What it needs in the background ends with the fixture.
    async fn open(&self, collection: &Collection) -> Arc<dyn Storage>;
}

/// What a case works with.
#[derive(Clone, Debug)]
pub struct Env {
    /// The storage under test.
    pub storage: Arc<dyn Storage>,
    /// An empty collection, for this case only.
    pub collection: Collection,
}

/// What is wrong.
#[derive(Debug)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure(format!("unexpected error: {error:?}"))
    }
}

type Running = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// One promise of the trait.
pub struct Case {
    /// The promise, as a sentence.
    pub name: &'static str,
    run: Box<dyn Fn(Env) -> Running + Send + Sync>,
}

impl Case {
    fn new<F>(name: &'static str, run: fn(Env) -> F) -> Case
    where
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        Case { name, run: Box::new(move |env| Box::pin(run(env))) }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// All cases.
#[must_use]
pub fn cases() -> Vec<Case> {
    [crud::cases(), list::cases(), watch::cases()].into_iter().flatten().collect()
}

/// Runs all cases one after another; returns those that fail, each with what is wrong.
pub async fn failures(fixture: &dyn Fixture) -> Vec<(&'static str, Failure)> {
    // Several suites may share a store.
    static COLLECTIONS: AtomicUsize = AtomicUsize::new(0);
    let mut failures = Vec::new();
    for case in cases() {
        let number = COLLECTIONS.fetch_add(1, Ordering::Relaxed);
        let collection = Collection::new("/registry", &format!("conformance/{}-{number}", std::process::id()));
        let env = Env { storage: fixture.open(&collection).await, collection };
        let outcome = timeout(CASE_WITHIN, (case.run)(env)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(Failure("it waits for something that does not come".to_owned())));
        if let Err(failure) = outcome {
            failures.push((case.name, failure));
        }
    }
    failures
}

/// Runs all cases.
///
/// # Panics
/// When any fails, with all that do.
pub async fn assert_conforms(fixture: &dyn Fixture) {
    let failures = failures(fixture).await;
    let words: Vec<_> = failures.iter().map(|(name, failure)| format!("{name}: {failure}")).collect();
    assert!(words.is_empty(), "{} of {} cases fail:\n  {}", words.len(), cases().len(), words.join("\n  "));
}

/// Ends a case with these words unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $($words:tt)+) => {
        if !$holds {
            return Err($crate::storage::conformance::Failure(format!($($words)+)));
        }
    };
}

/// Ends a case unless both are equal.
macro_rules! ensure_eq {
    ($found:expr, $expected:expr, $($words:tt)+) => {
        match (&$found, &$expected) {
            (found, expected) => ensure!(*found == *expected, "{}: {found:?} instead of {expected:?}", format!($($words)+)),
        }
    };
}

pub(crate) use {ensure, ensure_eq};

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::super::{Backend, Direct};
    use super::*;

    struct Over(Arc<dyn Backend>);

    #[async_trait]
    impl Fixture for Over {
        async fn open(&self, _: &Collection) -> Arc<dyn Storage> {
            Arc::new(Direct::new(Arc::clone(&self.0), Arc::new(ThingCodec)))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn storage_without_a_cache_conforms_over_a_store_in_memory() {
        assert_conforms(&Over(Arc::new(Memory::default()))).await;
        assert_conforms(&Over(Arc::new(Memory::default().without_trusted_progress()))).await;
    }

    #[tokio::test(start_paused = true)]
    async fn storage_without_a_cache_conforms_over_a_store_that_lags() {
        let lagging = Faulty::new(Memory::default(), Fault::Lag(Duration::from_millis(200)));
        assert_conforms(&Over(Arc::new(lagging))).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_suite_notices_a_store_that_loses_events() {
        let failures = failures(&Over(Arc::new(Faulty::new(Memory::default(), Fault::LoseEvery(3))))).await;
        assert!(failures.len() >= 3, "{failures:?}");
    }
}
