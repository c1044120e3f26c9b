//! Logs as etcd's consumers read them: one JSON object per line, written at once, never a colour.
//!
//! Keys come in the order level, ts, caller, msg, then the event's fields. `--log-format console` has the same parts
//! with tabs between. Other crates' events are logged from warn up; the variable `FAIRLEAD_LOG` (`openraft=debug,…`)
//! replaces all levels, for developers.
//! Also here: the hook that logs a panic and ends the process, because a store that has lost a task must not go on.
//! Does not: rotate files, speak to the journal. Source: etcd `server/embed/config_logging.go`, `pkg/logutil/zap.go`.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::etcd_flags::{LogFormat, LogLevel, LogOutput, Logging};

/// Libraries whose own tale is told only from warnings on; `FAIRLEAD_LOG` changes that.
const LIBRARIES: [&str; 7] = ["axum", "h2", "hyper", "hyper_util", "rustls", "tonic", "tower"];

/// Starts logging for the whole process.
///
/// # Errors
/// When a log file cannot be opened, `FAIRLEAD_LOG` does not parse, or logging was started before.
pub(crate) fn start(logging: &Logging) -> anyhow::Result<()> {
    let level = match logging.level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    let targets = match std::env::var("FAIRLEAD_LOG") {
        Ok(text) => text.parse::<Targets>().context("FAIRLEAD_LOG is not of the form target=level,…")?,
        Err(_) => {
            let quiet = LIBRARIES.map(|library| (library, level.min(LevelFilter::WARN)));
            // openraft warns of every call that a lost peer does not answer; we tell who leads and who is lost.
            let raft = ("openraft", level.min(LevelFilter::ERROR));
            Targets::new().with_default(level).with_targets(quiet).with_targets([raft])
        }
    };
    let sinks = logging.outputs.iter().map(Sink::open).collect::<anyhow::Result<Vec<_>>>()?;
    let lines = Lines { format: logging.format, sinks: Mutex::new(sinks), lost: AtomicU64::new(0) };
    tracing_subscriber::registry()
        .with(lines.with_filter(targets))
        .try_init()
        .context("logging has been started twice")?;
    if level > tracing::level_filters::STATIC_MAX_LEVEL {
        tracing::warn!("this build has no debug events, so --log-level debug shows no more than info");
    }
    Ok(())
}

/// Makes every panic a log line and the end of the process.
pub(crate) fn abort_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("(no text)");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or("(unnamed)").to_owned();
        let backtrace = std::backtrace::Backtrace::capture().to_string();
        tracing::error!(message, place, thread, backtrace, panic = true, "a bug: the process ends");
        std::process::abort();
    }));
}

/// Where lines go.
enum Sink {
    Stderr,
    Stdout,
    File(File),
}

impl Sink {
    fn open(output: &LogOutput) -> anyhow::Result<Sink> {
        Ok(match output {
            LogOutput::Stderr => Sink::Stderr,
            LogOutput::Stdout => Sink::Stdout,
            LogOutput::File(path) => {
                Sink::File(OpenOptions::new().append(true).create(true).open(path).with_context(|| {
                    format!(
                        "--log-outputs: cannot open {}; try a file in a folder that exists and may be written",
                        path.display()
                    )
                })?)
            }
        })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Sink::Stderr => io::stderr().lock().write_all(line),
            Sink::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(line)?;
                stdout.flush()
            }
            Sink::File(file) => file.write_all(line),
        }
    }
}

/// The layer that writes lines.
struct Lines {
    format: LogFormat,
    sinks: Mutex<Vec<Sink>>,
    /// Lines that some sink did not take; told with the next one that it takes.
    lost: AtomicU64,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            fields.record("log-lines-lost", &lost);
        }
        let line = line(self.format, event.metadata(), &fields, SystemTime::now());
        // A poisoned lock means that a writer panicked, and then the process is ending.
        let mut sinks = self.sinks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let failed = sinks.iter_mut().map(|sink| sink.write(line.as_bytes())).filter(Result::is_err).count();
        if failed > 0 {
            self.lost.fetch_add(lost.max(1), Ordering::Relaxed);
        }
    }
}

