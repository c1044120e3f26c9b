//! The search: Wing and Gong's (1993) with Lowe's just-in-time linearization (2017) and greedy reads.
//!
//! Events are taken in the order of time. A configuration is a state and which of the operations that are under way have
//! taken effect in it. When an operation returns, every configuration in which it has not is extended by operations under
//! way until it has; those that cannot be are dropped. None left: no order explains the answers. A read that fits now is
//! taken now and never a branch; and of two configurations that differ only in what unknown operations have done, the one
//! in which less was done stands for both.

use std::collections::HashMap;

use super::KEYS_MAX;

/// Operations under way at once, unknown ones included; a bit each.
const PENDING_MAX: usize = 64;

/// Configurations at once.
const CONFIGS_MAX: usize = 20_000;

/// Operations that a counter-example shows.
const AROUND_MAX: usize = 8;

/// What each key of a set holds: 0 for nothing, else a value's number.
pub(super) type State = [u32; KEYS_MAX];

/// A part of an operation, done in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Micro {
    /// The key holds this.
    Is(u8, u32),
    /// The key does not hold this.
    Not(u8, u32),
    /// One of these does not hold: (key, value, whether it should hold that value).
    NotAll(Vec<(u8, u32, bool)>),
    /// The key holds this from now on.
    Set(u8, u32),
}

/// An operation on a set of keys.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// Its place in the evidence.
    pub(super) op: usize,
    pub(super) invoked: u64,
    /// `None`: at any time from then on, or never.
    pub(super) returned: Option<u64>,
    /// What it may have done; more than one where its answer is not known.
    pub(super) ways: Vec<Vec<Micro>>,
}

/// Where no order was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// The step whose answer cannot be.
    pub(super) step: usize,
    /// Steps near it.
    pub(super) around: Vec<usize>,
}

/// What a search found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Steps that were held against it.
    pub(super) judged: u64,
    pub(super) broken: Option<Broken>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Config {
    done: u64,
    state: State,
}

/// The operations under way, a bit each.
struct Pending {
    steps: [Option<usize>; PENDING_MAX],
    /// The bits of operations that may never have been done.
    open: u64,
}

/// Configurations without those that another stands for.
#[derive(Default)]
struct Frontier {
    known: HashMap<(u64, State), Vec<u64>>,
    all: Vec<Config>,
}

impl Frontier {
    fn insert(&mut self, config: Config, open: u64) -> bool {
        let less = self.known.entry((config.done & !open, config.state)).or_default();
        let done = config.done & open;
        if less.iter().any(|other| other & !done == 0) {
            return false;
        }
        less.retain(|other| done & !other != 0);
        less.push(done);
        self.all.push(config);
        true
    }
}

/// Searches an order for steps in the order of their invocations, from empty keys.
pub(super) fn search(steps: &[Step]) -> Found {
    let mut moments: Vec<(u64, bool, usize)> = Vec::with_capacity(steps.len() * 2);
    for (at, step) in steps.iter().enumerate() {
        moments.push((step.invoked, false, at));
        moments.extend(step.returned.map(|returned| (returned, true, at)));
    }
    // Of one instant, invocations come first: such operations overlap.
    moments.sort_unstable();
    let mut pending = Pending { steps: [None; PENDING_MAX], open: 0 };
    let mut configs = vec![Config { done: 0, state: [0; KEYS_MAX] }];
    let mut found = Found::default();
    let mut recent: Vec<usize> = Vec::new();
    for (_, returns, at) in moments {
        if !returns {
            let Some(bit) = pending.steps.iter().position(Option::is_none) else { return found };
            pending.steps[bit] = Some(at);
            pending.open |= u64::from(steps[at].returned.is_none()) << bit;
            if is_read(&steps[at]) {
                configs.iter_mut().for_each(|config| take_reads(config, &pending, steps));
            }
            continue;
        }
        let bit = pending.steps.iter().position(|step| *step == Some(at)).expect("a step that returns is under way");
        let Some(next) = extend(configs, bit, &pending, steps) else { return found };
        found.judged += 1;
        if next.is_empty() {
            let under_way = pending.steps.iter().flatten().copied().filter(|other| *other != at);
            let around = under_way.chain(recent.iter().rev().copied()).take(AROUND_MAX).collect();
            found.broken = Some(Broken { step: at, around });
            return found;
        }
        configs = settle(next, bit, &mut pending);
        recent.push(at);
        if recent.len() > AROUND_MAX {
            recent.remove(0);
        }
    }
    // What never returned has nothing to be held against.
    found.judged = steps.len() as u64;
    found
}

/// Every configuration in which the step at `bit` has been done; `None` when there are too many.
fn extend(configs: Vec<Config>, bit: usize, pending: &Pending, steps: &[Step]) -> Option<Vec<Config>> {
    let wanted = 1u64 << bit;
    if configs.iter().all(|config| config.done & wanted != 0) {
        return Some(configs);
    }
    let (mut seen, mut out) = (Frontier::default(), Frontier::default());
    for config in configs {
        seen.insert(config, pending.open);
    }
    let mut next = 0;
    while let Some(config) = seen.all.get(next).copied() {
        next += 1;
        if config.done & wanted != 0 {
            out.insert(config, pending.open);
            continue;
        }
        for (other, step) in pending.steps.iter().enumerate() {
            let (Some(step), true) = (step, config.done & (1 << other) == 0) else { continue };
            for way in &steps[*step].ways {
                if let Some(state) = after(&config.state, way) {
                    let mut more = Config { done: config.done | 1 << other, state };
                    take_reads(&mut more, pending, steps);
                    seen.insert(more, pending.open);
                }
            }
        }
        if seen.all.len() > CONFIGS_MAX {
            return None;
        }
    }
    Some(out.all)
}

