//! Rates, latencies and revisions over time, with the faults behind them.

use super::draw::{Bars, axis, bin_x, line, marks, x};
use crate::history::{Event, MemberStep};
use crate::report::facts::Facts;
use crate::report::markup::{Escaped, count, ms, seconds};
use crate::report::measure::{BINS, Bin, Measured};
use crate::report::summary::Summary;
use crate::report::words;

/// Units from a picture's top to its bottom.
const HIGH: f64 = 100.0;
/// How a member's line is drawn.
const DASHES: [&str; 3] = ["s-lead", "s-lead dash", "s-lead dots"];
/// Points of a member's line.
const POINTS_MAX: usize = 600;

/// The section.
pub(super) fn charts(facts: &Facts<'_>, measured: &Measured, summary: &Summary) -> String {
    let behind = bands(facts);
    let marks = marks(summary, facts.end, HIGH);
    let plot = |title: &str, said: &str, caption: &str, ys: &str, shapes: &str| {
        format!(
            "<figure>\n<h3>{title}</h3>\n<div class=\"plot\"><div class=\"ys\" aria-hidden=\"true\">{ys}</div>\
             <svg viewBox=\"0 0 1000 100\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">{behind}{shapes}{marks}</svg></div>\n\
             {}<figcaption>{caption}</figcaption>\n</figure>\n",
            Escaped(said),
            axis(facts.end)
        )
    };
    let (ys, shapes, said) = rates(facts, &measured.bins);
    let rates = plot(
        "Operations a second",
        &said,
        "<span class=\"legend\"><i class=\"f-ok\"></i>answered<i class=\"f-warn\"></i>refused<i class=\"f-unk\"></i>no answer\
         <i class=\"f-band\"></i>a fault is in force</span>",
        &ys,
        &shapes,
    );
    let (ys, shapes, said) = latencies(&measured.bins);
    let latencies = plot(
        "Latency of answered operations",
        &said,
        "<span class=\"legend\"><i class=\"f-ok\"></i>half are faster<i class=\"f-warn\"></i>99 of 100 are faster; a logarithmic \
         scale, without locks and elections</span>",
        &ys,
        &shapes,
    );
    let (ys, shapes, said) = revisions(facts, measured);
    let revisions = plot(
        "Revision against time",
        &said,
        "<span class=\"legend\"><i class=\"f-range\"></i>lowest to highest revision that clients were told\
         <i class=\"f-lead\"></i>what members say of themselves<i class=\"f-bad\"></i>a step back</span>",
        &ys,
        &shapes,
    );
    format!(
        "<section aria-labelledby=\"charts\">\n<h2 id=\"charts\">How fast it was, and how far</h2>\n{rates}{latencies}{revisions}</section>\n"
    )
}

/// The faults behind a picture.
fn bands(facts: &Facts<'_>) -> String {
    let mut all = Bars::default();
    for (from, to) in facts.faults.iter().filter_map(|fault| facts.window(fault)) {
        all.add(x(from, facts.end), x(to, facts.end), 0.0, HIGH);
    }
    let names: std::collections::BTreeSet<&str> =
        facts.faults.iter().map(|fault| words::fault_name(&fault.kind)).collect();
    all.path("f-band", &names.into_iter().collect::<Vec<_>>().join(", "))
}

/// Labels at heights, of the picture's hundred.
fn labels(labels: &[(f64, String)]) -> String {
    labels.iter().map(|(y, label)| format!("<span style=\"top:{y:.1}%\">{}</span>", Escaped(label))).collect()
}

fn grid(heights: impl Iterator<Item = f64>) -> String {
    let lines: String = heights.map(|y| format!("M0 {y:.1}h1000")).collect();
    format!("<path class=\"grid\" d=\"{lines}\"/>")
}

