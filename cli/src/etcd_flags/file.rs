//! The YAML file: keys are flag names, lists may be lists, durations may be integer nanoseconds, TLS has two blocks.
//!
//! An unknown key is refused, where etcd passes over it: a misspelt security setting must not be silent.
//! Source: etcd `server/embed/config.go` `configYAML`, `securityConfig`.

use std::path::Path;

use fairlead_store::config::Invalid;
use serde_yaml_ng::{Mapping, Value};

use super::settings::{Origin, Settings};
use super::table::Kind;
use super::{nearest, table};

const CLIENT_BLOCK: &str = "client-transport-security";
const PEER_BLOCK: &str = "peer-transport-security";
/// Keys of the TLS blocks with the flags they stand for, client then peer; an empty flag: not in that block.
const BLOCK_KEYS: [(&str, &str, &str); 11] = [
    ("cert-file", "cert-file", "peer-cert-file"),
    ("key-file", "key-file", "peer-key-file"),
    ("client-cert-file", "client-cert-file", "peer-client-cert-file"),
    ("client-key-file", "client-key-file", "peer-client-key-file"),
    ("client-cert-auth", "client-cert-auth", "peer-client-cert-auth"),
    ("trusted-ca-file", "trusted-ca-file", "peer-trusted-ca-file"),
    ("auto-tls", "auto-tls", "peer-auto-tls"),
    ("allowed-cn", "client-cert-allowed-cn", "peer-cert-allowed-cn"),
    ("allowed-hostname", "client-cert-allowed-hostname", "peer-cert-allowed-hostname"),
    ("crl-file", "client-crl-file", "peer-crl-file"),
    ("skip-client-san-verification", "", "peer-skip-client-san-verification"),
];

/// Reads the file at `path` into `settings`.
///
/// # Errors
/// When it cannot be read, is no YAML mapping, has an unknown key or a malformed value.
pub(super) fn parse(
    path: &Path,
    read_file: impl Fn(&Path) -> std::io::Result<String>,
    settings: &mut Settings,
) -> Result<(), Invalid> {
    let place = path.display();
    let text = read_file(path).map_err(|error| {
        Invalid::new(
            format!("cannot read the config file {place}"),
            error.to_string(),
            "a path that exists and may be read, in --config-file or ETCD_CONFIG_FILE",
        )
    })?;
    let document: Value = serde_yaml_ng::from_str(&text).map_err(|error| {
        Invalid::new(format!("the config file {place} is not YAML"), error.to_string(), "lines of the form name: value")
    })?;
    let mapping = match document {
        Value::Null => return Ok(()),
        Value::Mapping(mapping) => mapping,
        _ => {
            return Err(Invalid::new(
                format!("the config file {place} is no mapping"),
                "settings are names with values",
                "lines of the form name: value",
            ));
        }
    };
    for (key, value) in &mapping {
        let key = key_text(key).map_err(|e| e.at(place.to_string()))?;
        match (key, value) {
            (CLIENT_BLOCK | PEER_BLOCK, Value::Null) => Ok(()),
            (CLIENT_BLOCK | PEER_BLOCK, Value::Mapping(block)) => parse_block(key, block, settings),
            _ => set(key, key, value, settings),
        }
        .map_err(|e| e.at(place.to_string()))?;
    }
    Ok(())
}

fn parse_block(block_name: &str, block: &Mapping, settings: &mut Settings) -> Result<(), Invalid> {
    for (key, value) in block {
        let key = key_text(key)?;
        let spelt = format!("{block_name}.{key}");
        let flag = BLOCK_KEYS
            .iter()
            .find(|(name, ..)| *name == key)
            .map(|(_, client, peer)| if block_name == PEER_BLOCK { *peer } else { *client })
            .filter(|flag| !flag.is_empty())
            .ok_or_else(|| {
                unknown(&spelt, nearest::nearest(key, BLOCK_KEYS.iter().map(|(name, ..)| (*name).to_owned())))
            })?;
        set(flag, &spelt, value, settings)?;
    }
    Ok(())
}

fn set(name: &str, spelt: &str, value: &Value, settings: &mut Settings) -> Result<(), Invalid> {
    let Some(flag) = table::find(name) else {
        let blocks = [CLIENT_BLOCK, PEER_BLOCK].map(str::to_owned);
        return Err(unknown(spelt, nearest::nearest(name, table::names().chain(blocks))));
    };
    let text = match value {
        Value::Null => return Ok(()),
        Value::Number(nanos) if flag.kind == Kind::Duration => format!("{nanos}ns"),
        Value::Sequence(items) => {
            items.iter().map(|item| scalar(spelt, item)).collect::<Result<Vec<_>, _>>()?.join(",")
        }
        Value::Mapping(gates) if flag.name == "feature-gates" => gates
            .iter()
            .map(|(gate, on)| Ok(format!("{}={}", scalar(spelt, gate)?, scalar(spelt, on)?)))
            .collect::<Result<Vec<_>, Invalid>>()?
            .join(","),
        other => scalar(spelt, other)?,
    };
    if text.is_empty() {
        return Ok(()); // as in etcd's own sample file: an empty text stands for the default
    }
    settings.set(flag, Origin::File, spelt, text)
}

fn scalar(spelt: &str, value: &Value) -> Result<String, Invalid> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(on) => Ok(on.to_string()),
        _ => Err(Invalid::new(
            format!("the value of {spelt}"),
            "it is neither a text, a number nor true or false",
            format!("{spelt}: VALUE"),
        )),
    }
}

fn key_text(key: &Value) -> Result<&str, Invalid> {
    key.as_str()
        .ok_or_else(|| Invalid::new(format!("the key {key:?}"), "it is no text", "lines of the form name: value"))
}

fn unknown(key: &str, near: Option<String>) -> Invalid {
    Invalid::new(
        format!("unknown key {key}"),
        "no setting has that name, and a misspelt one must not be passed over",
        near.unwrap_or_else(|| "--help for the names; they are those of the flags".to_owned()),
    )
}
