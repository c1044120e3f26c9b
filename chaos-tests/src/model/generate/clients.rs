//! Plain clients, which read, write, swap and delete shared keys, and those that append to lists.

use super::{Action, MS, Run, Then};
use crate::history::{Answer, Compact, Compare, Delete, Outcome, Put, Range, Relation, Request, Target, Txn};

/// A plain client.
pub(super) struct Plain {
    id: u64,
    member: u64,
    /// What it read last: key, value and mod revision.
    last: Option<(String, String, i64)>,
}

/// A client that appends.
pub(super) struct Appender {
    id: u64,
    list: String,
    /// What it read last: the list, and its mod revision; 0 for none.
    last: Option<(String, i64)>,
    element: u64,
}

impl Run {
    pub(super) fn start_clients(&mut self) {
        for client in 0..self.plan.clients {
            let (id, member) = (self.fresh_client(), client % 3 + 1);
            self.plain.push(Plain { id, member, last: None });
            self.after(client * MS / 3, Action::Ask(self.plain.len() - 1));
        }
        for client in 0..self.plan.appenders {
            let id = self.fresh_client();
            self.appenders.push(Appender { id, list: String::new(), last: None, element: client * 1_000_000 });
            self.after(5 * MS + client * MS, Action::Append(self.appenders.len() - 1));
        }
        self.start_sessions();
        self.start_watches();
    }

    /// The member that a client asks: the one that is down refuses nothing, it is just not asked.
    pub(super) fn up(&self, member: u64) -> u64 {
        if self.member_down == Some(member) { 1 } else { member }
    }

    fn key(&mut self) -> String {
        let keys = self.plan.keys;
        format!("key/{:02}", self.random.below(keys))
    }

    pub(super) fn plain_asks(&mut self, client: usize) {
        if self.ending || self.asked >= self.plan.ops {
            return;
        }
        self.asked += 1;
        let request = self.plain_request(client);
        let (id, member) = (self.plain[client].id, self.up(self.plain[client].member));
        let may_be_unknown = !matches!(request, Request::Compact(_));
        self.invoke(id, member, request, Then::Plain(client), may_be_unknown);
    }

    fn plain_request(&mut self, client: usize) -> Request {
        let key = self.key();
        let revision = i64::try_from(self.random.below(self.store.revision().unsigned_abs())).unwrap_or(0).max(1);
        match self.random.below(100) {
            0..35 => Request::Range(Range { key, ..Range::default() }),
            35..40 => {
                Request::Range(Range { key: "key/".to_owned(), end: Some("key0".to_owned()), ..Range::default() })
            }
            40..45 => Request::Range(Range { key, serializable: true, ..Range::default() }),
            45..50 => Request::Range(Range {
                key: "key/".to_owned(),
                end: Some("key0".to_owned()),
                revision,
                ..Range::default()
            }),
            50..75 => {
                let (value, previous) = (self.fresh_value(), self.random.chance(300));
                Request::Put(Put { key, value, lease: 0, previous })
            }
            75..79 => Request::Delete(Delete { key, end: None, previous: true }),
            79 => Request::Delete(Delete { key: "key/00".to_owned(), end: Some("key/02".to_owned()), previous: false }),
            80..89 => self.swap(client),
            89..97 => self.pair(key),
            97 => Request::Compact(Compact { revision, physical: false }),
            _ => Request::Range(Range {
                key: "key/".to_owned(),
                end: Some("key0".to_owned()),
                limit: 2,
                ..Range::default()
            }),
        }
    }

    /// A compare-and-swap on what the client read last.
    fn swap(&mut self, client: usize) -> Request {
        let value = self.fresh_value();
        let (key, to) = match self.plain[client].last.clone() {
            Some((key, old, _)) if self.random.chance(500) => (key, Target::Value(old)),
            Some((key, _, modified)) => (key, Target::Mod(modified)),
            None => (self.key(), Target::Create(0)),
        };
        let read = Request::Range(Range { key: key.clone(), ..Range::default() });
        Request::Txn(Txn {
            compares: vec![Compare { key: key.clone(), is: Relation::Equal, to }],
            success: vec![Request::Put(Put { key, value, ..Put::default() })],
            failure: vec![read],
        })
    }

    /// Two keys in one revision.
    fn pair(&mut self, key: String) -> Request {
        let (other, first, second) = (format!("{key}+"), self.fresh_value(), self.fresh_value());
        let read = Request::Range(Range { key: key.clone(), ..Range::default() });
        let puts =
            [(key, first), (other, second)].map(|(key, value)| Request::Put(Put { key, value, ..Put::default() }));
        Request::Txn(Txn {
            compares: Vec::new(),
            success: puts.into_iter().chain([read]).collect(),
            failure: Vec::new(),
        })
    }

    pub(super) fn plain_told(&mut self, client: usize, outcome: Option<&Outcome>) {
        if let Some(Outcome::Ok(answered)) = outcome {
            if let Answer::Range(ranged) = &answered.answer
                && let Some(kv) = ranged.kvs.first()
            {
                self.plain[client].last = Some((kv.key.clone(), kv.value.clone(), kv.mod_revision));
            }
        } else if outcome.is_none() {
            self.plain[client].id = self.fresh_client();
        }
        let think = self.random.below(4 * MS);
        self.after(think, Action::Ask(client));
    }

    /// Reads a list, then appends to what was read, if it is still that.
    pub(super) fn append_asks(&mut self, client: usize) {
        if self.ending {
            return;
        }
        let request = match self.appenders[client].last.take() {
            None => {
                let list = format!("list/{}", self.random.below(2));
                self.appenders[client].list = list.clone();
                if self.random.chance(300) {
                    Request::Range(Range { key: "list/".to_owned(), end: Some("list0".to_owned()), ..Range::default() })
                } else {
                    Request::Range(Range { key: list, ..Range::default() })
                }
            }
            Some((value, modified)) => self.append(client, &value, modified),
        };
        let id = self.appenders[client].id;
        self.invoke(id, 2, request, Then::Append(client), false);
    }

    fn append(&mut self, client: usize, value: &str, modified: i64) -> Request {
        self.appenders[client].element += 1;
        let (key, element) = (self.appenders[client].list.clone(), self.appenders[client].element);
        let longer = if value.is_empty() { element.to_string() } else { format!("{value},{element}") };
        let to = if modified > 0 && self.random.chance(500) {
            Target::Value(value.to_owned())
        } else {
            Target::Mod(modified)
        };
        let read = Request::Range(Range { key: key.clone(), ..Range::default() });
        Request::Txn(Txn {
            compares: vec![Compare { key: key.clone(), is: Relation::Equal, to }],
            success: vec![read.clone(), Request::Put(Put { key, value: longer, ..Put::default() })],
            failure: vec![read],
        })
    }

    pub(super) fn append_told(&mut self, client: usize, outcome: Option<&Outcome>) {
        if let Some(Outcome::Ok(answered)) = outcome
            && let Answer::Range(ranged) = &answered.answer
        {
            let list = &self.appenders[client].list;
            let kv = ranged.kvs.iter().find(|kv| kv.key == *list);
            // A list has a bound: what a value may be long.
            let last = kv.map_or((String::new(), 0), |kv| (kv.value.clone(), kv.mod_revision));
            if last.0.len() < 200 {
                self.appenders[client].last = Some(last);
            }
        }
        let think = self.random.between(2 * MS, 12 * MS);
        self.after(think, Action::Append(client));
    }
}
