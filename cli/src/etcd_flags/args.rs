//! The command line, by Go's rules: `-x v`, `--x v`, `-x=v`, `--x=v`; booleans only `--b` or `--b=false`.
//!
//! Parsing ends at `--` or the first word that is no flag; the server takes no such words, so they are refused.
//! Of a flag given twice the last one counts. Source: Go `flag.FlagSet.parseOne`.

use std::ffi::OsString;

use fairlead_store::config::Invalid;

use super::settings::{Origin, Settings};
use super::{nearest, table};

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Help,
    Settings,
}

/// Reads the command line (without the program's name) into `settings`.
///
/// # Errors
/// An unknown flag, a missing or malformed value, a word that is no flag.
pub(super) fn parse(args: impl IntoIterator<Item = OsString>, settings: &mut Settings) -> Result<Asked, Invalid> {
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let arg = text(arg)?;
        let Some(body) = arg.strip_prefix('-').filter(|body| !body.is_empty()) else {
            return Err(no_flag(&arg));
        };
        let body = body.strip_prefix('-').unwrap_or(body);
        if body.is_empty() {
            // `--` ends the flags.
            return match args.next() {
                None => Ok(Asked::Settings),
                Some(word) => Err(no_flag(&text(word)?)),
            };
        }
        if body.starts_with(['-', '=']) {
            return Err(Invalid::new(
                format!("bad flag syntax: {arg}"),
                "a flag is one or two dashes and a name",
                "--NAME=VALUE",
            ));
        }
        let (name, value) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (body, None),
        };
        let Some(flag) = table::find(name) else {
            if matches!(name, "help" | "h") {
                return Ok(Asked::Help);
            }
            return Err(unknown(name));
        };
        let value = match value {
            Some(value) => value,
            None if flag.is_boolean() => "true".to_owned(),
            None => text(args.next().ok_or_else(|| {
                Invalid::new(
                    format!("flag needs an argument: --{name}"),
                    "its value is missing",
                    format!("--{name}=VALUE ({})", flag.help),
                )
            })?)?,
        };
        settings.set(flag, Origin::Flag, &format!("--{name}"), value)?;
    }
    Ok(Asked::Settings)
}

fn text(arg: OsString) -> Result<String, Invalid> {
    arg.into_string().map_err(|arg| {
        Invalid::new(format!("the argument {arg:?}"), "it is not UTF-8", "names and paths of printable characters")
    })
}

fn unknown(name: &str) -> Invalid {
    let remedy = match nearest::nearest(name, table::names()) {
        Some(near) => format!("--{near}"),
        None => "--help for the list of flags".to_owned(),
    };
    Invalid::new(
        format!("unknown flag --{name}"),
        "neither etcd 3.4 to 3.7 nor this store has a flag of that name",
        remedy,
    )
}

fn no_flag(word: &str) -> Invalid {
    let (why, remedy) = match word {
        "gateway" | "grpc-proxy" => ("that mode of etcd is not offered", "etcd's own binary for a proxy"),
        "true" | "false" => ("a boolean flag takes its value only after an equals sign", "--FLAG=false"),
        _ => ("the server takes flags only", "--NAME=VALUE, quoting values that have blanks"),
    };
    Invalid::new(format!("{word:?} is not a valid flag"), why, remedy)
}
