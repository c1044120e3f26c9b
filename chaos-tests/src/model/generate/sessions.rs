//! Clients with leases: they hold a lock, write what it fences, attach keys, renew, let go, or fall asleep.

use super::{Action, MS, Run, Then};
use crate::history::{
    Answer, Change, Code, Compare, Delete, Failure, Grant, Held, KeepAlive, KeptAlive, Lock, Outcome, Put, Relation,
    Request, Revoke, Target, TimeToLive, TtlLeft, Txn, Unlock,
};

/// Seconds of a lease.
const TTL: i64 = 1;

/// A client with a lease.
pub(super) struct Session {
    client: u64,
    lease: i64,
    step: u32,
    waits: bool,
    held: Option<Held>,
    op: u64,
    /// This time around, it stops renewing while it holds the lock.
    sleepy: bool,
}

impl Run {
    pub(super) fn start_sessions(&mut self) {
        for session in 0..self.plan.sessions {
            let client = self.fresh_client();
            self.sessions.push(Session { client, lease: 0, step: 0, waits: false, held: None, op: 0, sleepy: false });
            self.after(10 * MS + session * 3 * MS, Action::Session(self.sessions.len() - 1));
        }
    }

    fn name(session: usize) -> String {
        format!("lock{}", session % 2)
    }

    pub(super) fn session_steps(&mut self, session: usize) {
        let at = &self.sessions[session];
        let (lease, name) = (at.lease, Self::name(session));
        // Nobody begins anew at the end, but what is begun is finished.
        if self.ending && at.step == 0 {
            return;
        }
        let request = match at.step {
            0 => {
                let lease = 0x7000 + i64::try_from(self.next_op).unwrap_or(0);
                self.sessions[session].lease = lease;
                self.sessions[session].sleepy = self.random.chance(250);
                Request::Grant(Grant { lease, ttl: TTL })
            }
            1 => Request::Lock(Lock { name, lease }),
            2 | 4 => self.fenced(session),
            3 => {
                let value = self.fresh_value();
                let key = format!("leased/{}/{}", session, self.random.below(3));
                Request::Put(Put { key, value, lease, previous: false })
            }
            5 | 10 => Request::KeepAlive(KeepAlive { lease }),
            6 | 8 => Request::TimeToLive(TimeToLive { lease }),
            7 => Request::Unlock(Unlock {
                key: self.sessions[session].held.as_ref().map_or(String::new(), |held| held.key.clone()),
            }),
            _ => Request::Revoke(Revoke { lease }),
        };
        let client = self.sessions[session].client;
        let member = u64::try_from(session % 2 + 1).unwrap_or(1);
        self.sessions[session].op = self.invoke(client, member, request, Then::Session(session), false);
    }

    /// A write that the lock's token fences.
    fn fenced(&mut self, session: usize) -> Request {
        let held = self.sessions[session].held.clone().unwrap_or_default();
        let key = format!("fenced/{}", session % 2);
        let value = format!("{}:{}", held.token, self.fresh_value());
        Request::Txn(Txn {
            compares: vec![Compare { key: held.key, is: Relation::Equal, to: Target::Create(held.token) }],
            success: vec![Request::Put(Put { key, value, ..Put::default() })],
            failure: Vec::new(),
        })
    }

    pub(super) fn session_told(&mut self, session: usize, outcome: Option<&Outcome>) {
        let failed = !matches!(outcome, Some(Outcome::Ok(_)));
        if let Some(Outcome::Ok(answered)) = outcome
            && let Answer::Held(held) = &answered.answer
        {
            self.sessions[session].held = Some(held.clone());
        }
        let at = &mut self.sessions[session];
        let asleep = at.sleepy && at.step == 3;
        // A lock that was lost with its lease is not held: begin anew.
        at.step = if failed && at.step < 9 || at.step >= 10 { 0 } else { at.step + 1 };
        if at.step == 0 {
            at.held = None;
        }
        let think = if asleep { 1_700 * MS } else { self.random.between(5 * MS, 60 * MS) };
        self.after(think, Action::Session(session));
    }

