//! Settings by name, each from the strongest source that has it: flag over environment over file over default.
//!
//! Every value has been checked against its kind when it was set, so a refusal names the source it came from.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use fairlead_store::config::{Invalid, Url};

use super::notice::Notice;
use super::table::{self, Effect, Flag};
use super::value;

/// Where a value comes from, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    File,
    Environment,
    Flag,
}

impl Origin {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Origin::File => "file",
            Origin::Environment => "environment",
            Origin::Flag => "flag",
        }
    }
}

#[derive(Debug)]
struct Setting {
    flag: &'static Flag,
    text: String,
    origin: Origin,
    /// The name as it was written there, for messages.
    spelt: String,
}

/// What has been set so far.
#[derive(Debug, Default)]
pub(super) struct Settings {
    values: BTreeMap<&'static str, Setting>,
    notices: Vec<Notice>,
}

impl Settings {
    /// Sets a value; a weaker source than the present one changes nothing, and an override is noted.
    ///
    /// # Errors
    /// When the text is no value of the flag's kind.
    pub(super) fn set(
        &mut self,
        flag: &'static Flag,
        origin: Origin,
        spelt: &str,
        text: String,
    ) -> Result<(), Invalid> {
        value::check(flag.kind, &text).map_err(|e| e.at(spelt))?;
        let new = Setting { flag, text, origin, spelt: spelt.to_owned() };
        match self.values.remove(flag.name) {
            None => drop(self.values.insert(flag.name, new)),
            Some(old) => {
                let (winner, loser) = if new.origin >= old.origin { (new, old) } else { (old, new) };
                if winner.text != loser.text {
                    self.notices.push(overridden(&winner, &loser));
                }
                self.values.insert(flag.name, winner);
            }
        }
        Ok(())
    }

    /// Adds a line to log later.
    pub(super) fn note(&mut self, notice: Notice) {
        self.notices.push(notice);
    }

    /// Whether some source has it.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// What a refusal about this setting calls it.
    pub(super) fn place(&self, name: &str) -> String {
        self.values.get(name).map_or_else(|| format!("--{name}"), |setting| setting.spelt.clone())
    }

    /// The value, or the default.
    pub(super) fn text(&self, name: &str) -> &str {
        match self.values.get(name) {
            Some(setting) => &setting.text,
            None => table::find(name).expect("only names of the table are asked for").default,
        }
    }

    /// The value as some type, with the refusal's place put right.
    pub(super) fn read<T>(&self, name: &str, parse: impl FnOnce(&str) -> Result<T, Invalid>) -> Result<T, Invalid> {
        parse(self.text(name)).map_err(|e| e.at(self.place(name)))
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Invalid> {
        self.read(name, value::boolean)
    }

    pub(super) fn unsigned(&self, name: &str) -> Result<u64, Invalid> {
        self.read(name, value::unsigned)
    }

    /// A number that must fit 32 bits.
    pub(super) fn small(&self, name: &str, parse: impl FnOnce(&str) -> Result<i64, Invalid>) -> Result<u32, Invalid> {
        self.read(name, |text| {
            u32::try_from(parse(text)?).map_err(|_| {
                Invalid::new(
                    format!("invalid value {text:?}"),
                    format!("it is not from 0 to {}", u32::MAX),
                    "a number in that range",
                )
            })
        })
    }

    pub(super) fn time(&self, name: &str) -> Result<Duration, Invalid> {
        self.read(name, value::time)
    }

    pub(super) fn urls(&self, name: &str) -> Result<Vec<Url>, Invalid> {
        self.read(name, |text| if text.is_empty() { Ok(Vec::new()) } else { Url::parse_list(text) })
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        Some(self.text(name)).filter(|text| !text.is_empty()).map(PathBuf::from)
    }

    pub(super) fn list(&self, name: &str) -> Vec<String> {
        self.text(name).split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    /// All lines to log: overrides and warnings first, then names that are old and flags that do nothing.
    pub(super) fn into_notices(self) -> Vec<Notice> {
        let Settings { values, mut notices } = self;
        for Setting { flag, origin, spelt, .. } in values.into_values() {
            if spelt.trim_start_matches('-').starts_with("experimental-") {
                notices.push(Notice::OldName { spelt: spelt.clone(), name: flag.name });
            }
            let reason = match flag.effect {
                Effect::Full => continue,
                Effect::Later => "not implemented yet",
                Effect::Obsolete => "obsolete, or always on here",
            };
            notices.push(Notice::WithoutEffect { spelt, origin, reason });
        }
        notices
    }
}

fn overridden(winner: &Setting, loser: &Setting) -> Notice {
    let shown = |setting: &Setting| if setting.flag.is_secret() { "(secret)".to_owned() } else { setting.text.clone() };
    Notice::Overridden {
        setting: winner.flag.name,
        origin: winner.origin,
        value: shown(winner),
        overridden_origin: loser.origin,
        overridden_value: shown(loser),
    }
}