/// The least round number at or above one.
fn rounded_up(value: f64) -> f64 {
    let ten = 10f64.powf(value.max(1.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * ten).find(|round| *round >= value).unwrap_or(value)
}

fn rates(facts: &Facts<'_>, bins: &[Bin]) -> (String, String, String) {
    let long = facts.end as f64 / 1e9 / BINS as f64;
    let highest = bins.iter().map(|bin| bin.ends.all()).max().unwrap_or(0) as f64 / long;
    let top = rounded_up(highest);
    let (mut ok, mut refused, mut unknown) = (Bars::default(), Bars::default(), Bars::default());
    for (at, bin) in bins.iter().enumerate() {
        let mut base = HIGH;
        for (bars, many) in
            [(&mut ok, bin.ends.answered), (&mut refused, bin.ends.refused), (&mut unknown, bin.ends.unknown)]
        {
            // A few among many are still to be seen.
            let high = if many == 0 { 0.0 } else { (many as f64 / long / top * HIGH).max(0.8) };
            base -= high;
            if high > 0.0 {
                bars.add(bin_x(at), bin_x(at + 1), base, high);
            }
        }
    }
    let heights = [0.0, 0.25, 0.5, 0.75, 1.0];
    let ys: Vec<(f64, String)> =
        heights.iter().map(|part| (HIGH - part * HIGH, format!("{}/s", count((part * top).round() as u64)))).collect();
    let shapes = [
        grid(heights.iter().map(|part| part * HIGH)),
        ok.path("f-ok", ""),
        refused.path("f-warn", ""),
        unknown.path("f-unk", ""),
    ];
    let said = format!("operations a second over time, at most {highest:.0}");
    (labels(&ys), shapes.concat(), said)
}

fn latencies(bins: &[Bin]) -> (String, String, String) {
    let all = || bins.iter().flat_map(|bin| [bin.p50, bin.p99]).flatten();
    let (Some(low), Some(high)) = (all().min(), all().max()) else {
        return (String::new(), String::new(), "nothing was answered".to_owned());
    };
    let log = |nanoseconds: u64| (nanoseconds.max(1) as f64 / 1e6).log10();
    let (bottom, top) = (log(low).floor(), log(high).ceil().max(log(low).floor() + 1.0));
    let y = |of: f64| HIGH - (of - bottom) / (top - bottom) * HIGH;
    let points = |of: fn(&Bin) -> Option<u64>| -> Vec<Option<(f64, f64)>> {
        let point = |(at, bin): (usize, &Bin)| of(bin).map(|it| (bin_x(at) + bin_x(1) / 2.0, y(log(it))));
        bins.iter().enumerate().map(point).collect()
    };
    let decades: Vec<f64> = (0..=(top - bottom) as i32).map(|step| bottom + f64::from(step)).collect();
    let ys: Vec<(f64, String)> = decades.iter().map(|decade| (y(*decade), ms(10f64.powf(*decade)))).collect();
    let shapes = [
        grid(decades.iter().map(|decade| y(*decade))),
        line("s-warn", &points(|bin| bin.p99)),
        line("s-ok", &points(|bin| bin.p50)),
    ];
    let said = format!("latency over time, from {} to {}", ms(low as f64 / 1e6), ms(high as f64 / 1e6));
    (labels(&ys), shapes.concat(), said)
}

fn revisions(facts: &Facts<'_>, measured: &Measured) -> (String, String, String) {
    let told = measured.bins.iter().filter_map(|bin| bin.revisions).map(|(_, highest)| highest);
    let top = rounded_up(told.max().unwrap_or(1) as f64);
    let y = |revision: i64| (HIGH - revision as f64 / top * HIGH).clamp(0.0, HIGH);
    let mut range = Bars::default();
    for (at, bin) in measured.bins.iter().enumerate() {
        if let Some((low, high)) = bin.revisions {
            range.add(bin_x(at), bin_x(at + 1), y(high), (y(low) - y(high)).max(1.0));
        }
    }
    let mut shapes = grid([0.0, 0.25, 0.5, 0.75, 1.0].iter().map(|part| part * HIGH)) + &range.path("f-range", "");
    for (at, id) in facts.members.keys().enumerate() {
        let all: Vec<(u64, i64)> = statuses(facts, *id).collect();
        let every = all.len().div_ceil(POINTS_MAX).max(1);
        let points: Vec<Option<(f64, f64)>> =
            all.iter().step_by(every).map(|(at, revision)| Some((x(*at, facts.end), y(*revision)))).collect();
        shapes += &line(DASHES[at % DASHES.len()], &points);
    }
    for (at, revision) in &measured.steps_back {
        shapes += &format!(
            "<path class=\"dot\" d=\"M{:.1} {:.1}h.1\"><title>a step back to revision {revision} at {}</title></path>",
            x(*at, facts.end),
            y(*revision),
            seconds(*at)
        );
    }
    let ys: Vec<(f64, String)> =
        [0.0, 0.5, 1.0].iter().map(|part| (HIGH - part * HIGH, count((part * top).round() as u64))).collect();
    let said = format!("revisions over time, up to {top:.0}; {} steps back", measured.steps_back.len());
    (labels(&ys), shapes, said)
}

/// What a member says of its revision, while it can.
fn statuses<'f>(facts: &'f Facts<'_>, id: u64) -> impl Iterator<Item = (u64, i64)> + use<'f> {
    facts.history.records().iter().filter_map(move |record| match &record.event {
        Event::Member(member) if member.id == id => match member.step {
            MemberStep::Status { revision, .. } => Some((record.at, revision)),
            _ => None,
        },
        _ => None,
    })
}
