//! What watches are told, spoiled.

use super::Spoiled;
use crate::history::{Batch, Event, MemberStep, Phase, Progress, WatchEvent, WatchStep};

pub(super) fn responses_swapped(spoiled: &mut Spoiled) -> Option<()> {
    for at in spoiled.places() {
        let Event::Watch(watch) = &spoiled.records[at].event else { continue };
        if !matches!(watch.step, WatchStep::Events(_)) {
            continue;
        }
        let next = spoiled
            .watch_steps(watch.watch)
            .find(|(place, step)| *place > at && matches!(step, WatchStep::Events(_)))
            .map(|(place, _)| place);
        let Some(next) = next else { continue };
        let first = spoiled.records[at].event.clone();
        spoiled.records[at].event = std::mem::replace(&mut spoiled.records[next].event, first);
        return Some(());
    }
    None
}

pub(super) fn event_twice(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.batch(|_, _, _, batch| {
        let last = batch.events.last().cloned();
        batch.events.extend(last);
        true
    })
}

pub(super) fn resumed_repeats(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.batch(|spoiled, at, watch, batch| {
        let Some(open) = spoiled.open(watch).filter(|open| open.resumes.is_some()) else { return false };
        let before = open.resumes.and_then(|before| {
            spoiled
                .watch_steps(before)
                .filter_map(
                    |(_, step)| if let WatchStep::Events(batch) = step { batch.events.last().cloned() } else { None },
                )
                .last()
        });
        let first = spoiled
            .watch_steps(watch)
            .find(|(_, step)| matches!(step, WatchStep::Events(_)))
            .is_some_and(|(first, _)| first == at);
        match before {
            Some(event) if first => {
                batch.events.insert(0, event);
                true
            }
            _ => false,
        }
    })
}

pub(super) fn revision_split(spoiled: &mut Spoiled) -> Option<()> {
    for at in spoiled.places() {
        let Event::Watch(watch) = &spoiled.records[at].event else { continue };
        let WatchStep::Events(batch) = &watch.step else { continue };
        let pair = batch.events.windows(2).position(|pair| pair[0].revision() == pair[1].revision());
        let Some(split) = pair.map(|pair| pair + 1) else { continue };
        let (mut first, mut second) = (watch.clone(), watch.clone());
        first.step = WatchStep::Events(Batch { events: batch.events[..split].to_vec(), ..batch.clone() });
        second.step = WatchStep::Events(Batch { events: batch.events[split..].to_vec(), ..batch.clone() });
        let when = spoiled.records[at].at;
        spoiled.records[at].event = Event::Watch(first);
        spoiled.add(when, Event::Watch(second));
        return Some(());
    }
    None
}

pub(super) fn event_missing(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.batch(|spoiled, at, watch, batch| {
        let fits = batch.events.len() > 1 && spoiled.told_after(watch, at);
        if fits {
            batch.events.remove(1);
        }
        fits
    })
}

pub(super) fn event_value(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.batch(|_, _, _, batch| {
        let put = batch
            .events
            .iter_mut()
            .find_map(|event| if let WatchEvent::Put { kv, .. } = event { Some(kv) } else { None });
        put.map(|kv| kv.value.push('!')).is_some()
    })
}

pub(super) fn event_previous(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.batch(|_, _, _, batch| {
        let previous = batch.events.iter_mut().find_map(|event| match event {
            WatchEvent::Put { previous, .. } | WatchEvent::Delete { previous, .. } => previous.as_mut(),
        });
        previous.map(|kv| kv.value.push('!')).is_some()
    })
}

pub(super) fn first_missing(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.batch(|spoiled, at, watch, batch| {
        let from = spoiled.open(watch).is_some_and(|open| open.from > 0);
        let first = spoiled
            .watch_steps(watch)
            .find(|(_, step)| matches!(step, WatchStep::Events(_)))
            .is_some_and(|(first, _)| first == at);
        let later = batch
            .events
            .first()
            .zip(batch.events.last())
            .is_some_and(|(first, last)| first.revision() < last.revision());
        if from && first && later {
            let revision = batch.events[0].revision();
            batch.events.retain(|event| event.revision() > revision);
        }
        from && first && later
    })
}

pub(super) fn canceled_wrongly(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.step(|spoiled, _, watch, step| {
        let WatchStep::Canceled(canceled) = step else { return false };
        let from = spoiled.open(watch).map_or(0, |open| open.from);
        canceled.compact_revision = from;
        from > 0
    })
}