fn line(format: LogFormat, metadata: &tracing::Metadata<'_>, fields: &Fields, now: SystemTime) -> String {
    let level = match *metadata.level() {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        _ => "debug",
    };
    let time = timestamp(now);
    let caller = caller(metadata);
    match format {
        LogFormat::Json => {
            let comma = if fields.json.is_empty() { "" } else { "," };
            let text = |text: &str| serde_json::Value::from(text).to_string();
            format!(
                "{{\"level\":\"{level}\",\"ts\":\"{time}\",\"caller\":{},\"msg\":{}{comma}{}}}\n",
                text(&caller),
                text(&fields.message),
                fields.json
            )
        }
        LogFormat::Console => {
            let message = fields.message.escape_debug();
            format!("{time}\t{}\t{caller}\t{message}\t{{{}}}\n", level.to_uppercase(), fields.json)
        }
    }
}

/// The last folder, the file and the line, as zap has it.
fn caller(metadata: &tracing::Metadata<'_>) -> String {
    let path = metadata.file().unwrap_or(metadata.target());
    let cut = path.rmatch_indices('/').nth(1).map_or(0, |(at, _)| at + 1);
    format!("{}:{}", &path[cut..], metadata.line().unwrap_or(0))
}

/// `2006-01-02T15:04:05.999999Z`, in UTC (days to date: Howard Hinnant, `civil_from_days`).
fn timestamp(now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let shifted = days + 719_468; // days since 0000-03-01
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z", since.subsec_micros())
}

/// An event's message, and its other fields as JSON members with commas between.
#[derive(Default)]
struct Fields {
    message: String,
    json: String,
}

impl Fields {
    fn record(&mut self, name: &str, value: &impl serde::Serialize) {
        let value = serde_json::to_string(value).unwrap_or_else(|error| format!("\"(unprintable: {error})\""));
        let comma = if self.json.is_empty() { "" } else { "," };
        write!(self.json, "{comma}{}:{value}", serde_json::Value::from(name)).expect("writing to a string cannot fail");
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = value.to_owned();
        } else {
            self.record(field.name(), &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.record(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record(field.name(), &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.record(field.name(), &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.record(field.name(), &value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            write!(text, ": {cause}").expect("writing to a string cannot fail");
            source = cause.source();
        }
        self.record(field.name(), &text);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::time::Duration;

    use super::*;

    fn logged(format: LogFormat, emit: impl FnOnce()) -> String {
        let mut file = tempfile::tempfile().unwrap();
        let sinks = Mutex::new(vec![Sink::File(file.try_clone().unwrap())]);
        let lines = Lines { format, sinks, lost: AtomicU64::new(0) };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), emit);
        let mut text = String::new();
        io::Seek::rewind(&mut file).unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn an_event_is_one_json_object_on_one_line_with_fields_as_keys() {
        let text = logged(LogFormat::Json, || {
            let error = io::Error::other("no\nway");
            tracing::warn!("member-id" = 7_u64, ratio = 0.5, ok = true, error = &error as &dyn std::error::Error, name = ?"x", "two\n\x1b[31mlines");
            tracing::info!("bare");
        });
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((&lines[0]["level"], &lines[0]["msg"]), (&"warn".into(), &"two\n\u{1b}[31mlines".into()));
        assert_eq!(
            (&lines[0]["member-id"], &lines[0]["ratio"], &lines[0]["ok"]),
            (&7.into(), &0.5.into(), &true.into())
        );
        assert_eq!(lines[0]["error"], "no\nway");
        assert_eq!(lines[1]["msg"], "bare");
        assert!(lines[1]["caller"].as_str().unwrap().starts_with("src/telemetry.rs:"));
        assert!(!text.contains('\u{1b}'), "an escape character reached the output");
    }

    #[test]
    fn the_console_form_stays_on_one_line() {
        let text = logged(LogFormat::Console, || tracing::error!(a = 1, "one\ntwo"));
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains("\tERROR\t") && text.ends_with("\tone\\ntwo\t{\"a\":1}\n"), "{text}");
    }

    #[test]
    fn timestamps_are_dates_in_utc() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00.000001Z"),
            (951_782_400, "2000-02-29T00:00:00.000001Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000001Z"),
            (4_102_444_800, "2100-01-01T00:00:00.000001Z"),
        ] {
            assert_eq!(timestamp(UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(1)), date);
        }
    }
}
