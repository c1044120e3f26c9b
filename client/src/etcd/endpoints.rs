//! The members that a client may ask, and whose turn it is.
//!
//! Round robin over all of them; one that has just failed is passed over for [`COOL_DOWN`] unless all have.
//! Does not: probe, discover members, or know the leader (any member serves everything).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::channel::Channel;

/// How long a member that has failed is passed over.
const COOL_DOWN: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Endpoints {
    all: Vec<Arc<Endpoint>>,
    turn: AtomicUsize,
}

#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) name: String,
    pub(crate) channel: Channel,
    failed_at: Mutex<Option<Instant>>,
}

impl Endpoint {
    pub(crate) fn failed(&self) {
        *self.failed_at.lock().expect("nothing panics under this lock") = Some(Instant::now());
    }

    pub(crate) fn answered(&self) {
        *self.failed_at.lock().expect("nothing panics under this lock") = None;
    }

    fn is_cooling_down(&self) -> bool {
        let failed_at = *self.failed_at.lock().expect("nothing panics under this lock");
        failed_at.is_some_and(|at| at.elapsed() < COOL_DOWN)
    }
}

impl Endpoints {
    /// `None` when there is none.
    pub(crate) fn new(all: impl IntoIterator<Item = (String, Channel)>) -> Option<Self> {
        let all: Vec<_> = all
            .into_iter()
            .map(|(name, channel)| Arc::new(Endpoint { name, channel, failed_at: Mutex::new(None) }))
            .collect();
        (!all.is_empty()).then(|| Endpoints { all, turn: AtomicUsize::new(0) })
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Endpoint> {
        self.all.iter().map(Arc::as_ref)
    }

    /// That one alone, with what is known of it.
    pub(crate) fn only(&self, name: &str) -> Option<Self> {
        let found = self.all.iter().find(|endpoint| endpoint.name == name)?;
        Some(Endpoints { all: vec![Arc::clone(found)], turn: AtomicUsize::new(0) })
    }

    /// Whose turn it is.
    pub(crate) fn next(&self) -> &Arc<Endpoint> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_order = (0..self.all.len()).map(|step| &self.all[first.wrapping_add(step) % self.all.len()]);
        let mut in_order = in_order.peekable();
        let first = *in_order.peek().expect("there is at least one end-point");
        in_order.find(|endpoint| !endpoint.is_cooling_down()).unwrap_or(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Endpoints {
        let nowhere = || {
            Channel::connector("http://nowhere".parse().unwrap(), Default::default(), || async {
                Err::<tokio::io::DuplexStream, _>(std::io::ErrorKind::ConnectionRefused.into())
            })
        };
        Endpoints::new(["a", "b", "c"].map(|name| (name.to_owned(), nowhere()))).unwrap()
    }

    fn names(endpoints: &Endpoints, count: usize) -> String {
        (0..count).map(|_| endpoints.next().name.as_str()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn every_member_has_its_turn_and_one_that_failed_is_passed_over_for_a_while() {
        let endpoints = three();
        assert_eq!(names(&endpoints, 6), "abcabc");
        endpoints.all[1].failed();
        assert_eq!(names(&endpoints, 6), "accacc");
        tokio::time::advance(COOL_DOWN).await;
        assert_eq!(names(&endpoints, 3), "abc");
        endpoints.all[1].failed();
        endpoints.all[1].answered();
        assert_eq!(names(&endpoints, 3), "abc");
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_have_failed_all_are_asked() {
        let endpoints = three();
        endpoints.all.iter().for_each(|endpoint| endpoint.failed());
        assert_eq!(names(&endpoints, 3), "abc");
    }
}
