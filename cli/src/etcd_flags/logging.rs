//! The settings of logging, typed. Source: etcd `server/embed/config_logging.go`.

use std::path::PathBuf;

use fairlead_store::config::Invalid;

use super::settings::Settings;

/// Where logs go and how they look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logging {
    pub(crate) level: LogLevel,
    pub(crate) format: LogFormat,
    pub(crate) outputs: Vec<LogOutput>,
}

/// etcd's levels; `panic` and `fatal` keep errors only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

/// One JSON object per line, or words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Json,
    Console,
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LogOutput {
    Stderr,
    Stdout,
    File(PathBuf),
}

impl Logging {
    pub(super) fn from_settings(settings: &Settings) -> Result<Logging, Invalid> {
        settings.read("logger", |text| match text {
            "zap" | "" => Ok(()),
            _ => Err(Invalid::new(
                format!("unknown logger option {text:?}"),
                "there is one logger",
                "zap, or drop the flag",
            )),
        })?;
        let level = settings.read("log-level", |text| match text.to_ascii_lowercase().as_str() {
            "debug" => Ok(LogLevel::Debug),
            "info" => Ok(LogLevel::Info),
            "warn" => Ok(LogLevel::Warn),
            "error" | "dpanic" | "panic" | "fatal" => Ok(LogLevel::Error),
            _ => Err(Invalid::new(
                format!("unrecognized level {text:?}"),
                "levels are named",
                "debug, info, warn, error, panic or fatal",
            )),
        })?;
        let format = settings.read("log-format", |text| match text {
            "json" | "" => Ok(LogFormat::Json),
            "console" => Ok(LogFormat::Console),
            _ => Err(Invalid::new(
                format!("unknown log format {text:?}"),
                "logs are JSON objects or words",
                "json or console",
            )),
        })?;
        let mut outputs: Vec<LogOutput> = Vec::new();
        for output in settings.list("log-outputs") {
            let output = match output.as_str() {
                "default" | "stderr" | "/dev/stderr" => LogOutput::Stderr,
                "stdout" | "/dev/stdout" => LogOutput::Stdout,
                "systemd/journal" => {
                    return Err(Invalid::new(
                        "--log-outputs: \"systemd/journal\"",
                        "the journal is not spoken to directly",
                        "stderr, which a systemd unit hands to the journal",
                    ));
                }
                path => LogOutput::File(path.into()),
            };
            if !outputs.contains(&output) {
                outputs.push(output);
            }
        }
        if outputs.is_empty() {
            outputs.push(LogOutput::Stderr);
        }
        Ok(Logging { level, format, outputs })
    }
}
