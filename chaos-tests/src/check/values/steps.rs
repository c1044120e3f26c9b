//! Operations as the search sees them: sets of keys, values as numbers, conditions and effects.

use std::collections::{BTreeMap, HashMap};

use super::search::{Micro, Step};
use super::{KEYS_MAX, RANGE_KEYS_MAX};
use crate::check::evidence::{Evidence, Fate, Op};
use crate::history::{Answer, Compare, Relation, Request, Target, Txn, TxnDone, covers};

/// Keys that are searched together, with their operations in the order of invocations.
pub(super) struct Group {
    pub(super) keys: Vec<String>,
    pub(super) steps: Vec<Step>,
}

/// What is needed to translate.
struct Words<'h> {
    /// Key → its group, and its place in it.
    places: BTreeMap<&'h str, (usize, u8)>,
    values: HashMap<&'h str, u32>,
    /// (key, mod revision) → the value shown under it.
    shown: HashMap<(&'h str, i64), &'h str>,
}

/// A condition: (group, place, value, whether it holds).
type Condition = (usize, u8, u32, bool);

/// Parts of an operation, each with its group.
type Parts = Vec<(usize, Micro)>;

pub(super) fn groups(evidence: &Evidence<'_>) -> Vec<Group> {
    let mut keys = join(evidence);
    let mut words = Words { places: BTreeMap::new(), values: HashMap::new(), shown: HashMap::new() };
    for (group, members) in keys.iter_mut().enumerate() {
        members.sort_unstable();
        for (place, key) in members.iter().enumerate() {
            words.places.insert(key, (group, u8::try_from(place).expect("a group is small")));
        }
    }
    for op in &evidence.ops {
        if let Some((_, answered)) = op.ok() {
            words.shown.extend(
                answered.answer.shown().into_iter().map(|kv| ((kv.key.as_str(), kv.mod_revision), kv.value.as_str())),
            );
            if let (Request::Put(put), true) = (op.request, answered.answer.changed_keys()) {
                words.shown.insert((&put.key, answered.revision), &put.value);
            }
        }
    }
    let mut groups: Vec<Group> = keys
        .iter()
        .map(|keys| Group { keys: keys.iter().map(|key| (*key).to_owned()).collect(), steps: Vec::new() })
        .collect();
    let sightings = first_sightings(evidence);
    for (at, op) in evidence.ops.iter().enumerate() {
        let returned = match (op.returned, evidence.settled.fates[at]) {
            (_, Fate::Never) => continue,
            _ if op.refused().is_some() => continue,
            // One that is settled was done before anybody was told of its revision.
            (_, Fate::At(revision)) if op.open() => seen_by(&sightings, revision).filter(|seen| *seen > op.invoked.at),
            _ => op.ok().map(|(mark, _)| mark.at),
        };
        let ways = words.ways(op);
        let mut touched: Vec<usize> = ways.iter().flatten().map(|(group, _)| *group).collect();
        touched.sort_unstable();
        touched.dedup();
        for group in touched {
            let own = |way: &Parts| way.iter().filter(|(of, _)| *of == group).map(|(_, micro)| micro.clone()).collect();
            groups[group].steps.push(Step {
                op: at,
                invoked: op.invoked.at,
                returned,
                ways: ways.iter().map(own).collect(),
            });
        }
    }
    groups
}

/// Answers in the order of time, each with the highest revision up to then.
fn first_sightings(evidence: &Evidence<'_>) -> Vec<(u64, i64)> {
    let mut seen: Vec<(u64, i64)> =
        evidence.ops.iter().filter_map(|op| op.ok().map(|(mark, answered)| (mark.at, answered.revision))).collect();
    seen.sort_unstable();
    let mut highest = 0;
    for (_, revision) in &mut seen {
        highest = highest.max(*revision);
        *revision = highest;
    }
    seen
}

fn seen_by(sightings: &[(u64, i64)], revision: i64) -> Option<u64> {
    sightings.get(sightings.partition_point(|(_, highest)| *highest < revision)).map(|(at, _)| *at)
}

/// The keys to look at, in sets that transactions join.
fn join<'h>(evidence: &Evidence<'h>) -> Vec<Vec<&'h str>> {
    let settled = &evidence.settled;
    let mut sets: Vec<Vec<&str>> = Vec::new();
    let mut of: BTreeMap<&str, usize> = BTreeMap::new();
    for op in &evidence.ops {
        let mut keys = single_keys(op.request);
        keys.retain(|key| !settled.leased.contains(*key) && !settled.is_service_key(key));
        keys.sort_unstable();
        keys.dedup();
        for key in &keys {
            of.entry(key).or_insert_with(|| {
                sets.push(vec![*key]);
                sets.len() - 1
            });
        }
        let mut joined: Vec<usize> = keys.iter().map(|key| of[key]).collect();
        joined.sort_unstable();
        joined.dedup();
        if joined.len() < 2 || joined.iter().map(|set| sets[*set].len()).sum::<usize>() > KEYS_MAX {
            continue;
        }
        for other in joined.drain(1..).collect::<Vec<_>>() {
            let moved = std::mem::take(&mut sets[other]);
            moved.iter().for_each(|key| {
                of.insert(key, joined[0]);
            });
            sets[joined[0]].extend(moved);
        }
    }
    sets.retain(|set| !set.is_empty());
    sets
}

