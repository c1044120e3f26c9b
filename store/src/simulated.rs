//! What a simulation takes from the operating system: threads, and chance that no handle carries.
//!
//! A simulated member has one thread, shared with all others and with its clients, on clocks that stand still while
//! anything runs. On such a thread work that blocks is done where it is asked for, since another thread would answer at a moment
//! that no seed decides; and raft draws its timeouts from the thread's seed. A server never calls [`this_thread`], and pays a
//! look at a thread-local for each piece of blocking work.
//! Does not: replace clock, network, disk or engine (the runtime's paused clock and [`crate::Seams`] do).

use std::cell::RefCell;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinError;

thread_local! {
    static CHANCE: RefCell<Option<StdRng>> = const { RefCell::new(None) };
}

/// From now on what runs on this thread is simulated, with chance from `seed`.
pub fn this_thread(seed: u64) {
    CHANCE.set(Some(StdRng::seed_from_u64(seed)));
}

/// Whether this thread is simulated.
pub(crate) fn here() -> bool {
    CHANCE.with_borrow(Option::is_some)
}

/// A number for those who are given no generator: by the thread's seed, else by the system's.
pub(crate) fn number() -> u64 {
    CHANCE.with_borrow_mut(|chance| chance.as_mut().map(Rng::random)).unwrap_or_else(rand::random)
}

/// Does what blocks: on a thread for that, or at once where this one is simulated.
///
/// # Errors
/// As [`tokio::task::spawn_blocking`]'s handle.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    if here() {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await
}

/// The bound of a channel that blocking work fills: none where the work is done before anybody can take from it.
pub(crate) fn room(bound: usize) -> usize {
    if here() { Semaphore::MAX_PERMITS } else { bound }
}

/// Sends from blocking work. Its channel has the bound of [`room`].
///
/// # Errors
/// The message, where nobody takes it any more.
pub(crate) fn send<T>(channel: &mpsc::Sender<T>, message: T) -> Result<(), T> {
    if here() {
        return channel.try_send(message).map_err(TrySendError::into_inner);
    }
    channel.blocking_send(message).map_err(|refused| refused.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_simulated_thread_work_stays_there_and_chance_repeats() {
        let draw = || {
            std::thread::spawn(|| {
                this_thread(7);
                let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
                let thread = runtime.block_on(blocking(|| std::thread::current().id())).expect("it does not panic");
                assert_eq!(thread, std::thread::current().id());
                (number(), number())
            })
        };
        let draws: Vec<_> = [draw(), draw()].into_iter().map(|thread| thread.join().expect("it ends")).collect();
        assert_eq!(draws[0], draws[1]);
        assert_ne!(draws[0].0, draws[0].1);
        assert!(!here(), "other threads are not");
    }
}
