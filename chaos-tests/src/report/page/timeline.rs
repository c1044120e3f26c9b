//! What happened when: phases, faults, members, clients and watches, a lane each.
//!
//! Where there are more clients or watches than [`LANES_MAX`], a lane stands for several, and shows the worst of them.

use std::collections::BTreeMap;

use super::draw::{Bars, axis, lane, marks, runs, x};
use crate::history::{CloseCause, WatchStep};
use crate::report::facts::{End, Facts, Life, end};
use crate::report::markup::{Escaped, seconds};
use crate::report::measure::{BINS, Ends, bin_of};
use crate::report::summary::Summary;
use crate::report::words;

/// Lanes of clients, and of watches.
const LANES_MAX: usize = 16;
/// Faults that are drawn with words of their own.
const TITLED_MAX: usize = 400;

/// The section.
pub(super) fn timeline(facts: &Facts<'_>, summary: &Summary) -> String {
    format!(
        "<section aria-labelledby=\"timeline\">\n<h2 id=\"timeline\">What happened when</h2>\n{}{}{}\
         <h3>Members</h3>\n{}{}<h3>Clients</h3>\n{}{}<h3>Watches</h3>\n{}{}</section>\n",
        phases(facts),
        faults(facts, summary),
        axis(facts.end),
        members(facts, summary),
        legend(&[
            ("f-lead", "leads"),
            ("f-ok", "serves"),
            ("f-soft", "starts"),
            ("f-bad", "down"),
            ("f-warn", "under a fault")
        ]),
        clients(facts, summary),
        legend(&[("f-ok", "answered"), ("f-warn", "refused"), ("f-unk", "no answer")]),
        watches(facts, summary),
        legend(&[("f-lead", "events"), ("f-soft", "open"), ("f-warn", "ended by the server or its connection")]),
    )
}

fn legend(keys: &[(&str, &str)]) -> String {
    let keys: Vec<String> = keys.iter().map(|(class, word)| format!("<i class=\"{class}\"></i>{word}")).collect();
    format!("<p class=\"legend soft\">{}</p>\n", keys.concat())
}

fn phases(facts: &Facts<'_>) -> String {
    let ends = facts.phases.iter().skip(1).map(|(at, _)| *at).chain([facts.end]);
    let spans: Vec<String> = facts
        .phases
        .iter()
        .zip(ends)
        .filter(|((from, _), to)| to > from)
        .map(|((from, phase), to)| {
            let name = words::phase_name(*phase);
            let (left, wide) = (x(*from, facts.end) / 10.0, x(to - from, facts.end) / 10.0);
            format!(
                "<span style=\"left:{left:.2}%;width:{wide:.2}%\" title=\"{name} from {}\">{name}</span>",
                seconds(*from)
            )
        })
        .collect();
    format!(
        "<div class=\"row\"><span class=\"key\">phases</span><div class=\"strip soft\">{}</div></div>\n",
        spans.concat()
    )
}

fn faults(facts: &Facts<'_>, summary: &Summary) -> String {
    let mut kinds: BTreeMap<(&str, &str), Vec<&crate::report::facts::Injected>> = BTreeMap::new();
    for fault in &facts.faults {
        kinds.entry((&fault.kind, &fault.name)).or_default().push(fault);
    }
    let mut titled = 0;
    let mut rows = String::new();
    for ((kind, name), faults) in kinds {
        let (mut shapes, mut rest) = (String::new(), Bars::default());
        for fault in &faults {
            let Some((from, to)) = facts.window(fault) else { continue };
            titled += 1;
            let mut bar = if titled > TITLED_MAX { std::mem::take(&mut rest) } else { Bars::default() };
            bar.add(x(from, facts.end), x(to, facts.end), 1.0, 11.0);
            if titled > TITLED_MAX {
                rest = bar;
                continue;
            }
            let on = words::members(&fault.members);
            let title = format!("{}: {name} on {on}, {} to {}", fault.number, seconds(from), seconds(to));
            let class = if fault.witnessed.is_some() { "f-warn" } else { "f-unk" };
            shapes += &bar.path(class, &title);
        }
        shapes += &rest.path("f-warn", "");
        shapes += &marks(summary, facts.end, 13.0);
        rows += &lane(&format!("{kind} {name}"), &format!("{name}: {} times", faults.len()), 13, &shapes);
    }
    rows
}

