//! Histories of a store that does everything right, as many clients would see it: for testing the checkers, and for timing
//! them.
//!
//! A simulation over events in time: every operation is invoked, takes effect at one moment (in the specification,
//! [`super::Store`]), and returns; some clients are never told, and of those operations some take effect all the same, now
//! or late. Leases run out, locks are fought for, watches are broken and go on, a sync is slow, a member is killed, another
//! installs a snapshot. The same plan gives the same history, byte by byte.

mod clients;
mod sessions;
mod stages;
mod watches;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use stages::{END, stages};

use super::random::Random;
use super::store::Store;
use crate::history::{
    Answer, Answered, Change, Entry, Event, Failure, Fault, FaultStep, Header, History, Invoke, Limits, Member,
    MemberStep, Outcome, Phase, Request, Return, SCHEMA,
};

/// What to generate.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Decides everything else.
    pub seed: u64,
    /// Operations of plain clients, about.
    pub ops: u64,
    /// Plain clients at once.
    pub clients: u64,
    /// Keys they share.
    pub keys: u64,
    /// Of 1000 operations, how many end unknown.
    pub unknown_per_mille: u64,
    /// Whether members' logs are dumped at the end.
    pub log: bool,
    /// Clients that append to lists.
    pub appenders: u64,
    /// Clients with leases and locks.
    pub sessions: u64,
    /// Watches at once.
    pub watches: u64,
}

impl Plan {
    /// Everything at once, small.
    #[must_use]
    pub fn mixed(seed: u64) -> Plan {
        Plan {
            seed,
            ops: 1_500,
            clients: 8,
            keys: 6,
            unknown_per_mille: 10,
            log: true,
            appenders: 3,
            sessions: 4,
            watches: 9,
        }
    }

    /// As [`Plan::mixed`], of a store whose logs cannot be read.
    #[must_use]
    pub fn without_log(seed: u64) -> Plan {
        Plan { log: false, ..Plan::mixed(seed) }
    }

    /// Many operations of many clients, for timing.
    #[must_use]
    pub fn large(seed: u64, ops: u64) -> Plan {
        Plan {
            seed,
            ops,
            clients: 64,
            keys: 100,
            unknown_per_mille: 2,
            log: true,
            appenders: 4,
            sessions: 8,
            watches: 20,
        }
    }
}

/// A millisecond, in the history's unit.
const MS: u64 = 1_000_000;

/// The delay of a slow sync, milliseconds.
const SLOW_SYNC_MS: u64 = 40;

/// What happens at a moment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    /// A plain client asks.
    Ask(usize),
    /// An operation takes effect.
    Effect(u64),
    /// An operation returns.
    Return(u64),
    /// A client that appends asks.
    Append(usize),
    /// A client with a lease takes its next step.
    Session(usize),
    /// A lease may have run out.
    Expire(i64),
    /// A watch is opened, or delivers, or breaks.
    Watch(usize),
    /// The run goes on to its next part.
    Stage(usize),
}

/// An operation under way.
#[derive(Clone, Debug)]
struct Flight {
    request: Request,
    /// What the client will be told.
    outcome: Option<Outcome>,
    told: bool,
    applied: bool,
    returned: bool,
    then: Then,
}

/// What follows an answer.
#[derive(Clone, Copy, Debug)]
enum Then {
    Plain(usize),
    Append(usize),
    Session(usize),
    Nothing,
}

/// The simulation.
struct Run {
    plan: Plan,
    random: Random,
    now: u64,
    queue: BinaryHeap<Reverse<(u64, u64, Action)>>,
    sequence: u64,
    store: Store,
    term: u64,
    entries: Vec<Entry>,
    events: Vec<(u64, Event)>,
    flights: BTreeMap<u64, Flight>,
    next_op: u64,
    next_client: u64,
    asked: u64,
    next_value: u64,
    /// Until when a lease lives.
    deadlines: BTreeMap<i64, u64>,
    slow_sync: bool,
    member_down: Option<u64>,
    /// Nobody asks any more.
    ending: bool,
    plain: Vec<clients::Plain>,
    appenders: Vec<clients::Appender>,
    sessions: Vec<sessions::Session>,
    watches: Vec<watches::Watching>,
    next_watch: u64,
}

/// The history of a plan.
#[must_use]
pub fn generate(plan: &Plan) -> History {
    let mut run = Run::new(plan.clone());
    run.start();
    while let Some(Reverse((at, _, action))) = run.queue.pop() {
        run.now = at;
        run.act(action);
    }
    let header = Header {
        schema: SCHEMA,
        seed: plan.seed,
        target: "specification".to_owned(),
        version: "0".to_owned(),
        argv: vec!["generate".to_owned()],
        members: vec![1, 2, 3],
        limits: Limits {
            election_ms: 500,
            lease_slack_ms: 500,
            watch_ms: 5_000,
            converge_ms: 5_000,
            half_open_ms: 1_000,
            rate_floor: 10,
            return_gap_ms: 300,
            watch_floor_percent: 20,
        },
        plan: None,
    };
    History::from_events(header, run.events).expect("the simulation records what happens in order")
}

impl Run {
    fn new(plan: Plan) -> Run {
        let random = Random::new(plan.seed);
        let blank =
            Entry { member: 1, index: 1, term: 1, revision: None, changes: vec![Change::Other("blank".to_owned())] };
        Run {
            random,
            now: 0,
            queue: BinaryHeap::new(),
            sequence: 0,
            store: Store::default(),
            term: 1,
            entries: vec![blank],
            events: Vec::new(),
            flights: BTreeMap::new(),
            next_op: 1,
            next_client: 1,
            asked: 0,
            next_value: 1,
            deadlines: BTreeMap::new(),
            slow_sync: false,
            member_down: None,
            ending: false,
            plain: Vec::new(),
            appenders: Vec::new(),
            sessions: Vec::new(),
            watches: Vec::new(),
            next_watch: 1,
            plan,
        }
    }

