//! Leases for objects that expire, shared: one lease holds what is written within a while, so that a store full of events
//! does not have as many leases. Pure: time is an argument, granting is the caller's.
//!
//! The price: an object may live up to the reuse time longer than it asked for, never shorter.
//! Source: apiserver `storage/etcd3/lease_manager.go`.

use std::time::Duration;

use tokio::time::Instant;

/// How long a lease takes new objects, at most; as upstream's `--lease-reuse-duration-seconds`.
const REUSE_MAX: Duration = Duration::from_secs(60);
/// A lease takes new objects for this part of the time to live at most.
const REUSE_DIVISOR: u32 = 20;
/// Objects on one lease: revoking it deletes them all in one go.
const OBJECTS_MAX: usize = 1_000;

/// The lease that takes new objects.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeasePool {
    newest: Option<Shared>,
}

#[derive(Clone, Copy, Debug)]
struct Shared {
    id: i64,
    expires: Instant,
    objects: usize,
}

/// What to ask the store for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lease {
    /// This one will do.
    Reuse(i64),
    /// A new one with this time to live.
    Grant(Duration),
}

impl LeasePool {
    /// A lease for an object that is to live so long from `now` on. A failed write counts as an object all the same.
    pub(crate) fn take(&mut self, now: Instant, ttl: Duration) -> Lease {
        let reuse = reuse(ttl);
        match &mut self.newest {
            Some(shared)
                if now + ttl <= shared.expires
                    && now + ttl + reuse >= shared.expires
                    && shared.objects < OBJECTS_MAX =>
            {
                shared.objects += 1;
                Lease::Reuse(shared.id)
            }
            _ => Lease::Grant(ttl + reuse),
        }
    }

    /// The store has granted one that was asked for at `asked`.
    pub(crate) fn granted(&mut self, id: i64, asked: Instant, ttl: Duration) {
        self.newest = Some(Shared { id, expires: asked + ttl, objects: 1 });
    }
}

fn reuse(ttl: Duration) -> Duration {
    Duration::from_secs((ttl / REUSE_DIVISOR).as_secs()).min(REUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn grant(pool: &mut LeasePool, id: i64, now: Instant, ttl: Duration) -> Duration {
        let Lease::Grant(granted) = pool.take(now, ttl) else { panic!("a new lease is due") };
        pool.granted(id, now, granted);
        granted
    }

    #[tokio::test(start_paused = true)]
    async fn objects_of_a_minute_share_a_lease_that_none_of_them_outlives() {
        let (mut pool, start) = (LeasePool::default(), Instant::now());
        assert_eq!(grant(&mut pool, 7, start, HOUR), HOUR + Duration::from_secs(60));
        for after in [0, 1, 60] {
            assert_eq!(pool.take(start + Duration::from_secs(after), HOUR), Lease::Reuse(7));
        }
        let later = start + Duration::from_secs(61);
        assert!(matches!(pool.take(later, HOUR), Lease::Grant(_)), "it would die too early");
        assert!(matches!(pool.take(start, HOUR / 2), Lease::Grant(_)), "it would live too long");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_takes_only_so_many_objects() {
        let (mut pool, now) = (LeasePool::default(), Instant::now());
        grant(&mut pool, 1, now, HOUR);
        for _ in 1..OBJECTS_MAX {
            assert_eq!(pool.take(now, HOUR), Lease::Reuse(1));
        }
        grant(&mut pool, 2, now, HOUR);
        assert_eq!(pool.take(now, HOUR), Lease::Reuse(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_life_is_not_stretched_by_more_than_a_twentieth() {
        let (mut pool, now) = (LeasePool::default(), Instant::now());
        assert_eq!(grant(&mut pool, 1, now, Duration::from_secs(10)), Duration::from_secs(10));
        assert_eq!(grant(&mut pool, 2, now, Duration::from_secs(100)), Duration::from_secs(105));
    }
}