fn members(facts: &Facts<'_>, summary: &Summary) -> String {
    let mut rows = String::new();
    for (id, lives) in &facts.members {
        let mut bars: BTreeMap<&str, Bars> = BTreeMap::new();
        let mut down = 0;
        for (from, to, life) in &lives.stretches {
            let class = match life {
                Life::Leading => "f-lead",
                Life::Serving => "f-ok",
                Life::Starting => "f-soft",
                Life::Down => "f-bad",
            };
            down += if *life == Life::Down { to - from } else { 0 };
            // Down is a thin line in the middle: no colour has to be told from another.
            let (top, height) = if *life == Life::Down { (5.0, 3.0) } else { (1.0, 11.0) };
            bars.entry(class).or_default().add(x(*from, facts.end), x(*to, facts.end), top, height);
        }
        let mut shapes: String = bars.iter().map(|(class, bars)| bars.path(class, "")).collect();
        let mut on_it = Bars::default();
        for fault in facts.faults.iter().filter(|fault| fault.members.contains(id)) {
            if let Some((from, to)) = facts.window(fault) {
                on_it.add(x(from, facts.end), x(to, facts.end), 13.5, 4.5);
            }
        }
        shapes += &on_it.path("f-warn", "");
        shapes += &marks(summary, facts.end, 18.0);
        let said = format!(
            "member {id}: led {} terms, started {} times, down for {}, {} snapshots installed",
            lives.terms,
            lives.starts,
            seconds(down),
            lives.installs.len()
        );
        rows += &lane(&format!("member {id}"), &said, 18, &shapes);
    }
    rows
}

/// Numbers in order, cut into at most [`LANES_MAX`] neighbourhoods: the lane of each, and the lanes' names.
fn lanes(mut numbers: Vec<u64>) -> (BTreeMap<u64, usize>, Vec<String>) {
    numbers.sort_unstable();
    numbers.dedup();
    let each = numbers.len().div_ceil(LANES_MAX).max(1);
    let place = numbers.iter().enumerate().map(|(at, number)| (*number, at / each)).collect();
    let named = numbers.chunks(each).map(|chunk| match chunk {
        [only] => only.to_string(),
        many => format!("{}–{}", many.first().copied().unwrap_or(0), many.last().copied().unwrap_or(0)),
    });
    (place, named.collect())
}

fn clients(facts: &Facts<'_>, summary: &Summary) -> String {
    let (place, names) = lanes(facts.ops.iter().map(|op| op.client).collect());
    let mut states = vec![vec![0u8; BINS]; names.len()];
    let mut ends = vec![Ends::default(); names.len()];
    for op in &facts.ops {
        let Some(lane) = place.get(&op.client) else { continue };
        let (state, count) = match end(op) {
            End::Answered => (1, &mut ends[*lane].answered),
            End::Refused => (2, &mut ends[*lane].refused),
            End::Unknown => (3, &mut ends[*lane].unknown),
        };
        *count += 1;
        let (from, to) = (bin_of(op.invoked.at, facts.end), bin_of(op.shown_at().at, facts.end));
        // How it ended is known at its end; until then the client waits, which only that shows.
        let shown = if state == 1 { from..=to } else { to..=to };
        states[*lane][shown].iter_mut().for_each(|bin| *bin = (*bin).max(state));
    }
    let row = |((name, states), ends): ((&String, &Vec<u8>), &Ends)| {
        let shapes = [
            runs(states, 1, 3.0, 7.0).path("f-ok", ""),
            runs(states, 2, 1.0, 11.0).path("f-warn", ""),
            runs(states, 3, 0.0, 13.0).path("f-unk", ""),
            marks(summary, facts.end, 13.0),
        ];
        let said = format!(
            "clients {name}: {} answered, {} refused, {} without an answer",
            ends.answered, ends.refused, ends.unknown
        );
        lane(name, &said, 13, &shapes.concat())
    };
    names.iter().zip(&states).zip(&ends).map(row).collect()
}

fn watches(facts: &Facts<'_>, summary: &Summary) -> String {
    let (place, names) = lanes(facts.watches.iter().map(|run| run.watch).collect());
    let mut states = vec![vec![0u8; BINS]; names.len()];
    let mut events = vec![0u64; names.len()];
    for run in &facts.watches {
        let Some(lane) = place.get(&run.watch) else { continue };
        let bin = |at| bin_of(at, facts.end);
        let ended = run.ended();
        let last = ended.map_or(facts.traffic_end, |(mark, _)| mark.at).max(run.opened.at);
        let mut note = |bins: std::ops::RangeInclusive<usize>, state: u8| {
            states[*lane][bins].iter_mut().for_each(|bin| *bin = (*bin).max(state));
        };
        note(bin(run.opened.at)..=bin(last), 1);
        for (mark, _) in run.events() {
            events[*lane] += 1;
            note(bin(mark.at)..=bin(mark.at), 2);
        }
        let own = |step: &WatchStep| matches!(step, WatchStep::Closed(closed) if closed.by == CloseCause::Client);
        if let Some((mark, step)) = ended
            && !own(step)
        {
            note(bin(mark.at)..=bin(mark.at), 3);
        }
    }
    let row = |((name, states), events): ((&String, &Vec<u8>), &u64)| {
        let shapes = [
            runs(states, 1, 5.0, 3.0).path("f-soft", ""),
            runs(states, 2, 2.0, 9.0).path("f-lead", ""),
            runs(states, 3, 0.0, 13.0).path("f-warn", ""),
            marks(summary, facts.end, 13.0),
        ];
        lane(name, &format!("watches {name}: {events} events"), 13, &shapes.concat())
    };
    let rows: String = names.iter().zip(&states).zip(&events).map(row).collect();
    if rows.is_empty() { format!("<p class=\"soft\">{}</p>\n", Escaped("There were none.")) } else { rows }
}
