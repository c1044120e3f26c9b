//! Names of groups, versions, kinds and resources, as they stand in `apiVersion` and in URLs.
//!
//! Promises: what [`GroupVersion::parse`] takes is printed again as it was; the legacy group is the empty one.
//! Source: apimachinery `pkg/runtime/schema/group_version.go`.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

/// A word of the table or one that came at run time.
pub type Name = Cow<'static, str>;

/// A group and a version: `v1`, `apps/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersion {
    /// The group; empty for the legacy one.
    pub group: Name,
    /// The version.
    pub version: Name,
}

/// An `apiVersion` that is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unexpected GroupVersion string: {0}")]
pub struct BadGroupVersion(String);

impl GroupVersion {
    /// From words known when this was compiled.
    pub const fn of(group: &'static str, version: &'static str) -> GroupVersion {
        GroupVersion { group: Cow::Borrowed(group), version: Cow::Borrowed(version) }
    }

    /// From an `apiVersion`.
    ///
    /// # Errors
    /// When there is more than one slash.
    pub fn parse(text: &str) -> Result<GroupVersion, BadGroupVersion> {
        match text.split_once('/') {
            None => Ok(GroupVersion { group: "".into(), version: text.to_owned().into() }),
            Some((group, version)) if !version.contains('/') => {
                Ok(GroupVersion { group: group.to_owned().into(), version: version.to_owned().into() })
            }
            Some(_) => Err(BadGroupVersion(text.to_owned())),
        }
    }

    /// The kind of that name in it.
    pub fn kind(&self, kind: impl Into<Name>) -> GroupVersionKind {
        GroupVersionKind { group: self.group.clone(), version: self.version.clone(), kind: kind.into() }
    }
}

impl fmt::Display for GroupVersion {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group.is_empty() {
            true => to.write_str(&self.version),
            false => write!(to, "{}/{}", self.group, self.version),
        }
    }
}

/// A kind in a group and version.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersionKind {
    /// The group; empty for the legacy one.
    pub group: Name,
    /// The version.
    pub version: Name,
    /// The kind, as in `Pod`.
    pub kind: Name,
}

impl GroupVersionKind {
    /// From words known when this was compiled.
    pub const fn of(group: &'static str, version: &'static str, kind: &'static str) -> GroupVersionKind {
        GroupVersionKind { group: Cow::Borrowed(group), version: Cow::Borrowed(version), kind: Cow::Borrowed(kind) }
    }

    /// Its group and version.
    pub fn group_version(&self) -> GroupVersion {
        GroupVersion { group: self.group.clone(), version: self.version.clone() }
    }
}

/// As Go prints it in messages.
impl fmt::Display for GroupVersionKind {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}/{}, Kind={}", self.group, self.version, self.kind)
    }
}

/// A resource of a group, whatever the version: how errors name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupResource {
    /// The group; empty for the legacy one.
    pub group: Name,
    /// The plural, as in `pods`.
    pub resource: Name,
}

impl GroupResource {
    /// From words known when this was compiled.
    pub const fn of(group: &'static str, resource: &'static str) -> GroupResource {
        GroupResource { group: Cow::Borrowed(group), resource: Cow::Borrowed(resource) }
    }
}

/// `pods`, `deployments.apps`.
impl fmt::Display for GroupResource {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group.is_empty() {
            true => to.write_str(&self.resource),
            false => write!(to, "{}.{}", self.resource, self.group),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_printed_as_they_were_read() {
        for text in ["v1", "apps/v1", "", "a.example.com/v1beta1"] {
            assert_eq!(GroupVersion::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(GroupVersion::parse("a/b/c").unwrap_err().to_string(), "unexpected GroupVersion string: a/b/c");
    }

    #[test]
    fn resources_are_named_as_errors_name_them() {
        assert_eq!(GroupResource::of("", "pods").to_string(), "pods");
        assert_eq!(GroupResource::of("apps", "deployments").to_string(), "deployments.apps");
        assert_eq!(GroupVersionKind::of("apps", "v1", "Deployment").to_string(), "apps/v1, Kind=Deployment");
    }
}
