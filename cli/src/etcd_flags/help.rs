//! The texts of `--help` and `--version`.

use std::fmt::Write as _;

use fairlead_store::config::ETCD_VERSION;

use super::environment::variable;
use super::table::{Effect, SECTIONS};

/// The four lines of `--version`: etcd's labels, because tools read them, with our own values where etcd's would lie.
pub(crate) fn version() -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!(
        "etcd Version: {ETCD_VERSION}\nGit SHA: fairlead-{}\nGo Version: none (Rust {})\nGo OS/Arch: {}/{architecture}\n",
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_PKG_RUST_VERSION"),
        std::env::consts::OS,
    )
}

/// The text of `--help`.
pub(crate) fn usage() -> String {
    let mut text = format!(
        "Usage:\n  etcd [flags], or fairlead store [flags]\n    Start a member of a store that speaks etcd's API (level {ETCD_VERSION}).\n  \
         etcd --version | --help\n\n\
         A setting comes from its flag, else from its variable ({} for --data-dir), else from the YAML file\n\
         of --config-file, else from its default. Flags take the forms -x v, --x v and --x=v.\n",
        variable("data-dir")
    );
    for section in SECTIONS {
        put(&mut text, format_args!("\n{}:\n", section.title));
        for flag in section.flags {
            let default = if flag.default.is_empty() { String::new() } else { format!(" '{}'", flag.default) };
            let effect = if flag.effect == Effect::Full { "" } else { " [no effect yet]" };
            put(&mut text, format_args!("  --{}{default}\n    {}{effect}\n", flag.name, flag.help));
        }
    }
    text
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("writing to a string cannot fail");
}
