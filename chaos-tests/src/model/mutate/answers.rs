//! What clients are answered, spoiled.

use super::{Spoiled, is_single_read};
use crate::history::{
    Answer, Answered, Code, Event, Failure, FaultStep, Outcome, Phase, PutDone, Ranged, Request, Return, WatchEvent,
    WatchStep,
};

pub(super) fn stale_read(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.single_read(|spoiled, kv| {
        let older = spoiled.records.iter().find_map(|record| match &record.event {
            Event::Watch(watch) => match &watch.step {
                WatchStep::Events(batch) => batch.events.iter().find_map(|event| match event {
                    WatchEvent::Put { kv: older, .. }
                        if older.key == kv.key && older.mod_revision < kv.mod_revision =>
                    {
                        Some(older.clone())
                    }
                    _ => None,
                }),
                _ => None,
            },
            _ => None,
        });
        older.map(|older| *kv = older).is_some()
    })
}

pub(super) fn invented_value(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.single_read(|_, kv| {
        kv.value = "never".to_owned();
        true
    })
}

pub(super) fn read_nothing(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.answer(|_, _, request, answered| {
        let Answer::Range(ranged) = &mut answered.answer else { return false };
        let fits = is_single_read(request) && ranged.kvs.first().is_some_and(|kv| kv.key.starts_with("key/"));
        if fits {
            *ranged = Ranged::default();
        }
        fits
    })
}

pub(super) fn branch_flipped(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.answer(|_, _, request, answered| {
        let (Request::Txn(txn), Answer::Txn(told)) = (request, &mut answered.answer) else { return false };
        let fits = !told.succeeded && txn.success.iter().all(|op| matches!(op, Request::Put(_)));
        if fits {
            told.succeeded = true;
            told.answers = txn.success.iter().map(|_| Answer::Put(PutDone::default())).collect();
        }
        fits
    })
}

/// A read of a list with several elements, of one key.
fn list_read(spoiled: &mut Spoiled, change: impl Fn(&mut Vec<&str>)) -> Option<()> {
    spoiled.answer(|_, _, request, answered| {
        let Answer::Range(ranged) = &mut answered.answer else { return false };
        let Some(kv) = ranged.kvs.first_mut().filter(|kv| kv.key.starts_with("list/") && is_single_read(request))
        else {
            return false;
        };
        let value = kv.value.clone();
        let mut elements: Vec<&str> = value.split(',').collect();
        if elements.len() < 4 {
            return false;
        }
        change(&mut elements);
        kv.value = elements.join(",");
        true
    })
}

pub(super) fn shorter_list(spoiled: &mut Spoiled) -> Option<()> {
    // Several, so that the first of them was surely appended before the read began.
    list_read(spoiled, |elements| elements.truncate(elements.len() - 3))
}

pub(super) fn turned_list(spoiled: &mut Spoiled) -> Option<()> {
    list_read(spoiled, |elements| {
        let last = elements.len() - 1;
        elements.swap(last, last - 1);
    })
}

pub(super) fn shared_revision(spoiled: &mut Spoiled) -> Option<()> {
    let mut puts = spoiled.places().filter_map(|at| match &spoiled.records[at].event {
        Event::Return(Return { op, outcome: Outcome::Ok(Answered { revision, answer: Answer::Put(_), .. }) }) => {
            Some((at, *op, *revision))
        }
        _ => None,
    });
    let ((_, _, first), (at, ..)) = (puts.next()?, puts.next()?);
    drop(puts);
    if let Event::Return(Return { outcome: Outcome::Ok(answered), .. }) = &mut spoiled.records[at].event {
        answered.revision = first;
    }
    // The log would tell that the second is lost: that it shares a revision is seen without it.
    spoiled.records.retain(|record| !matches!(record.event, Event::Entry(_)));
    Some(())
}

pub(super) fn revision_back(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.answer(|_, _, request, answered| {
        let fits = is_single_read(request) && answered.revision > 100;
        if fits {
            answered.revision -= 60;
        }
        fits
    })
}

pub(super) fn revision_above(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.answer(|_, _, request, answered| {
        answered.revision += 1_000_000;
        is_single_read(request)
    })
}

pub(super) fn version_high(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.single_read(|_, kv| {
        kv.version += 1;
        true
    })
}

pub(super) fn final_read_misses(spoiled: &mut Spoiled) -> Option<()> {
    let end = spoiled.phase(Phase::End)?;
    spoiled.answer(|_, at, _, answered| {
        let Answer::Range(ranged) = &mut answered.answer else { return false };
        at >= end
            && ranged.kvs.iter().position(|kv| kv.key.starts_with("key/")).map(|kv| ranged.kvs.remove(kv)).is_some()
    })
}

pub(super) fn fast_ack(spoiled: &mut Spoiled) -> Option<()> {
    let of_fault = |wanted: fn(&FaultStep) -> bool| {
        spoiled
            .records
            .iter()
            .find(|record| matches!(&record.event, Event::Fault(fault) if fault.id == 1 && wanted(&fault.step)))
            .map(|record| record.at)
    };
    let (from, to) = (
        of_fault(|step| matches!(step, FaultStep::Applied { .. }))?,
        of_fault(|step| matches!(step, FaultStep::Healed { .. }))?,
    );
    for at in spoiled.places() {
        let Event::Return(Return { op, outcome: Outcome::Ok(Answered { answer: Answer::Put(_), .. }) }) =
            &spoiled.records[at].event
        else {
            continue;
        };
        let Some(invoked) = spoiled.invoked_at(*op).filter(|invoked| *invoked > from && spoiled.records[at].at < to)
        else {
            continue;
        };
        spoiled.records[at].at = invoked + 5_000_000;
        return Some(());
    }
    None
}

pub(super) fn old_read_misses(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.answer(|_, _, request, answered| {
        let Answer::Range(ranged) = &mut answered.answer else { return false };
        let fits = matches!(request, Request::Range(range) if range.revision > 0) && !ranged.kvs.is_empty();
        if fits {
            ranged.kvs.remove(0);
            ranged.count -= 1;
        }
        fits
    })
}

pub(super) fn compacted_served(spoiled: &mut Spoiled) -> Option<()> {
    for at in spoiled.places() {
        let Event::Return(Return { op, outcome: Outcome::Failed(Failure { code: Code::Compacted, .. }) }) =
            &spoiled.records[at].event
        else {
            continue;
        };
        let op = *op;
        if !matches!(spoiled.request(op), Some(Request::Range(_))) {
            continue;
        }
        let answered = Answered { revision: 1_000, term: 1, answer: Answer::Range(Ranged::default()) };
        spoiled.records[at].event = Event::Return(Return { op, outcome: Outcome::Ok(answered) });
        return Some(());
    }
    None
}

pub(super) fn serializable_back(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.answer(|_, _, request, answered| {
        let fits = matches!(request, Request::Range(range) if range.serializable) && answered.revision > 100;
        if fits {
            answered.revision = 3;
        }
        fits
    })
}
