//! Whether a cache can answer.
//!
//! ```text
//! Pending ──first list──▶ Ready        (listing again later leaves it ready: its state is old, but true of its revision)
//!    └────────────┬─────────┘
//!             shutdown ──▶ Stopped
//! ```

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Pending,
    Ready,
    Stopped,
}

#[derive(Debug)]
pub(crate) struct Ready(watch::Sender<State>);

impl Ready {
    pub(crate) fn pending() -> Self {
        Ready(watch::channel(State::Pending).0)
    }

    /// The first list is there.
    pub(crate) fn set(&self) {
        self.0.send_if_modified(|state| std::mem::replace(state, State::Ready) == State::Pending);
    }

    /// It will not answer any more.
    pub(crate) fn stop(&self) {
        self.0.send_replace(State::Stopped);
    }

    pub(crate) fn is_ready(&self) -> bool {
        *self.0.borrow() == State::Ready
    }

    /// Waits until it can answer, but not for longer than this.
    pub(crate) async fn within(&self, wait: Duration) -> State {
        let mut state = self.0.subscribe();
        let decided = timeout(wait, state.wait_for(|state| *state != State::Pending)).await;
        match decided {
            Ok(Ok(state)) => *state,
            // The sender is ours, so only time can have run out.
            Ok(Err(_)) | Err(_) => State::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_told_or_gives_up() {
        let ready = Ready::pending();
        assert_eq!(ready.within(Duration::from_secs(3)).await, State::Pending);
        let (state, ()) = tokio::join!(ready.within(Duration::from_secs(3)), async { ready.set() });
        assert_eq!((state, ready.is_ready()), (State::Ready, true));
        ready.set();
        ready.stop();
        assert_eq!(ready.within(Duration::from_secs(3)).await, State::Stopped);
    }
}
