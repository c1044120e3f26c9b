//! The chaos suite itself, on our store: a kill and a partition under all traffic, recorded, judged, and replayable.
//!
//! Short, and without a floor for the traffic's rate, so that it says the same on a busy machine. The real thing is
//! `fairlead chaos run smoke`.

use std::fs;

use fairlead_chaos_tests::history::{Event, FaultStep};
use fairlead_chaos_tests::run::target::Candidate;
use fairlead_chaos_tests::run::{Options, Verdict, judge_history, replay_plan, run};
use fairlead_chaos_tests::scenario::{How, Setting, find};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_and_a_partition_are_survived_recorded_and_leave_nothing() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let candidate = Candidate::find("fairlead", folder.path())?;
    let Some(How::Plan(plan)) = find("short").map(|scenario| scenario.how) else { anyhow::bail!("there is a plan") };
    let mut plan = plan(&Setting { seed: 7, ours: true });
    plan.limits.rate_floor = 0;
    let options = Options {
        history: folder.path().join("short.jsonl"),
        ledgers: folder.path().join("ledgers"),
        argv: Vec::new(),
        keep: None,
    };
    let ran = run(&plan, &candidate, &options).await?;
    let violated: Vec<_> = ran.violated().collect();
    assert!(violated.is_empty(), "{violated:#?}");
    assert_ne!(ran.verdict(), Verdict::Violated);
    assert!(ran.doubts.is_empty(), "{:?}", ran.doubts);
    assert!(ran.counted.succeeded > 100, "{:?}", ran.counted);
    assert_eq!(fs::read_dir(folder.path().join("ledgers"))?.count(), 0, "the ledger is closed");

    let (history, _) = judge_history(&ran.history)?;
    let witnessed = history.records().iter().filter(
        |record| matches!(&record.event, Event::Fault(fault) if matches!(fault.step, FaultStep::Witnessed { .. })),
    );
    assert_eq!(witnessed.count(), plan.schedule.len());
    assert_eq!(replay_plan(&ran.history)?, plan, "the history holds the whole plan");
    Ok(())
}