/// The keys that a request names one by one.
fn single_keys(request: &Request) -> Vec<&str> {
    match request {
        Request::Range(range) if range.end.is_none() && range.revision == 0 && !range.serializable => vec![&range.key],
        Request::Put(put) => vec![&put.key],
        Request::Delete(delete) if delete.end.is_none() => vec![&delete.key],
        Request::Txn(txn) => {
            let compared = txn.compares.iter().map(|compare| compare.key.as_str());
            compared.chain(txn.success.iter().chain(&txn.failure).flat_map(single_keys)).collect()
        }
        _ => Vec::new(),
    }
}

impl<'h> Words<'h> {
    fn value(&mut self, value: &'h str) -> u32 {
        let next = u32::try_from(self.values.len() + 1).expect("values fit in 32 bits");
        *self.values.entry(value).or_insert(next)
    }

    /// What an operation may have done.
    fn ways(&mut self, op: &Op<'h>) -> Vec<Parts> {
        let answer = op.ok().map(|(_, answered)| &answered.answer);
        if let (Request::Txn(txn), None) = (op.request, answer) {
            let either = |succeeded| TxnDone { succeeded, answers: Vec::new() };
            return [either(true), either(false)].iter().map(|told| self.txn(txn, told, None)).collect();
        }
        let mut parts = Parts::new();
        self.parts(op.request, answer, &mut parts);
        if parts.is_empty() { Vec::new() } else { vec![parts] }
    }

    fn parts(&mut self, request: &'h Request, answer: Option<&'h Answer>, parts: &mut Parts) {
        match (request, answer) {
            (Request::Range(range), Some(Answer::Range(told))) => {
                if range.revision != 0 || range.serializable || range.keys_only || range.count_only || range.limit > 0 {
                    return;
                }
                for (key, (group, place)) in
                    self.covered(&range.key, range.end.as_deref(), RANGE_KEYS_MAX).unwrap_or_default()
                {
                    let shown = told.kvs.iter().find(|kv| kv.key == key).map_or(0, |kv| self.value(&kv.value));
                    parts.push((group, Micro::Is(place, shown)));
                }
            }
            (Request::Put(put), told) => {
                let Some((group, place)) = self.places.get(put.key.as_str()).copied() else { return };
                if let (true, Some(Answer::Put(told))) = (put.previous, told) {
                    let before = told.previous.as_ref().map_or(0, |kv| self.value(&kv.value));
                    parts.push((group, Micro::Is(place, before)));
                }
                parts.push((group, Micro::Set(place, self.value(&put.value))));
            }
            (Request::Delete(delete), told) => {
                let covered = self.covered(&delete.key, delete.end.as_deref(), usize::MAX).unwrap_or_default();
                for (_, (group, place)) in covered {
                    match told {
                        Some(Answer::Delete(told)) if told.deleted == 0 => parts.push((group, Micro::Is(place, 0))),
                        Some(Answer::Delete(_)) if delete.end.is_none() => {
                            parts.extend([(group, Micro::Not(place, 0)), (group, Micro::Set(place, 0))])
                        }
                        _ => parts.push((group, Micro::Set(place, 0))),
                    }
                }
            }
            (Request::Txn(txn), Some(Answer::Txn(told))) => parts.extend(self.txn(txn, told, Some(&told.answers))),
            _ => {}
        }
    }

    fn txn(&mut self, txn: &'h Txn, told: &TxnDone, answers: Option<&'h Vec<Answer>>) -> Parts {
        let mut parts = Parts::new();
        let conditions: Vec<Option<Condition>> = txn.compares.iter().map(|compare| self.condition(compare)).collect();
        if told.succeeded {
            parts.extend(conditions.iter().flatten().map(|(group, place, value, holds)| {
                (*group, if *holds { Micro::Is(*place, *value) } else { Micro::Not(*place, *value) })
            }));
        } else if let Some(all) = conditions.iter().copied().collect::<Option<Vec<Condition>>>()
            && let Some((group, ..)) = all.first().copied()
            && all.iter().all(|(other, ..)| *other == group)
        {
            parts.push((
                group,
                Micro::NotAll(all.iter().map(|(_, place, value, holds)| (*place, *value, *holds)).collect()),
            ));
        }
        for (at, op) in if told.succeeded { &txn.success } else { &txn.failure }.iter().enumerate() {
            self.parts(op, answers.and_then(|answers| answers.get(at)), &mut parts);
        }
        parts
    }

    /// A compare as a condition on a value; `None` where values do not tell.
    fn condition(&mut self, compare: &'h Compare) -> Option<Condition> {
        let (group, place) = self.places.get(compare.key.as_str()).copied()?;
        let holds = match compare.is {
            Relation::Equal => true,
            Relation::NotEqual => false,
            Relation::Greater | Relation::Less => return None,
        };
        let value = match &compare.to {
            Target::Value(value) if holds => self.value(value),
            Target::Version(0) | Target::Create(0) | Target::Mod(0) => 0,
            Target::Mod(revision) => {
                let value = *self.shown.get(&(compare.key.as_str(), *revision))?;
                self.value(value)
            }
            _ => return None,
        };
        Some((group, place, value, holds))
    }

    /// The keys looked at that a range covers; `None` when they are more than `max`.
    fn covered(&self, first: &'h str, end: Option<&str>, max: usize) -> Option<Vec<(&'h str, (usize, u8))>> {
        let from = self.places.range(first..);
        let covered = from.take_while(|(key, _)| covers(first, end, key)).map(|(key, place)| (*key, *place));
        let covered: Vec<_> = covered.take(max.saturating_add(1)).collect();
        (covered.len() <= max).then_some(covered)
    }
}
