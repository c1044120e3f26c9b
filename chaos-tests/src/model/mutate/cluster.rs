//! The members' logs, the members themselves, leases and locks, spoiled.

use super::Spoiled;
use crate::history::{
    Answer, Answered, Change, Event, MemberStep, Outcome, Panic, Phase, Put, Request, Return, WatchEvent, WatchStep,
};

pub(super) fn unasked_entry(spoiled: &mut Spoiled) -> Option<()> {
    let put = Put { key: "key/00".to_owned(), value: "nobody".to_owned(), ..Put::default() };
    spoiled.append_entry(vec![Change::Apply(Request::Put(put))])
}

/// A put that was acknowledged or not, as `open` says, and is in the log; of no lease, which may be over later.
fn logged_put(spoiled: &mut Spoiled, open: bool) -> Option<Request> {
    let logged: Vec<Request> = spoiled
        .entries()
        .flat_map(|entry| entry.changes.clone())
        .filter_map(|change| if let Change::Apply(Request::Put(put)) = change { Some(put) } else { None })
        .filter(|put| put.lease == 0)
        .map(Request::Put)
        .collect();
    spoiled.places().find_map(|at| {
        let Event::Return(Return { op, outcome }) = &spoiled.records[at].event else { return None };
        let fits = if open { matches!(outcome, Outcome::Unknown(_)) } else { matches!(outcome, Outcome::Ok(_)) };
        spoiled.request(*op).filter(|request| fits && logged.contains(request)).cloned()
    })
}

pub(super) fn lost_entry(spoiled: &mut Spoiled) -> Option<()> {
    let put = logged_put(spoiled, false)?;
    for entry in spoiled.entries() {
        entry.revision = None;
        if entry.changes == [Change::Apply(put.clone())] {
            entry.changes = vec![Change::Other("nothing".to_owned())];
        }
    }
    Some(())
}

pub(super) fn hash_differs(spoiled: &mut Spoiled) -> Option<()> {
    let hashes = spoiled.records.iter_mut().rev();
    let mut hashes =
        hashes.filter_map(|record| if let Event::HashKv(hash) = &mut record.event { Some(hash) } else { None });
    hashes.next()?.hash ^= 1;
    Some(())
}

pub(super) fn log_differs(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.entries().filter(|entry| entry.member == 2).nth(20)?.term += 1;
    Some(())
}

pub(super) fn unknown_twice(spoiled: &mut Spoiled) -> Option<()> {
    let put = logged_put(spoiled, true)?;
    spoiled.append_entry(vec![Change::Apply(put)])
}

pub(super) fn acknowledged_twice(spoiled: &mut Spoiled) -> Option<()> {
    let put = logged_put(spoiled, false)?;
    spoiled.append_entry(vec![Change::Apply(put)])
}

pub(super) fn member_behind(spoiled: &mut Spoiled) -> Option<()> {
    let mut steps = spoiled.member_steps().rev();
    *steps.find_map(|step| if let MemberStep::Status { applied, .. } = step { Some(applied) } else { None })? -= 1;
    Some(())
}

pub(super) fn term_back(spoiled: &mut Spoiled) -> Option<()> {
    let mut steps = spoiled.member_steps().rev();
    *steps.find_map(|step| if let MemberStep::Status { term, .. } = step { Some(term) } else { None })? = 0;
    Some(())
}

pub(super) fn panics(spoiled: &mut Spoiled) -> Option<()> {
    let at = spoiled.records[spoiled.start].at;
    spoiled.add(at, Event::Panic(Panic { member: 2, expected: false, text: "panicked at apply".to_owned() }));
    Some(())
}

pub(super) fn ends_by_itself(spoiled: &mut Spoiled) -> Option<()> {
    let mut steps = spoiled.member_steps();
    *steps.find_map(|step| if let MemberStep::Ended { expected, .. } = step { Some(expected) } else { None })? = false;
    Some(())
}

pub(super) fn lease_early(spoiled: &mut Spoiled) -> Option<()> {
    let expired: Vec<i64> = spoiled
        .entries()
        .flat_map(|entry| entry.changes.clone())
        .filter_map(|change| if let Change::Expire { lease, .. } = change { Some(lease) } else { None })
        .collect();
    spoiled.answer(|_, _, request, answered| {
        let (Request::Grant(grant), Answer::Granted(granted)) = (request, &mut answered.answer) else { return false };
        granted.ttl = 3_600;
        expired.contains(&grant.lease)
    })
}

pub(super) fn key_outlives(spoiled: &mut Spoiled) -> Option<()> {
    let end = spoiled.phase(Phase::End)?;
    let leased = spoiled.records.iter().find_map(|record| match &record.event {
        Event::Watch(watch) => match &watch.step {
            WatchStep::Events(batch) => batch.events.iter().find_map(|event| match event {
                WatchEvent::Put { kv, .. } if kv.key.starts_with("leased/") => Some(kv.clone()),
                _ => None,
            }),
            _ => None,
        },
        _ => None,
    })?;
    spoiled.answer(|_, at, _, answered| {
        let Answer::Range(ranged) = &mut answered.answer else { return false };
        if at < end {
            return false;
        }
        ranged.kvs.push(leased.clone());
        ranged.kvs.sort_by(|a, b| a.key.cmp(&b.key));
        ranged.count += 1;
        true
    })
}

pub(super) fn revoked_renewed(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.answer(|_, _, _, answered| match &mut answered.answer {
        Answer::KeptAlive(kept) if kept.ttl == 0 => {
            kept.ttl = 1;
            true
        }
        _ => false,
    })
}

pub(super) fn other_term(spoiled: &mut Spoiled) -> Option<()> {
    let keys: Vec<i64> = spoiled
        .entries()
        .flat_map(|entry| entry.changes.clone())
        .filter_map(|change| if let Change::Apply(Request::Put(put)) = change { Some(put.lease) } else { None })
        .collect();
    let index = spoiled
        .entries()
        .find(|entry| matches!(entry.changes.first(), Some(Change::Expire { lease, .. }) if keys.contains(lease)))
        .map(|entry| entry.index)?;
    for entry in spoiled.entries().filter(|entry| entry.index == index) {
        if let Some(Change::Expire { term, .. }) = entry.changes.first_mut() {
            *term = 0;
        }
    }
    Some(())
}

pub(super) fn lower_token(spoiled: &mut Spoiled) -> Option<()> {
    // The token of an accepted write, everywhere it stands: a client that came back with an old one.
    let accepted: Vec<String> = spoiled
        .places()
        .filter_map(|at| match &spoiled.records[at].event {
            Event::Return(Return { op, outcome: Outcome::Ok(Answered { answer: Answer::Txn(told), .. }) })
                if told.succeeded =>
            {
                let put = spoiled.request(*op)?.puts().first().copied()?;
                put.key.starts_with("fenced/0").then(|| put.value.clone())
            }
            _ => None,
        })
        .collect();
    let latest = accepted
        .iter()
        .max_by_key(|value| value.split(':').next().and_then(|token| token.parse::<i64>().ok()))?
        .clone();
    let old = format!("1:{latest}");
    for record in &mut spoiled.records {
        let text = serde_json::to_string(&record.event).ok()?;
        if text.contains(&latest) {
            record.event = serde_json::from_str(&text.replace(&format!("\"{latest}\""), &format!("\"{old}\""))).ok()?;
        }
    }
    Some(())
}

pub(super) fn token_wrong(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.answer(|_, _, _, answered| {
        if let Answer::Held(held) = &mut answered.answer {
            held.token += 1;
            true
        } else {
            false
        }
    })
}
