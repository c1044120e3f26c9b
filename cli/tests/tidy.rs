//! Tidy: the house's rules that a machine can check, so that no person has to.
//!
//! Arrows between crates and which room may name which library; a head on every file; sizes; words that mean unfinished
//! work or somebody's machine; decision notes and links. Reads the tree and `cargo metadata`, writes nothing, takes well
//! under a second. Each failure lists all offenders and says what to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Which of our crates each may use, at run time or in tests. A new crate gets a row; `cli` may use all, nothing uses `cli`.
const ARROWS: &[(&str, &[&str])] = &[
    ("proto", &[]),
    ("api", &["proto"]),
    ("store", &["proto"]),
    ("client", &["proto"]),
    // It speaks etcd through the client, so that a real etcd can stand in for the store.
    ("apiserver", &["proto", "client"]),
    ("chaos-tests", &["proto", "client", "store", "apiserver"]),
    ("bench", &["proto", "client", "store", "chaos-tests"]),
    ("cli", &["proto", "api", "store", "client", "chaos-tests", "bench"]),
];

/// Libraries that only some rooms may name: (in code, where).
const ROOMS: &[(&str, &[&str])] = &[
    // Telemetry names libraries to silence them.
    ("openraft", &["store/src/raft/", "cli/src/telemetry.rs"]),
    (
        "tonic::",
        &[
            "proto/",
            "store/src/raft/",
            "store/src/rpc/",
            "store/src/http/",
            "store/src/net",
            "store/src/metrics",
            "client/",
            "chaos-tests/",
            "bench/",
        ],
    ),
    ("rocksdb::", &["store/src/engine/"]),
    ("axum::", &["store/src/rpc/", "store/src/http/", "store/src/net", "store/src/store.rs", "store/src/serving.rs"]),
    ("anyhow::", &["cli/", "chaos-tests/", "bench/tests/", "client/tests/", "client/examples/"]),
];

/// Only a macro for traits, which says nothing about the wire.
const NOT_TONIC: &str = "tonic::async_trait";

/// Code lines a file may have, without its inline tests.
const FILE_LINES_MAX: usize = 500;
/// The same for a file of tests.
const TEST_FILE_LINES_MAX: usize = 1_000;
/// Files that may be longer, each with the reason why it is not split.
const LONG: &[(&str, &str)] = &[];

const ARCHITECTURE_LINES_MAX: usize = 250;

/// What no file may hold. Written in two halves, so that this file does not hold it either.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("tod", "o!(", "unfinished work goes into an issue"),
    ("unimplemen", "ted!(", "unfinished work goes into an issue"),
    ("#[igno", "re", "a test that does not run proves nothing: make it fast, or part of `make proof`"),
    ("/wor", "k/", "a path of somebody's machine"),
    ("/roo", "t/", "a path of somebody's machine"),
    ("/home", "/", "a path of somebody's machine"),
    ("../sha", "red", "a path outside the tree"),
    ("pkg", ".dev", "somebody's package mirror"),
    ("artifact", "registry", "somebody's package mirror"),
    ("<<<<", "<<< ", "a merge conflict"),
];

fn top() -> PathBuf {
    // Not the folder of the build: clones share their target folder. Cargo runs tests in the folder of their crate.
    let crate_dir = std::env::current_dir().expect("a test has a folder");
    crate_dir.parent().expect("cli is a folder of the tree").to_owned()
}

/// Every text file of the tree, as (path from the top, content), but what is built, ignored or not text.
fn texts() -> Vec<(String, String)> {
    const SKIPPED: [&str; 6] = [".git", "target", "bin", "corpus", "artifacts", "__pycache__"];
    let (top, mut folders, mut texts) = (top(), vec![top()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the tree") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("not `..`").to_string_lossy().into_owned();
            if SKIPPED.contains(&name.as_str()) || name.ends_with(".etcd") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let path = path.strip_prefix(&top).expect("below the top").to_string_lossy().into_owned();
                texts.push((path, text));
            }
        }
    }
    texts.sort();
    assert!(texts.iter().any(|(path, _)| path == "Cargo.toml"), "this is not the top of the tree: {}", top.display());
    texts
}