    /// Leases live on the leader's clock, which is this simulation's.
    pub(super) fn lease_outcome(&mut self, request: &Request) -> Option<Outcome> {
        match request {
            Request::Grant(grant) => {
                self.deadlines.insert(grant.lease, self.now + TTL.unsigned_abs() * 1000 * MS);
                self.after(TTL.unsigned_abs() * 1000 * MS + 1, Action::Expire(grant.lease));
                None
            }
            Request::KeepAlive(keep) => {
                let alive = self.store.lease(keep.lease).is_some();
                if alive {
                    self.deadlines.insert(keep.lease, self.now + TTL.unsigned_abs() * 1000 * MS);
                    self.after(TTL.unsigned_abs() * 1000 * MS + 1, Action::Expire(keep.lease));
                }
                Some(self.ok(Answer::KeptAlive(KeptAlive { ttl: if alive { TTL } else { 0 } })))
            }
            Request::TimeToLive(ask) => {
                let left = self
                    .deadlines
                    .get(&ask.lease)
                    .filter(|_| self.store.lease(ask.lease).is_some())
                    .map(|deadline| deadline.saturating_sub(self.now) / (1000 * MS));
                let remaining = left.map_or(-1, |left| i64::try_from(left).unwrap_or(0));
                Some(self.ok(Answer::TimeToLive(TtlLeft { granted: if remaining < 0 { 0 } else { TTL }, remaining })))
            }
            Request::Lock(lock) => {
                let key = format!("{}/{:x}", lock.name, lock.lease);
                let put =
                    Request::Put(Put { key: key.clone(), value: String::new(), lease: lock.lease, previous: false });
                let absent = Compare { key, is: Relation::Equal, to: Target::Create(0) };
                let txn = Request::Txn(Txn { compares: vec![absent], success: vec![put], failure: Vec::new() });
                if let Err(code) = self.store.apply(&txn) {
                    return Some(Outcome::Failed(Failure { code, message: String::new() }));
                }
                self.log(vec![Change::Apply(txn)]);
                let waiter = self.sessions.iter_mut().find(|session| session.lease == lock.lease);
                if let Some(waiter) = waiter {
                    waiter.waits = true;
                }
                // The answer comes when it is the oldest; `effect` puts this outcome in its place, which is none yet.
                Some(Outcome::Unknown("waits".to_owned()))
            }
            Request::Unlock(unlock) => {
                let delete = Request::Delete(Delete { key: unlock.key.clone(), end: None, previous: false });
                if self.store.apply(&delete).is_ok() {
                    self.log(vec![Change::Apply(delete)]);
                }
                Some(self.ok(Answer::Done))
            }
            _ => None,
        }
    }

    /// Answers every lock whose owner key is the oldest now, or is gone.
    pub(super) fn lock_waiters(&mut self) {
        for session in 0..self.sessions.len() {
            let (op, lease) = (self.sessions[session].op, self.sessions[session].lease);
            if !self.sessions[session].waits {
                continue;
            }
            let name = Self::name(session);
            let key = format!("{name}/{lease:x}");
            let now = self.store.revision();
            let oldest = self
                .store
                .keys_in(&format!("{name}/"), Some(&format!("{name}0")), now)
                .min_by_key(|kv| kv.create_revision)
                .cloned();
            let outcome = match oldest {
                Some(kv) if kv.key == key => Some(self.ok(Answer::Held(Held { token: kv.create_revision, key }))),
                _ if self.store.get(&key, now).is_none() => {
                    Some(Outcome::Failed(Failure { code: Code::Other, message: "session expired".to_owned() }))
                }
                _ => None,
            };
            let waits = outcome.is_none();
            let Some(flight) = self.flights.get_mut(&op) else { continue };
            flight.outcome = outcome;
            if !waits {
                self.sessions[session].waits = false;
                let back = self.random.between(MS, 5 * MS);
                // The first time around its own return may be on its way: whichever comes first tells.
                self.after(back, Action::Return(op));
            }
        }
    }

    pub(super) fn expire(&mut self, lease: i64) {
        let due = self.deadlines.get(&lease).is_some_and(|deadline| *deadline < self.now);
        if !due || self.store.lease(lease).is_none() {
            return;
        }
        self.store.expire(lease);
        let term = self.term;
        self.log(vec![Change::Expire { lease, term }]);
        self.lock_waiters();
    }
}
