//! Shapes: a picture is [`WIDE`] units wide and is stretched to its place, so nothing in it is text; labels are HTML beside
//! it. Lines keep their width.

use std::fmt::Write;

use crate::report::markup::{Escaped, seconds};
use crate::report::measure::BINS;
use crate::report::summary::Summary;

/// Units of a picture from the first moment to the last.
pub(super) const WIDE: f64 = 1_000.0;
/// The least width of a bar, so that a moment can be seen.
const BAR_MIN: f64 = 1.2;

/// Where a moment is.
pub(super) fn x(at: u64, end: u64) -> f64 {
    (at as f64 / end.max(1) as f64 * WIDE).min(WIDE)
}

/// Where a part of the time begins.
pub(super) fn bin_x(bin: usize) -> f64 {
    bin as f64 * WIDE / BINS as f64
}

/// Bars of one kind, as one path.
#[derive(Default)]
pub(super) struct Bars(String);

impl Bars {
    /// A bar from `from` to `to`, from `top` on down.
    pub(super) fn add(&mut self, from: f64, to: f64, top: f64, height: f64) {
        let width = (to - from).max(BAR_MIN);
        write!(self.0, "M{from:.1} {top:.1}h{width:.1}v{height:.1}h-{width:.1}z").expect("a string grows");
    }

    /// The path, with what is said of it; nothing where there are no bars.
    pub(super) fn path(&self, class: &str, title: &str) -> String {
        match (self.0.is_empty(), title.is_empty()) {
            (true, _) => String::new(),
            (false, true) => format!("<path class=\"{class}\" d=\"{}\"/>", self.0),
            (false, false) => {
                format!("<path class=\"{class}\" d=\"{}\"><title>{}</title></path>", self.0, Escaped(title))
            }
        }
    }
}

/// Bars for runs of equal states; state 0 is nothing.
pub(super) fn runs(states: &[u8], state: u8, top: f64, height: f64) -> Bars {
    let (mut bars, mut from) = (Bars::default(), None);
    for (bin, is) in states.iter().map(|it| *it == state).chain([false]).enumerate() {
        match (is, from) {
            (true, None) => from = Some(bin),
            (false, Some(begun)) => {
                bars.add(bin_x(begun), bin_x(bin), top, height);
                from = None;
            }
            _ => {}
        }
    }
    bars
}

/// A line through points, broken where there is none.
pub(super) fn line(class: &str, points: &[Option<(f64, f64)>]) -> String {
    let (mut path, mut down) = (String::new(), false);
    for point in points {
        if let Some((x, y)) = point {
            let to = if down { 'L' } else { 'M' };
            // A lone point is drawn as well.
            let dab = if down { "" } else { "h.1" };
            write!(path, "{to}{x:.1} {y:.1}{dab}").expect("a string grows");
        }
        down = point.is_some();
    }
    format!("<path class=\"line {class}\" d=\"{path}\"/>")
}

/// A row of a timeline: a label, and its lane.
pub(super) fn lane(label: &str, said: &str, height: u32, shapes: &str) -> String {
    let tall = if height > 13 { " tall" } else { "" };
    format!(
        "<div class=\"row\"><span class=\"key\">{}</span><svg class=\"lane{tall}\" viewBox=\"0 0 1000 {height}\" \
         preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">{shapes}</svg></div>\n",
        Escaped(label),
        Escaped(said)
    )
}

/// The times under pictures.
pub(super) fn axis(end: u64) -> String {
    let ticks: Vec<String> =
        (0..=4).map(|tick| format!("<span>{:.1} s</span>", end as f64 / 4e9 * f64::from(tick))).collect();
    format!("<div class=\"axis\" aria-hidden=\"true\"><span></span><div>{}</div></div>\n", ticks.concat())
}

/// Where guarantees were first broken, over a picture's whole height.
pub(super) fn marks(summary: &Summary, end: u64, height: f64) -> String {
    let marks = summary.broken().into_iter().filter_map(|it| it.first_at().map(|at| (at, it)));
    marks
        .map(|(at, it)| {
            format!(
                "<path class=\"mark\" d=\"M{:.1} 0V{height}\"><title>{} is first broken at {}</title></path>",
                x(at, end),
                it.id,
                seconds(at)
            )
        })
        .collect()
}
