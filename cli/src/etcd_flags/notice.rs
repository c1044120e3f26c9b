//! What is found while reading settings and can be logged only afterwards, since logging is a setting.

use super::settings::Origin;

/// One log line to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// A stronger source has another value than a weaker one.
    Overridden {
        setting: &'static str,
        origin: Origin,
        value: String,
        overridden_origin: Origin,
        overridden_value: String,
    },
    /// A variable of our form that no flag has.
    UnknownVariable { variable: String, nearest: Option<String> },
    /// A setting by a name it had once.
    OldName { spelt: String, name: &'static str },
    /// A setting that does nothing here.
    WithoutEffect { spelt: String, origin: Origin, reason: &'static str },
}

impl Notice {
    /// Logs it.
    pub(crate) fn log(&self) {
        match self {
            Notice::Overridden { setting, origin, value, overridden_origin, overridden_value } => tracing::info!(
                setting,
                origin = origin.as_str(),
                value,
                "overridden-origin" = overridden_origin.as_str(),
                "overridden-value" = overridden_value,
                "a setting overrides another"
            ),
            Notice::UnknownVariable { variable, nearest } => tracing::warn!(
                "environment-variable" = variable,
                nearest = nearest.as_deref(),
                "unrecognized environment variable"
            ),
            Notice::OldName { spelt, name } => tracing::info!(setting = spelt, name, "old name of a setting"),
            Notice::WithoutEffect { spelt, origin, reason } => {
                tracing::warn!(setting = spelt, origin = origin.as_str(), reason, "accepted, no effect yet")
            }
        }
    }
}
