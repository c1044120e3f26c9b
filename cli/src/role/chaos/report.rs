//! `fairlead chaos report`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use fairlead_chaos_tests::report::{self, Files, Summary};
use fairlead_chaos_tests::run::{self, Verdict};

use super::{Usage, say, status};

/// The page that leads to those of several runs.
const INDEX: &str = "index.html";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A history, or a folder of histories.
    #[arg(value_name = "HISTORY|DIR")]
    path: PathBuf,
    /// Where the report goes; beside the history without it.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<u8> {
    let is_folder = args.path.is_dir();
    let histories = if is_folder { histories(&args.path)? } else { vec![args.path.clone()] };
    if let Some(out) = &args.out {
        fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    }
    let mut runs = Vec::new();
    for path in &histories {
        let place = match &args.out {
            Some(out) => out.join(path.file_name().unwrap_or(path.as_os_str())),
            None => path.clone(),
        };
        let files = Files::beside(&place);
        let (history, judged) = run::judge_history(path)?;
        let summary = report::write(&files, path, &history, &judged)?;
        println!("{:8} {}", say::word(summary.verdict), files.html.display());
        if !is_folder {
            say::judged(&mut io::stdout().lock(), &judged, false)?;
        }
        runs.push((files, summary));
    }
    let worst = runs.iter().map(|(_, summary)| summary.verdict).max().unwrap_or(Verdict::Inconclusive);
    if is_folder {
        println!("{:8} {}", say::word(worst), index(args.out.as_ref().unwrap_or(&args.path), &runs)?.display());
    }
    Ok(status(worst))
}

/// Writes the index of several runs into the folder of their pages; where it is.
pub(super) fn index(folder: &Path, runs: &[(Files, Summary)]) -> anyhow::Result<PathBuf> {
    let name = |files: &Files| files.html.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let rows: Vec<(String, Summary)> = runs.iter().map(|(files, it)| (name(files), it.clone())).collect();
    let path = folder.join(INDEX);
    fs::write(&path, report::index(&rows)).with_context(|| path.display().to_string())?;
    Ok(path)
}

/// The histories of a folder, by their names.
pub(super) fn histories(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.with_context(|| folder.display().to_string())?;
    let is_history = |path: &PathBuf| path.extension().is_some_and(|it| it == "jsonl");
    let mut histories: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).filter(is_history).collect();
    histories.sort();
    if histories.is_empty() {
        return Err(Usage(format!("{} holds no history (*.jsonl)", folder.display())).into());
    }
    Ok(histories)
}
