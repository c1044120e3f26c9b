//! The network of a simulation: parcels under way between hosts, in the order of their arrival.
//!
//! ```text
//! caller ─▶ post ─▶ due (by time) ─▶ advance ─▶ the call's channels ─▶ service, on the runtime of its host
//!                                      └▶ a cut link holds them until it is healed, as TCP would send again
//! ```
//! A parcel is a piece of a call: its head, a frame of its body, its end. Promises: the pieces of one call come in order, none
//! is lost while the hosts live; of different calls they overtake each other, by the seed. A host that is killed resets its
//! calls; one that loses power says nothing, until it is back and answers what still comes with a reset.
//! Does not: bound what is under way (a receiver's window), drop or repeat parcels, know HTTP/2.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use fairlead_store::net::Served;
use fairlead_store::raft::Failure;
use http::{request, response};
use http_body::Frame;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::call;

/// Which machine: members from 0, then the clients'.
pub(crate) type Host = usize;

/// How long a parcel takes on a link that is well, microseconds.
const LATENCY_US: (u64, u64) = (200, 1_800);
/// Pieces of one direction of a call that its end has not taken; more reset the call.
const PIECES_MAX: usize = 1 << 16;

/// A host's life: what an earlier one sends late does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    pub(crate) host: Host,
    pub(crate) life: u64,
}

/// A piece of a body.
pub(crate) enum Piece {
    Frame(Frame<Bytes>),
    End,
}

/// What is under way.
pub(crate) enum What {
    /// A request, without its body.
    Ask(request::Parts),
    ToServer(Piece),
    /// A response, without its body.
    Head(response::Parts),
    ToClient(Piece),
    /// Nobody serves there.
    Refused,
    /// One end is gone.
    Reset,
}

struct Parcel {
    from: Host,
    to: Host,
    call: u64,
    what: What,
}

/// A call that is not over.
struct Call {
    from: Host,
    to: Host,
    url: String,
    up: mpsc::Sender<Piece>,
    /// Until the request arrives.
    body: Option<mpsc::Receiver<Piece>>,
    head: Option<oneshot::Sender<Result<response::Parts, Failure>>>,
    down: mpsc::Sender<Piece>,
    over: CancellationToken,
    /// When the last piece each way arrives.
    last_up: u64,
    last_down: u64,
}

/// The caller's ends of a call.
pub(crate) struct Opened {
    pub(crate) id: u64,
    pub(crate) head: oneshot::Receiver<Result<response::Parts, Failure>>,
    pub(crate) down: mpsc::Receiver<Piece>,
    pub(crate) over: CancellationToken,
}

#[derive(Default)]
struct Link {
    /// How many faults cut it.
    cuts: u32,
    held: Vec<Parcel>,
    /// What each fault adds to the latency, at most, microseconds.
    slow_us: Vec<u64>,
    /// What was held arrives then, and nothing before it.
    clear_at: u64,
    /// How many parcels were ever held.
    held_ever: u64,
}

#[derive(Default)]
struct Station {
    runtime: Option<Handle>,
    services: BTreeMap<String, Served>,
    life: u64,
    /// It has lost power and says nothing, not even that nobody is there.
    silent: bool,
}

struct Inner {
    /// Microseconds.
    now: u64,
    chance: StdRng,
    numbers: u64,
    due: BTreeMap<(u64, u64), Parcel>,
    links: BTreeMap<(Host, Host), Link>,
    stations: Vec<Station>,
    addresses: BTreeMap<String, Host>,
    calls: BTreeMap<u64, Call>,
    /// Calls of a host that has lost power: reset when it is back.
    orphans: BTreeMap<Host, BTreeSet<u64>>,
}

/// The network; clones share it.
#[derive(Clone)]
pub(crate) struct Network(Arc<Mutex<Inner>>);

