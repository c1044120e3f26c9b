//! `ETCD_*` variables: a flag's name in upper case, dashes as underscores.
//!
//! As in etcd, an empty variable counts as none and an unknown one is only warned about, because Kubernetes and others
//! put variables of that form (`ETCD_PORT`, `ETCD_SERVICE_HOST`) into every container. Source: etcd `pkg/flags/flag.go`.

use std::collections::BTreeMap;
use std::ffi::OsString;

use fairlead_store::config::Invalid;

use super::notice::Notice;
use super::settings::{Origin, Settings};
use super::{nearest, table};

/// Variables of that form that mean something else, so they are passed over: etcd's own switches, and a variable that
/// container images use for the version they hold.
const NOT_SETTINGS: [&str; 3] = ["ETCD_UNSUPPORTED_ARCH", "ETCD_VERIFY", "ETCD_VERSION"];

/// Takes the `ETCD_*` variables among `environment`.
///
/// # Errors
/// A malformed value of a known variable.
pub(super) fn parse(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    settings: &mut Settings,
) -> Result<(), Invalid> {
    let variables: BTreeMap<String, String> = environment
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, value)| name.starts_with("ETCD_") && !value.is_empty())
        .collect();
    let flag_names: BTreeMap<String, String> = table::names().map(|name| (variable(&name), name)).collect();
    for (name, value) in variables {
        if NOT_SETTINGS.contains(&name.as_str()) {
            continue;
        }
        if let Some(flag) = flag_names.get(&name).and_then(|flag| table::find(flag)) {
            settings.set(flag, Origin::Environment, &name, value)?;
        } else {
            // The common prefix would make every name near.
            let bare = |name: &str| name.trim_start_matches("ETCD_").to_owned();
            let near = nearest::nearest(&bare(&name), flag_names.keys().map(|name| bare(name)));
            let nearest = near.map(|near| format!("ETCD_{near}"));
            settings.note(Notice::UnknownVariable { variable: name, nearest });
        }
    }
    Ok(())
}

/// The variable of a flag.
pub(super) fn variable(flag: &str) -> String {
    format!("ETCD_{}", flag.to_uppercase().replace('-', "_"))
}
