//! A resource version: the store's revision as decimal text; opaque to clients, an order to us.
//!
//! Promises: absence and "any" are not numbers; [`ResourceVersion::parse`] gives upstream's text for what is none.
//! Source: apiserver `pkg/storage/api_object_versioner.go`.

use std::fmt;
use std::num::NonZeroU64;

use thiserror::Error;

/// A revision at which an object or a list was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceVersion(NonZeroU64);

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asked {
    /// Nothing was said: the most recent.
    Unset,
    /// `0`: any that is at hand.
    Any,
    /// This one; what that means is the verb's to say.
    At(ResourceVersion),
}

/// Text that is no resource version.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("strconv.ParseUint: parsing {text}: {why}")]
pub struct BadResourceVersion {
    text: String,
    why: &'static str,
}

impl ResourceVersion {
    /// Of a revision; `None` for 0, which is none.
    pub fn new(revision: u64) -> Option<ResourceVersion> {
        NonZeroU64::new(revision).map(ResourceVersion)
    }

    /// The revision.
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// Of a request's parameter or an object's metadata.
    ///
    /// # Errors
    /// When it is no decimal number of 64 bits.
    pub fn parse(text: &str) -> Result<Asked, BadResourceVersion> {
        if text.is_empty() {
            return Ok(Asked::Unset);
        }
        let bad = |why| BadResourceVersion { text: crate::text::quote(text), why };
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bad("invalid syntax"));
        }
        let number: u64 = text.parse().map_err(|_| bad("value out of range"))?;
        Ok(ResourceVersion::new(number).map_or(Asked::Any, Asked::At))
    }
}

impl fmt::Display for ResourceVersion {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unset_any_and_a_number_are_told_apart() {
        assert_eq!(ResourceVersion::parse(""), Ok(Asked::Unset));
        assert_eq!(ResourceVersion::parse("0"), Ok(Asked::Any));
        assert_eq!(ResourceVersion::parse("42"), Ok(Asked::At(ResourceVersion::new(42).unwrap())));
    }

    #[test]
    fn what_is_no_number_is_refused_in_gos_words() {
        let said = |text| ResourceVersion::parse(text).unwrap_err().to_string();
        assert_eq!(said("foo"), r#"strconv.ParseUint: parsing "foo": invalid syntax"#);
        assert_eq!(said("-1"), r#"strconv.ParseUint: parsing "-1": invalid syntax"#);
        assert_eq!(
            said("99999999999999999999"),
            r#"strconv.ParseUint: parsing "99999999999999999999": value out of range"#
        );
    }
}