impl Network {
    /// Between `hosts` hosts that are down.
    pub(crate) fn new(hosts: usize, seed: u64) -> Network {
        Network(Arc::new(Mutex::new(Inner {
            now: 0,
            chance: StdRng::seed_from_u64(seed),
            numbers: 0,
            due: BTreeMap::new(),
            links: BTreeMap::new(),
            stations: (0..hosts).map(|_| Station::default()).collect(),
            addresses: BTreeMap::new(),
            calls: BTreeMap::new(),
            orphans: BTreeMap::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on `url` leads to `host`.
    pub(crate) fn name(&self, url: &str, host: Host) {
        self.lock().addresses.insert(url.to_owned(), host);
    }

    /// A host begins a life on a runtime.
    pub(crate) fn up(&self, host: Host, runtime: Handle) {
        let mut inner = self.lock();
        let orphans = inner.orphans.remove(&host).unwrap_or_default();
        inner.reset_all(host, orphans);
        let station = &mut inner.stations[host];
        station.runtime = Some(runtime);
        station.silent = false;
    }

    /// A host's life is over: before its runtime goes, so that nothing that ends with it is sent.
    pub(crate) fn down(&self, host: Host, silent: bool) {
        let mut inner = self.lock();
        let station = &mut inner.stations[host];
        station.runtime = None;
        station.services.clear();
        station.life += 1;
        station.silent = silent;
        let calls = inner.calls.iter().filter(|(_, call)| call.from == host || call.to == host);
        let calls: BTreeSet<u64> = calls.map(|(id, _)| *id).collect();
        match silent {
            true => inner.orphans.entry(host).or_default().extend(calls),
            false => inner.reset_all(host, calls),
        }
    }

    /// Who sends from a host now.
    pub(crate) fn sender(&self, host: Host) -> Sender {
        Sender { host, life: self.lock().stations[host].life }
    }

    /// Lets a service answer at `url` on its host, as long as its life lasts.
    pub(crate) fn serve(&self, url: &str, service: Served) {
        let mut inner = self.lock();
        let Some(host) = inner.addresses.get(url).copied() else { return };
        inner.stations[host].services.insert(url.to_owned(), service);
    }

    /// Nothing answers at `url` any more.
    pub(crate) fn withdraw(&self, url: &str) {
        let mut inner = self.lock();
        let Some(host) = inner.addresses.get(url).copied() else { return };
        inner.stations[host].services.remove(url);
    }

    /// Opens a call to `url`; `None` where no host has that name.
    pub(crate) fn open(&self, from: Host, url: &str) -> Option<Opened> {
        let mut inner = self.lock();
        let to = *inner.addresses.get(url)?;
        let id = inner.number();
        let (up, body) = mpsc::channel(PIECES_MAX);
        let (down, received) = mpsc::channel(PIECES_MAX);
        let (head, answered) = oneshot::channel();
        let over = CancellationToken::new();
        let call = Call {
            from,
            to,
            url: url.to_owned(),
            up,
            body: Some(body),
            head: Some(head),
            down,
            over: over.clone(),
            last_up: 0,
            last_down: 0,
        };
        inner.calls.insert(id, call);
        Some(Opened { id, head: answered, down: received, over })
    }

    /// Sends a piece of a call from one of its ends.
    pub(crate) fn post(&self, sender: Sender, call: u64, what: What) {
        let mut inner = self.lock();
        let station = &inner.stations[sender.host];
        if station.life == sender.life && station.runtime.is_some() {
            inner.post(sender.host, call, what);
        }
    }

    /// Parcels in one direction stay where they are from now on; each cut needs a heal.
    pub(crate) fn cut(&self, from: Host, to: Host) {
        self.lock().links.entry((from, to)).or_default().cuts += 1;
    }

    /// Takes back one cut; how many parcels the link has ever held.
    pub(crate) fn heal(&self, from: Host, to: Host) -> u64 {
        let mut inner = self.lock();
        let now = inner.now;
        let latency = inner.latency(from, to);
        let link = inner.links.entry((from, to)).or_default();
        link.cuts = link.cuts.saturating_sub(1);
        let ever = link.held_ever;
        if link.cuts == 0 {
            link.clear_at = now + latency;
            let (at, held) = (link.clear_at, std::mem::take(&mut link.held));
            for parcel in held {
                let number = inner.number();
                inner.due.insert((at, number), parcel);
            }
        }
        ever
    }

    /// A link takes up to `us` longer; each slowing needs a [`Network::hasten`].
    pub(crate) fn slow(&self, from: Host, to: Host, us: u64) {
        self.lock().links.entry((from, to)).or_default().slow_us.push(us);
    }

    /// Takes back one slowing.
    pub(crate) fn hasten(&self, from: Host, to: Host, us: u64) {
        let mut inner = self.lock();
        let slow = &mut inner.links.entry((from, to)).or_default().slow_us;
        if let Some(at) = slow.iter().position(|slowed| *slowed == us) {
            slow.remove(at);
        }
    }

    /// Every call between two hosts is reset; how many there were.
    pub(crate) fn reset(&self, one: Host, other: Host) -> u64 {
        let mut inner = self.lock();
        let between = |call: &Call| (call.from, call.to) == (one, other) || (call.from, call.to) == (other, one);
        let calls: BTreeSet<u64> = inner.calls.iter().filter(|(_, call)| between(call)).map(|(id, _)| *id).collect();
        let count = calls.len() as u64;
        for id in calls {
            inner.end(id);
        }
        count
    }

    /// Time goes on by `us`; what is due arrives.
    pub(crate) fn advance(&self, us: u64) {
        let until = {
            let mut inner = self.lock();
            inner.now += us;
            inner.now
        };
        loop {
            // Tasks are spawned without the lock: one that cannot be spawned is dropped here, and sends what that means.
            let arrived = {
                let mut inner = self.lock();
                match inner.due.first_entry().filter(|first| first.key().0 <= until) {
                    Some(first) => {
                        let parcel = first.remove();
                        inner.arrive(parcel)
                    }
                    None => return,
                }
            };
            if let Some(begin) = arrived {
                let server = Sender { host: begin.host, life: begin.life };
                let serving = call::serve(self.clone(), server, begin.call, begin.service, begin.request, begin.over);
                drop(begin.runtime.spawn(serving));
            }
        }
    }
}

/// A request that has arrived where somebody serves.
struct Begin {
    host: Host,
    life: u64,
    runtime: Handle,
    call: u64,
    service: Served,
    request: http::Request<mpsc::Receiver<Piece>>,
    over: CancellationToken,
}

impl Inner {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn latency(&mut self, from: Host, to: Host) -> u64 {
        let slow = self.links.get(&(from, to)).map_or(0, |link| link.slow_us.iter().sum());
        self.chance.random_range(LATENCY_US.0..=LATENCY_US.1 + slow)
    }

    fn post(&mut self, from: Host, id: u64, what: What) {
        let Some(call) = self.calls.get(&id) else { return };
        let to = if call.from == from { call.to } else { call.from };
        let latency = self.latency(from, to);
        let clear_at = self.links.get(&(from, to)).map_or(0, |link| link.clear_at);
        let now = self.now;
        let call = self.calls.get_mut(&id).expect("just seen");
        let last = if call.from == from { &mut call.last_up } else { &mut call.last_down };
        let at = (now + latency).max(*last).max(clear_at);
        *last = at;
        let number = self.number();
        self.due.insert((at, number), Parcel { from, to, call: id, what });
    }

    /// The system at `host` tells the other ends of these calls that they are over.
    fn reset_all(&mut self, host: Host, calls: BTreeSet<u64>) {
        for id in calls {
            self.post(host, id, What::Reset);
        }
    }

    fn end(&mut self, id: u64) {
        if let Some(call) = self.calls.remove(&id) {
            call.over.cancel();
        }
    }

    /// A parcel is there, or held.
    fn arrive(&mut self, parcel: Parcel) -> Option<Begin> {
        if let Some(link) = self.links.get_mut(&(parcel.from, parcel.to)).filter(|link| link.cuts > 0) {
            link.held_ever += 1;
            link.held.push(parcel);
            return None;
        }
        let id = parcel.call;
        let call = self.calls.get_mut(&id)?;
        let full = |sent: Result<(), TrySendError<Piece>>| matches!(sent, Err(TrySendError::Full(_)));
        let is_over = match parcel.what {
            What::Ask(parts) => return self.ask(id, parts),
            // A service may have read all that it wants, and a caller may have gone.
            What::ToServer(piece) => full(call.up.try_send(piece)),
            What::Head(parts) => {
                call.head.take().map(|head| head.send(Ok(parts)));
                false
            }
            What::ToClient(piece) => {
                let ends = matches!(piece, Piece::End);
                full(call.down.try_send(piece)) || ends
            }
            What::Refused => {
                let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
                call.head.take().map(|head| head.send(Err(refused.into())));
                true
            }
            What::Reset => true,
        };
        if is_over {
            self.end(id);
        }
        None
    }

    /// A request arrives at its host.
    fn ask(&mut self, id: u64, parts: request::Parts) -> Option<Begin> {
        let call = self.calls.get_mut(&id)?;
        let station = &self.stations[call.to];
        if let (Some(runtime), Some(service)) = (&station.runtime, station.services.get(&call.url)) {
            let body = call.body.take()?;
            return Some(Begin {
                host: call.to,
                life: station.life,
                runtime: runtime.clone(),
                call: id,
                service: service.clone(),
                request: http::Request::from_parts(parts, body),
                over: call.over.clone(),
            });
        }
        let host = call.to;
        match station.silent {
            true => _ = self.orphans.entry(host).or_default().insert(id),
            false => self.post(host, id, What::Refused),
        }
        None
    }
}