    fn start(&mut self) {
        self.record(Event::Phase(Phase::WarmUp));
        for id in 1..=3 {
            self.record(Event::Member(Member { id, step: MemberStep::Started }));
            self.record(Event::Member(Member { id, step: MemberStep::Ready }));
        }
        self.record(Event::Member(Member { id: 1, step: MemberStep::Leader { term: 1 } }));
        self.start_clients();
        for (stage, (when, _)) in stages().iter().enumerate().take(END).skip(1) {
            self.after(self.length() * when / 1000, Action::Stage(stage));
        }
    }

    /// How long the traffic lasts, about.
    fn length(&self) -> u64 {
        (self.plan.ops * 12 / self.plan.clients.max(1)).max(1_000) * MS
    }

    fn after(&mut self, wait: u64, action: Action) {
        self.sequence += 1;
        self.queue.push(Reverse((self.now + wait, self.sequence, action)));
    }

    fn record(&mut self, event: Event) {
        self.events.push((self.now, event));
    }

    fn fresh_client(&mut self) -> u64 {
        self.next_client += 1;
        self.next_client
    }

    fn fresh_value(&mut self) -> String {
        self.next_value += 1;
        format!("v{}", self.next_value)
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Ask(client) => self.plain_asks(client),
            Action::Effect(op) => self.effect(op),
            Action::Return(op) => self.returns(op),
            Action::Append(client) => self.append_asks(client),
            Action::Session(session) => self.session_steps(session),
            Action::Expire(lease) => self.expire(lease),
            Action::Watch(watch) => self.watch_steps(watch),
            Action::Stage(stage) => stages()[stage].1(self),
        }
    }

    /// Invokes an operation that takes effect and returns a little later; its id.
    fn invoke(&mut self, client: u64, member: u64, request: Request, then: Then, may_be_unknown: bool) -> u64 {
        let op = self.next_op;
        self.next_op += 1;
        self.record(Event::Invoke(Invoke { op, client, member, request: request.clone() }));
        let writes = matches!(request, Request::Put(_) | Request::Delete(_) | Request::Txn(_));
        let sync = if self.slow_sync && writes { SLOW_SYNC_MS * MS } else { 0 };
        let there = self.random.between(MS / 2, 6 * MS) + sync;
        let back = self.random.between(MS / 4, 4 * MS);
        let unknown_per_mille = self.plan.unknown_per_mille;
        let told = !(may_be_unknown && self.random.chance(unknown_per_mille));
        // Of those that nobody is told of, a third is lost, and some take effect long after the client has given up.
        let lost = !told && self.random.chance(330);
        let late = !told && self.random.chance(300);
        self.flights.insert(op, Flight { request, outcome: None, told, applied: lost, returned: false, then });
        if !lost {
            self.after(if late { there * 20 } else { there }, Action::Effect(op));
        }
        self.after(there + back, Action::Return(op));
        op
    }

    /// Does an operation in the store; what writes is an entry of the log.
    fn effect(&mut self, op: u64) {
        let Some(request) = self.flights.get(&op).map(|flight| flight.request.clone()) else { return };
        let outcome = self.outcome(&request);
        let flight = self.flights.get_mut(&op).expect("doing an operation forgets none");
        flight.applied = true;
        if flight.told {
            flight.outcome = Some(outcome);
        } else if flight.returned {
            self.flights.remove(&op);
        }
        self.lock_waiters();
    }

    fn outcome(&mut self, request: &Request) -> Outcome {
        if let Some(outcome) = self.lease_outcome(request) {
            return outcome;
        }
        match self.store.apply(request) {
            Ok(applied) => {
                if request.may_write() {
                    self.log(vec![Change::Apply(request.clone())]);
                }
                self.ok(applied.answer)
            }
            Err(code) => Outcome::Failed(Failure { code, message: String::new() }),
        }
    }

    fn ok(&self, answer: Answer) -> Outcome {
        Outcome::Ok(Answered { revision: self.store.revision(), term: self.term, answer })
    }

    fn log(&mut self, changes: Vec<Change>) {
        let index = self.entries.len() as u64 + 1;
        self.entries.push(Entry { member: 1, index, term: self.term, revision: Some(self.store.revision()), changes });
    }

    fn returns(&mut self, op: u64) {
        // A lock that was held at once has returned already.
        let Some(flight) = self.flights.get_mut(&op) else { return };
        let then = flight.then;
        if !flight.told {
            flight.returned = true;
            if flight.applied {
                self.flights.remove(&op);
            }
            self.record(Event::Return(Return { op, outcome: Outcome::Unknown("deadline".to_owned()) }));
            self.follow(then, None);
            return;
        }
        // A lock answers when it is held.
        let Some(outcome) = flight.outcome.clone() else { return };
        self.flights.remove(&op);
        self.record(Event::Return(Return { op, outcome: outcome.clone() }));
        self.follow(then, Some(&outcome));
    }

    fn follow(&mut self, then: Then, outcome: Option<&Outcome>) {
        match then {
            Then::Plain(client) => self.plain_told(client, outcome),
            Then::Append(client) => self.append_told(client, outcome),
            Then::Session(session) => self.session_told(session, outcome),
            Then::Nothing => {}
        }
    }

    fn fault(&mut self, id: u64, step: FaultStep) {
        self.record(Event::Fault(Fault { id, step }));
    }

    fn member(&mut self, id: u64, step: MemberStep) {
        self.record(Event::Member(Member { id, step }));
    }
}