fn rust() -> impl Iterator<Item = (String, String)> {
    texts().into_iter().filter(|(path, _)| path.ends_with(".rs"))
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.contains("_test/") || path.ends_with("_test.rs")
}

#[track_caller]
fn assert_none(offenders: &[String], advice: &str) {
    assert!(offenders.is_empty(), "{advice}\n  {}", offenders.join("\n  "));
}

/// Our packages, by folder, with the folders of ours they depend on directly.
fn packages() -> BTreeMap<String, BTreeSet<String>> {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"])
        .current_dir(top())
        .output()
        .expect("cargo runs");
    assert!(out.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&out.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&out.stdout).expect("cargo metadata is JSON");
    let ours =
        |name: &serde_json::Value| name.as_str().and_then(|name| name.strip_prefix("fairlead-")).map(str::to_owned);
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let name = ours(&package["name"]).expect("our packages are named fairlead-…");
            let uses = package["dependencies"].as_array().expect("dependencies");
            (name, uses.iter().filter_map(|dependency| ours(&dependency["name"])).collect())
        })
        .collect()
}

#[test]
fn arrows_between_crates_go_one_way() {
    let mut offenders = Vec::new();
    for (package, uses) in packages() {
        match ARROWS.iter().find(|(name, _)| *name == package) {
            None => offenders.push(format!("{package} has no row")),
            Some((_, allowed)) => {
                let forbidden = uses.iter().filter(|used| !allowed.contains(&used.as_str()));
                offenders.extend(forbidden.map(|used| format!("{package} → {used}")));
            }
        }
    }
    assert_none(&offenders, "arrows that ARROWS does not allow; see ARCHITECTURE.md before adding one:");
}

#[test]
fn libraries_are_named_only_in_their_rooms() {
    let mut offenders = Vec::new();
    for (path, text) in rust().filter(|(path, _)| path != file!()) {
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default().replace(NOT_TONIC, "");
            let strangers = ROOMS
                .iter()
                .filter(|(library, rooms)| code.contains(library) && !rooms.iter().any(|room| path.starts_with(room)));
            offenders.extend(strangers.map(|(library, _)| format!("{path}:{}: {library}", number + 1)));
        }
    }
    assert_none(&offenders, "a library is named outside of its room; go through the room's door instead:");
}

#[test]
fn every_file_opens_with_what_it_is() {
    let headless: Vec<_> = rust().filter(|(_, text)| !text.starts_with("//! ")).map(|(path, _)| path).collect();
    assert_none(&headless, "each file starts with `//! ` and says what it is, promises and does not do:");
}

#[test]
fn files_stay_readable_in_one_sitting() {
    let mut offenders = Vec::new();
    for (path, text) in rust() {
        let test = is_test(&path);
        let inline_tests = text.find("\n#[cfg(test)]\nmod tests {").filter(|_| !test);
        let lines = text[..inline_tests.unwrap_or(text.len())].lines().count();
        let max = if test { TEST_FILE_LINES_MAX } else { FILE_LINES_MAX };
        let excused = LONG.iter().any(|(long, _)| *long == path);
        match (lines > max, excused) {
            (true, false) => offenders.push(format!("{path}: {lines} lines, at most {max}")),
            (false, true) => offenders.push(format!("{path}: its row in LONG is no longer needed")),
            _ => {}
        }
    }
    assert_none(&offenders, "split by verb, or give a reason in LONG:");
}

#[test]
fn nothing_unfinished_and_nothing_of_one_machine_is_committed() {
    let mut offenders = Vec::new();
    for (path, text) in texts() {
        for (number, line) in text.lines().enumerate() {
            let found = FORBIDDEN.iter().filter(|(half, rest, _)| {
                line.match_indices(half)
                    .any(|(at, _)| line[at + half.len()..].starts_with(rest) && starts_word(line, at, half))
            });
            offenders.extend(found.map(|(half, rest, why)| format!("{path}:{}: `{half}{rest}`: {why}", number + 1)));
        }
    }
    assert_none(&offenders, "take these out:");
}

