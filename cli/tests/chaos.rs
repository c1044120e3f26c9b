//! `fairlead chaos` as a command: its exit statuses and what it says; the runs themselves are in `chaos-tests`.

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
    assert_status(&["list"], 0, "S-08");
    assert_status(&["run"], 2, "SCENARIO");
    assert_status(&["run", "S-99"], 2, "no scenario");
    assert_status(&["run", "S-18"], 2, "authentication");
    assert_status(&["run", "soak"], 2, "--for");
    assert_status(&["run", "short", "--target", "nobody"], 4, "no target");
    assert_status(&["check", "no-such-history"], 3, "no-such-history");
}
