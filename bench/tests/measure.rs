//! The whole way once: tiny workloads against members of ours and, where one is installed, of a real etcd.
//!
//! Asserts that the figures are there and sane, and nothing about their size: the machine is shared, and ours a debug build.

use std::path::Path;
use std::time::Duration;

use fairlead_bench::report::{Outcome, text};
use fairlead_bench::run::{Options, run};
use fairlead_bench::sample::Figure;
use fairlead_bench::target::Target;
use fairlead_bench::workload::{self, Settings};
use fairlead_chaos_tests::cluster::process;

const REPETITIONS: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_run_has_sane_figures_of_both_targets() -> anyhow::Result<()> {
    let cache = Path::new("no cache is needed");
    let mut targets = vec![Target::find("fairlead", cache)?];
    if process::Target::etcd().is_ok() {
        targets.push(Target::find("etcd", cache)?);
    }
    let options = Options {
        workloads: vec![workload::find("put-64")?, workload::find("watch-100-flat")?],
        repetitions: REPETITIONS,
        settings: Settings { length: Duration::from_millis(200), members: 3, keys: 1_000 },
        targets,
    };
    let mut told = 0;
    let report = run(&options, |_| told += 1).await?;
    assert_eq!((told, report.measured.len(), report.targets.len()), (2, 2, options.targets.len()));
    for measured in &report.measured {
        assert!(measured.is_valid(), "{}: {:?}", measured.workload, measured.notes());
        for outcome in measured.outcomes.iter().flatten() {
            assert!(matches!(outcome, Outcome::Measured(_)), "{}: {outcome:?}", measured.workload);
        }
        assert_eq!(measured.outcomes.iter().flatten().count(), REPETITIONS * options.targets.len());
        let medians = |figure| -> Vec<f64> {
            measured.row_of(figure).map(|row| row.medians.iter().copied().flatten().collect()).unwrap_or_default()
        };
        for figure in [Figure::Rate, Figure::P50, Figure::P99, Figure::Cpu] {
            let seen = medians(figure);
            assert_eq!(seen.len(), options.targets.len(), "{} {figure:?}", measured.workload);
            assert!(seen.iter().all(|it| it.is_finite() && *it > 0.0), "{} {figure:?} {seen:?}", measured.workload);
        }
        assert!(medians(Figure::P50).iter().zip(medians(Figure::P99)).all(|(half, most)| *half <= most));
    }
    let puts = &report.measured[0];
    let syncs = &puts.row_of(Figure::Syncs).expect("a target shows that it syncs").medians;
    assert!(syncs.iter().all(|syncs| syncs.is_some_and(|syncs| syncs > 0.0)), "{syncs:?}");
    let shown = text::markdown(&report);
    assert!(shown.contains("| put-64 | puts/s | "), "{shown}");
    Ok(())
}