pub(super) fn progress_early(spoiled: &mut Spoiled) -> Option<()> {
    for at in spoiled.places() {
        let Event::Watch(watch) = &spoiled.records[at].event else { continue };
        if !matches!(watch.step, WatchStep::Progress(_)) {
            continue;
        }
        let before = spoiled
            .watch_steps(watch.watch)
            .filter(|(place, step)| *place < at && matches!(step, WatchStep::Events(_)))
            .map(|(place, _)| place)
            .last();
        let Some(before) = before else { continue };
        let progress = spoiled.records[at].event.clone();
        spoiled.records[at].event = std::mem::replace(&mut spoiled.records[before].event, progress);
        return Some(());
    }
    None
}

pub(super) fn progress_above(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.step(|_, _, _, step| {
        if let WatchStep::Progress(progress) = step {
            progress.revision += 1_000_000;
            true
        } else {
            false
        }
    })
}

pub(super) fn future_progress(spoiled: &mut Spoiled) -> Option<()> {
    for at in spoiled.places() {
        let Event::Watch(mut watch) = spoiled.records[at].event.clone() else { continue };
        let (WatchStep::Created(created), Some(open)) = (&watch.step, spoiled.open(watch.watch)) else { continue };
        if open.from <= created.revision {
            continue;
        }
        watch.step = WatchStep::Progress(Progress { revision: created.revision });
        let when = spoiled.records[at].at + 1;
        spoiled.add(when, Event::Watch(watch));
        return Some(());
    }
    None
}

pub(super) fn end_missing(spoiled: &mut Spoiled) -> Option<()> {
    let end = spoiled.phase(Phase::End)?;
    let safety = spoiled.phase(Phase::Heal)?;
    // A watch that is open to the end, and is told something after the heal.
    let watch = spoiled.records.iter().rev().find_map(|record| match &record.event {
        Event::Watch(watch) if record.at > safety && matches!(watch.step, WatchStep::Events(_)) => {
            let ended = spoiled
                .watch_steps(watch.watch)
                .any(|(_, step)| matches!(step, WatchStep::Canceled(_) | WatchStep::Closed(_)));
            let early = spoiled.watch_steps(watch.watch).filter(|(at, _)| spoiled.records[*at].at < end).count() > 4;
            (!ended && early).then_some(watch.watch)
        }
        _ => None,
    })?;
    let mut kept = 0;
    spoiled.records.retain(|record| match &record.event {
        Event::Watch(of) if of.watch == watch => {
            kept += 1;
            kept <= 3
        }
        _ => true,
    });
    Some(())
}

pub(super) fn cancel_silent(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.step(|_, _, _, step| match step {
        WatchStep::Canceled(canceled) => {
            canceled.compact_revision = 0;
            canceled.reason.clear();
            true
        }
        _ => false,
    })
}

pub(super) fn outlives_member(spoiled: &mut Spoiled) -> Option<()> {
    let ended = spoiled.records.iter().find_map(|record| match &record.event {
        Event::Member(member) if matches!(member.step, MemberStep::Ended { .. }) => Some((record.at, member.id)),
        _ => None,
    })?;
    let closed = spoiled.records.iter().position(|record| match &record.event {
        Event::Watch(watch) => {
            record.at == ended.0
                && matches!(watch.step, WatchStep::Closed(_))
                && spoiled.open(watch.watch).is_some_and(|open| open.member == ended.1)
        }
        _ => false,
    })?;
    spoiled.records.remove(closed);
    Some(())
}

pub(super) fn install_repeats(spoiled: &mut Spoiled) -> Option<()> {
    let install = spoiled.records.iter().position(
        |record| matches!(&record.event, Event::Member(member) if matches!(member.step, MemberStep::Installed { .. })),
    )?;
    spoiled.start = install;
    spoiled.batch(|spoiled, at, watch, batch| {
        let before = spoiled.watch_steps(watch).find_map(|(place, step)| match step {
            WatchStep::Events(batch) if place < install => batch.events.first().cloned(),
            _ => None,
        });
        match before.filter(|_| at > install && spoiled.open(watch).is_some_and(|open| open.member == 2)) {
            Some(event) => {
                batch.events.insert(0, event);
                true
            }
            None => false,
        }
    })
}