/// Forgets the step that has returned, and those that never will but have been done in every configuration.
fn settle(mut configs: Vec<Config>, bit: usize, pending: &mut Pending) -> Vec<Config> {
    let everywhere = configs.iter().fold(u64::MAX, |all, config| all & config.done);
    let forget = 1u64 << bit | everywhere & pending.open;
    for (bit, step) in pending.steps.iter_mut().enumerate() {
        if forget & (1 << bit) != 0 {
            *step = None;
        }
    }
    pending.open &= !forget;
    configs.iter_mut().for_each(|config| config.done &= !forget);
    configs
}

/// Takes every read under way that fits.
fn take_reads(config: &mut Config, pending: &Pending, steps: &[Step]) {
    for (bit, step) in pending.steps.iter().enumerate() {
        let Some(step) = step.map(|at| &steps[at]) else { continue };
        if config.done & (1 << bit) == 0
            && is_read(step)
            && step.ways.iter().any(|way| after(&config.state, way).is_some())
        {
            config.done |= 1 << bit;
        }
    }
}

fn is_read(step: &Step) -> bool {
    step.ways.iter().flatten().all(|micro| !matches!(micro, Micro::Set(..)))
}

/// The state after an operation has been done in one way, if it can be.
fn after(state: &State, way: &[Micro]) -> Option<State> {
    let mut state = *state;
    for micro in way {
        let fits = match micro {
            Micro::Is(key, value) => state[usize::from(*key)] == *value,
            Micro::Not(key, value) => state[usize::from(*key)] != *value,
            Micro::NotAll(all) => all.iter().any(|(key, value, holds)| (state[usize::from(*key)] == *value) != *holds),
            Micro::Set(key, value) => {
                state[usize::from(*key)] = *value;
                true
            }
        };
        if !fits {
            return None;
        }
    }
    Some(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(invoked: u64, returned: u64, way: Vec<Micro>) -> Step {
        let returned = (returned > 0).then_some(returned);
        Step { op: 0, invoked, returned, ways: vec![way] }
    }

    fn put(from: u64, to: u64, value: u32) -> Step {
        step(from, to, vec![Micro::Set(0, value)])
    }

    fn get(from: u64, to: u64, value: u32) -> Step {
        step(from, to, vec![Micro::Is(0, value)])
    }

    #[test]
    fn registers_are_told_apart_from_what_is_none() {
        let cases: [(&str, Vec<Step>, Option<usize>); 9] = [
            ("a read after a write", vec![put(0, 10, 1), get(20, 30, 1)], None),
            ("a stale read", vec![put(0, 10, 1), get(20, 30, 0)], Some(1)),
            ("a read beside a write may be before it", vec![put(0, 30, 1), get(5, 25, 0)], None),
            ("two reads beside a write may not go back", vec![put(0, 100, 1), get(5, 25, 1), get(30, 40, 0)], Some(2)),
            ("an unknown write may come late", vec![put(0, 0, 1), get(20, 30, 0), get(40, 50, 1)], None),
            (
                "an unknown write comes once",
                vec![put(0, 0, 1), get(20, 30, 1), put(31, 32, 2), get(40, 50, 1)],
                Some(3),
            ),
            (
                "two writes beside each other in either order",
                vec![put(0, 100, 1), put(0, 100, 2), get(110, 120, 1)],
                None,
            ),
            (
                "and in one order only",
                vec![put(0, 100, 1), put(0, 100, 2), get(110, 120, 1), get(130, 140, 2)],
                Some(3),
            ),
            ("a value that nobody wrote", vec![put(0, 10, 1), get(20, 30, 9)], Some(1)),
        ];
        for (name, steps, broken) in cases {
            assert_eq!(search(&steps).broken.map(|broken| broken.step), broken, "{name}");
        }
    }

    #[test]
    fn a_swap_on_a_wrong_value_is_seen() {
        let swap = |from, to, old, new| step(from, to, vec![Micro::Is(0, old), Micro::Set(0, new)]);
        assert_eq!(search(&[swap(0, 10, 0, 1), swap(20, 30, 1, 2), get(40, 50, 2)]).broken, None);
        assert!(search(&[swap(0, 10, 0, 1), swap(0, 12, 0, 2)]).broken.is_some(), "both cannot have found nothing");
    }

    #[test]
    fn many_unknown_writes_do_not_explode() {
        let mut steps: Vec<Step> = (0..40).map(|n| put(n, 0, 1000 + u32::try_from(n).unwrap())).collect();
        for n in 0u32..500 {
            let at = 100 + u64::from(n) * 10;
            steps.push(put(at, at + 3, n + 1));
            steps.push(get(at + 5, at + 7, n + 1));
        }
        let found = search(&steps);
        assert_eq!((found.judged, found.broken), (1040, None));
    }
}
