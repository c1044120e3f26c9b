//! `fairlead chaos` as a command: its exit statuses and what it says; the runs themselves are in `chaos-tests`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn chaos(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fairlead")).arg("chaos").args(args).output().expect("the binary runs")
}

#[track_caller]
fn assert_status(args: &[&str], status: i32, words: &str) {
    let output = chaos(args);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{args:?}: {said}");
    assert!(said.contains(words), "{args:?}: {said}");
}

#[test]
fn exit_statuses_tell_usage_from_what_is_missing_and_from_what_cannot_be_judged() {
    assert_status(&["--help"], 0, "Exit status:");
    assert_status(&["list"], 0, "S-08");
    assert_status(&["list", "faults"], 0, "F-50");
    assert_status(&["run"], 2, "SCENARIO");
    assert_status(&["run", "S-99"], 2, "no scenario");
    assert_status(&["run", "S-18"], 2, "authentication");
    assert_status(&["run", "soak"], 2, "--for");
    assert_status(&["run", "short", "--target", "nobody"], 4, "no target");
    assert_status(&["check", "no-such-history"], 3, "no-such-history");
}

/// A history that is kept in the tree.
fn kept(name: &str) -> String {
    let path = Path::new("../chaos-tests/histories").join(name);
    path.to_str().expect("the tree has a name").to_owned()
}

#[test]
fn a_report_is_a_page_with_junit_and_json_beside_it_and_ends_with_the_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    assert_status(&["report", out], 2, "holds no history");
    assert_status(&["report", &kept("mixed.jsonl"), "--out", out], 0, "mixed.html");
    assert_status(&["report", &kept("watch-steps-back.jsonl"), "--out", out], 1, "I-20");
    for (file, words) in [
        ("mixed.html", "\u{2713} passed"),
        ("mixed.xml", "failures=\"0\""),
        ("mixed.json", "\"verdict\": \"pass\""),
        ("watch-steps-back.html", "watch 1 steps back from revision 36 to 33"),
        ("watch-steps-back.xml", "failures=\"1\""),
        ("watch-steps-back.json", "\"verdict\": \"violated\""),
    ] {
        let text = fs::read_to_string(folder.path().join(file)).unwrap();
        assert!(text.contains(words), "{file}");
    }
    fs::copy(kept("mixed.jsonl"), folder.path().join("again.jsonl")).unwrap();
    assert_status(&["report", out], 0, "index.html");
    assert!(fs::read_to_string(folder.path().join("index.html")).unwrap().contains("href=\"again.html\""));
}

#[test]
fn a_history_is_cut_down_to_the_records_that_show_it_and_those_show_it_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (out, bad) = (folder.path().to_str().unwrap(), kept("watch-steps-back.jsonl"));
    assert_status(&["minimize", "--history", &bad, "--out", out], 0, "7 of 892 records show it");
    let small = folder.path().join("watch-steps-back.min.jsonl");
    assert_eq!(fs::read_to_string(&small).unwrap().lines().count(), 1 + 7);
    assert_status(&["check", small.to_str().unwrap()], 1, "steps back from revision 36 to 33");
    assert!(folder.path().join("watch-steps-back.min.html").exists());
    assert_status(&["minimize", "--history", &kept("mixed.jsonl")], 2, "violates a guarantee");
    assert_status(&["minimize", "--history", &bad, "--guarantee", "I-05"], 2, "violates I-05");
    assert_status(&["minimize", &bad, "--out", out], 3, "no plan");
}