/// An absolute path counts only where it begins, and not as the tail of a relative one.
fn starts_word(line: &str, at: usize, half: &str) -> bool {
    !half.starts_with('/') || !line[..at].ends_with(|before: char| before.is_alphanumeric() || "_-.}~".contains(before))
}

#[test]
fn every_dependency_comes_from_the_public_registry() {
    let lock = fs::read_to_string(top().join("Cargo.lock")).expect("Cargo.lock is committed");
    let sources: BTreeSet<_> = lock.lines().filter(|line| line.starts_with("source = ")).collect();
    assert_eq!(sources, BTreeSet::from([r#"source = "registry+https://github.com/rust-lang/crates.io-index""#]));
}

#[test]
fn every_crate_takes_the_lints_and_versions_of_the_workspace() {
    let mut offenders = Vec::new();
    for (path, text) in
        texts().into_iter().filter(|(path, _)| path.ends_with("/Cargo.toml") && !path.starts_with("fuzz/"))
    {
        if !text.contains("[lints]\nworkspace = true") {
            offenders.push(format!("{path}: `[lints] workspace = true` is missing"));
        }
        let dependencies = text.lines().skip_while(|line| !line.starts_with("[dependencies]"));
        let own =
            dependencies.filter(|line| line.contains("version = \"") || line.contains("= \"") && !line.contains('['));
        offenders.extend(own.map(|line| format!("{path}: {line}: versions stand in the workspace's Cargo.toml only")));
    }
    assert_none(&offenders, "crates follow the workspace:");
}

#[test]
fn decision_notes_are_numbered_without_holes() {
    let folder = top().join("docs/decisions");
    let entries = fs::read_dir(&folder).expect("docs/decisions");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.retain(|name| name != "template.md");
    names.sort();
    for (at, name) in names.iter().enumerate() {
        let number = format!("{:04}-", at + 1);
        assert!(name.starts_with(&number) && name.ends_with(".md"), "{name} should be {number}title.md");
        let text = fs::read_to_string(folder.join(name)).expect("readable");
        for part in ["# ", "Date: ", "## Context", "## Choice", "## Price"] {
            assert!(text.lines().any(|line| line.starts_with(part)), "{name} lacks `{part}`: see template.md");
        }
    }
    assert!(!names.is_empty(), "the founding decisions are gone");
}

#[test]
fn documents_stay_short_and_their_links_lead_somewhere() {
    let mut offenders = Vec::new();
    for (path, text) in texts().into_iter().filter(|(path, _)| path.ends_with(".md")) {
        if path == "ARCHITECTURE.md" && text.lines().count() > ARCHITECTURE_LINES_MAX {
            offenders.push(format!("{path} has more than {ARCHITECTURE_LINES_MAX} lines"));
        }
        let folder = top().join(&path).parent().expect("a file has a folder").to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !folder.join(target).exists() {
                offenders.push(format!("{path}: {link} is not there"));
            }
        }
    }
    for (path, text) in rust().filter(|(path, _)| path != file!()) {
        for named in text.split("`docs/").skip(1).filter_map(|rest| rest.split('`').next()) {
            if !top().join("docs").join(named).exists() {
                offenders.push(format!("{path}: docs/{named} is not there"));
            }
        }
    }
    assert_none(&offenders, "documents:");
}

#[test]
fn the_readmes_commands_exist() {
    let read = |name: &str| fs::read_to_string(top().join(name)).expect("readable");
    let (readme, makefile) = (read("README.md"), read("Makefile"));
    for command in ["demo", "test", "build"] {
        assert!(readme.contains(&format!("make {command}")), "README.md does not show `make {command}`");
        assert!(makefile.contains(&format!("\n{command}:")), "the Makefile has no `{command}`");
    }
}
