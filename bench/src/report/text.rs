//! A report for people: aligned text for a terminal, one table for Markdown.

use std::fmt::Write;

use super::{Measured, Report, Row};

/// What a run was, in a few lines.
pub fn heading(report: &Report) -> String {
    let (machine, sizes) = (&report.machine, &report.options);
    let targets: Vec<_> = report.targets.iter().map(|it| format!("{} ({})", it.name, it.version)).collect();
    let load = |load: Option<f64>| load.map_or_else(|| "?".to_owned(), |load| format!("{load:.2}"));
    format!(
        "{} members each of {}; {} repetitions of {} s, targets in turn; {} keys where they are counted.\n\
         {} cores, Linux {}, load average {} before and {} after.\n",
        sizes.members,
        targets.join(" and "),
        sizes.repetitions,
        sizes.seconds,
        number(sizes.keys as f64),
        machine.cores,
        machine.kernel,
        load(machine.load_before),
        load(machine.load_after),
    )
}

/// One workload as aligned text; `targets` are the targets' names.
pub fn workload(measured: &Measured, targets: &[String]) -> String {
    let mut head = vec![String::new()];
    head.extend(targets.iter().cloned());
    head.extend(["ratio", "spread", "aim"].map(str::to_owned));
    let mut lines = vec![head];
    lines.extend(measured.rows.iter().map(|row| cells(row, measured)));
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default())
        .collect();
    let mut text = format!("{}: {}\n", measured.workload, measured.about);
    for line in &lines {
        let mut shown = String::from(" ");
        for (at, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(width - cell.chars().count());
            // Words to the left, numbers to the right.
            let words = at == 0 || at + 1 == line.len();
            shown += &if words { format!(" {cell}{pad} ") } else { format!(" {pad}{cell} ") };
        }
        text += shown.trim_end();
        text.push('\n');
    }
    for (at, note) in measured.notes() {
        let name = targets.get(at).map_or("?", String::as_str);
        writeln!(text, "  {name}: {note}").expect("a string takes everything");
    }
    text
}

/// Everything as one Markdown table, with the notes below it.
pub fn markdown(report: &Report) -> String {
    let targets: Vec<_> = report.targets.iter().map(|target| target.name.clone()).collect();
    let mut text = format!("{}\n", heading(report));
    writeln!(text, "| workload | figure | {} | ratio | spread | aim |", targets.join(" | ")).expect("a string");
    writeln!(text, "|---|---|{}---:|---:|---|", "---:|".repeat(targets.len())).expect("a string");
    let mut notes = String::new();
    for measured in &report.measured {
        for (at, row) in measured.rows.iter().enumerate() {
            let name = if at == 0 { measured.workload } else { "" };
            writeln!(text, "| {name} | {} |", cells(row, measured).join(" | ")).expect("a string");
        }
        for (at, note) in measured.notes() {
            writeln!(notes, "- {}, {}: {note}", measured.workload, targets[at]).expect("a string");
        }
    }
    if notes.is_empty() { text } else { format!("{text}\n{notes}") }
}

/// How many aims are met, missed and unknown.
pub fn tally(report: &Report) -> String {
    use crate::aim::Verdict;
    let verdicts = report.measured.iter().flat_map(|it| &it.rows).filter_map(|row| row.aim.map(|(_, verdict)| verdict));
    let verdicts: Vec<Verdict> = verdicts.collect();
    let count = |wanted| verdicts.iter().filter(|verdict| **verdict == wanted).count();
    let (met, missed, unknown) = (count(Verdict::Met), count(Verdict::Missed), count(Verdict::Unknown));
    format!("{met} of {} aims met, {missed} missed, {unknown} unknown\n", verdicts.len())
}

/// Figure, medians, ratio, spread, aim.
fn cells(row: &Row, measured: &Measured) -> Vec<String> {
    let mut cells = vec![row.figure.label(measured.counted)];
    cells.extend(row.medians.iter().map(|median| median.map_or_else(|| "-".to_owned(), number)));
    let ratio = |show: &dyn Fn(super::Ratio) -> String| row.ratio.map_or_else(String::new, show);
    cells.push(ratio(&|ratio| format!("{:.2}", ratio.of_medians)));
    cells.push(ratio(&|ratio| format!("{:.2} to {:.2}", ratio.least, ratio.most)));
    cells.push(row.aim.map_or_else(String::new, |(bound, verdict)| format!("{bound} {verdict}")));
    cells
}

/// Three significant digits, or all digits before the point, in groups of three.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        small if small < 1.0 => 3,
        small if small < 10.0 => 2,
        small if small < 100.0 => 1,
        _ => 0,
    };
    let plain = format!("{value:.digits$}");
    let (whole, rest) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Machine, Outcome, Sizes, TargetNamed};
    use crate::sample::{Figure, Sample};
    use crate::workload;

    fn measured() -> Measured {
        let sample = |rate| Outcome::Measured(Sample { operations: 1, ..Sample::default() }.with(Figure::Rate, rate));
        let none = Outcome::NotMeasured("gone".to_owned());
        let outcomes = vec![vec![sample(12_345.6)], vec![sample(8_230.4), none]];
        Measured::new(workload::find("put-64").unwrap(), outcomes)
    }

    #[test]
    fn numbers_have_three_digits_or_groups() {
        let shown: Vec<_> = [0.0, 0.1234, 1.234, 12.34, 123.4, 1234.5, 1_234_567.0].map(number).to_vec();
        assert_eq!(shown, ["0", "0.123", "1.23", "12.3", "123", "1,234", "1,234,567"]);
    }

    #[test]
    fn a_workload_is_shown_in_columns() {
        let shown = workload(&measured(), &["ours".to_owned(), "etcd".to_owned()]);
        assert_eq!(
            shown,
            "put-64: puts of 256 B, 64 clients\n            ours   etcd  ratio        spread  aim\n  \
             puts/s  12,346  8,230   1.50  1.50 to 1.50  ≥ 2 × MISSED\n  etcd: not measured: gone\n"
        );
    }

    #[test]
    fn markdown_is_one_table_with_notes_below() {
        let named = |name: &str| TargetNamed { name: name.to_owned(), version: "1".to_owned() };
        let report = Report {
            machine: Machine::now(),
            targets: vec![named("ours"), named("etcd")],
            options: Sizes { members: 3, repetitions: 5, seconds: 2.0, keys: 100_000 },
            measured: vec![measured()],
        };
        let shown = markdown(&report);
        assert!(
            shown.contains("| put-64 | puts/s | 12,346 | 8,230 | 1.50 | 1.50 to 1.50 | ≥ 2 × MISSED |\n"),
            "{shown}"
        );
        assert!(shown.ends_with("\n\n- put-64, etcd: not measured: gone\n"), "{shown}");
        assert_eq!(tally(&report), "0 of 1 aims met, 1 missed, 0 unknown\n");
    }
}
