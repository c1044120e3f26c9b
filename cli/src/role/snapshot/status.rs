//! `fairlead snapshot status FILE [-w simple|fields|json|table]`.
//!
//! Reads the whole file and prints nothing unless all of it is sound. Columns and field names are etcdutl's, so that scripts
//! go on; json has ours beside them. The version is that of the file's form.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use fairlead_store::snapshot_file::{self, Summary, VERSION};
use serde_json::json;

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    /// The snapshot file.
    file: PathBuf,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t = Form::Simple)]
    write_out: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    Simple,
    Fields,
    Json,
    Table,
}

/// Prints the status of a snapshot file.
///
/// # Errors
/// Where the file is not a sound snapshot, or `out` fails.
pub(crate) fn run(status: &Status, out: &mut impl Write) -> Result<()> {
    let summary = snapshot_file::verify(&status.file)?;
    print(&summary, status.write_out, out)
}

fn print(summary: &Summary, form: Form, out: &mut impl Write) -> Result<()> {
    let hash = format!("{:x}", summary.hash);
    let (revision, keys) = (summary.header.revision.to_string(), summary.records().to_string());
    let (size, version) = (human_bytes(summary.file_bytes), format!("fairlead-{VERSION}"));
    match form {
        Form::Simple => writeln!(out, "{hash}, {revision}, {keys}, {size}, {version}")?,
        Form::Fields => {
            writeln!(out, "\"Hash\" : {}", summary.hash)?;
            writeln!(out, "\"Revision\" : {revision}")?;
            writeln!(out, "\"Keys\" : {keys}")?;
            writeln!(out, "\"Size\" : {}", summary.file_bytes)?;
            writeln!(out, "\"Version\" : \"{version}\"")?;
        }
        Form::Json => writeln!(out, "{}", json(summary, &version))?,
        Form::Table => {
            let titles = ["HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE", "VERSION"];
            table(&titles, &[&hash, &revision, &keys, &size, &version], out)?;
        }
    }
    Ok(())
}

fn json(summary: &Summary, version: &str) -> serde_json::Value {
    let families: serde_json::Map<_, _> =
        summary.families.iter().map(|count| (count.family.name().to_owned(), count.records.into())).collect();
    json!({
        "hash": summary.hash,
        "revision": summary.header.revision,
        "totalKey": summary.records(),
        "totalSize": summary.file_bytes,
        "version": version,
        "clusterId": format!("{:x}", summary.header.cluster),
        "memberId": summary.header.member.map(|id| format!("{id:x}")),
        "raftTerm": summary.header.applied.map(|id| id.term),
        "raftIndex": summary.header.applied.map(|id| id.index),
        "records": families,
        "sha256": summary.sha256.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
    })
}

/// One row under its titles, numbers to the right, as etcdutl draws it.
fn table(titles: &[&str], row: &[&str], out: &mut impl Write) -> std::io::Result<()> {
    let widths: Vec<usize> = titles.iter().zip(row).map(|(title, cell)| title.len().max(cell.len())).collect();
    let line: String = widths.iter().map(|width| format!("+{}", "-".repeat(width + 2))).collect();
    writeln!(out, "{line}+")?;
    for (title, width) in titles.iter().zip(&widths) {
        write!(out, "| {title:^width$} ")?;
    }
    writeln!(out, "|\n{line}+")?;
    for (cell, width) in row.iter().zip(&widths) {
        if cell.bytes().all(|byte| byte.is_ascii_digit()) {
            write!(out, "| {cell:>width$} ")?;
        } else {
            write!(out, "| {cell:<width$} ")?;
        }
    }
    writeln!(out, "|\n{line}+")
}

/// Bytes in powers of 1,000 with two digits, as etcdutl prints them (`go-humanize`).
fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 10 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1_000.0 && unit + 1 < UNITS.len() {
        value /= 1_000.0;
        unit += 1;
    }
    let value = (value * 10.0 + 0.5).floor() / 10.0;
    if value < 10.0 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fairlead_store::engine::Family;
    use fairlead_store::snapshot_file::{AppliedId, FamilyCount, Header};

    fn printed(form: Form) -> String {
        let summary = Summary {
            header: Header {
                cluster: 0xcdf8,
                member: Some(0x8e9e),
                applied: Some(AppliedId { term: 2, index: 11 }),
                revision: 10,
                membership: bytes::Bytes::new(),
            },
            families: vec![FamilyCount { family: Family::Latest, records: 7, bytes: 99 }],
            hash: 0x0e01_cf57,
            file_bytes: 2_113_568,
            sha256: [0xab; 32],
        };
        let mut out = Vec::new();
        print(&summary, form, &mut out).expect("printed");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn each_form_has_etcdutls_columns() {
        assert_eq!(printed(Form::Simple), "e01cf57, 10, 7, 2.1 MB, fairlead-1\n");
        assert_eq!(
            printed(Form::Fields),
            "\"Hash\" : 234999639\n\"Revision\" : 10\n\"Keys\" : 7\n\"Size\" : 2113568\n\"Version\" : \"fairlead-1\"\n"
        );
        assert_eq!(
            printed(Form::Table),
            "+---------+----------+------------+------------+------------+\n\
             |  HASH   | REVISION | TOTAL KEYS | TOTAL SIZE |  VERSION   |\n\
             +---------+----------+------------+------------+------------+\n\
             | e01cf57 |       10 |          7 | 2.1 MB     | fairlead-1 |\n\
             +---------+----------+------------+------------+------------+\n"
        );
    }

    #[test]
    fn json_has_etcdutls_fields_and_ours() {
        let json: serde_json::Value = serde_json::from_str(&printed(Form::Json)).expect("JSON");
        assert_eq!((&json["hash"], &json["revision"]), (&234_999_639.into(), &10.into()));
        assert_eq!((&json["totalKey"], &json["totalSize"]), (&7.into(), &2_113_568.into()));
        assert_eq!((&json["clusterId"], &json["records"]["latest"]), (&"cdf8".into(), &7.into()));
    }

    #[test]
    fn sizes_are_rounded_as_etcdutl_does() {
        for (bytes, text) in [
            (0, "0 B"),
            (9, "9 B"),
            (10, "10 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (25_056, "25 kB"),
            (9_940_000, "9.9 MB"),
            (1_500_000_000, "1.5 GB"),
        ] {
            assert_eq!(human_bytes(bytes), text);
        }
    }

    #[test]
    fn what_is_no_snapshot_prints_nothing_but_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x.snap");
        std::fs::write(&file, b"not a snapshot, whatever its name says").expect("written");
        let mut out = Vec::new();
        let error = run(&Status { file, write_out: Form::Simple }, &mut out).expect_err("refused");
        assert!(error.to_string().contains("is not a Fairlead snapshot"), "{error}");
        assert!(out.is_empty());
    }
}
