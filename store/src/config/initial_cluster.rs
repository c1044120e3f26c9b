//! The members a cluster starts with: `n1=http://10.0.0.1:2380,n2=…`, a name standing once for each of its URLs.
//!
//! Source: etcd `client/pkg/types/urlsmap.go`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Invalid, Url};

/// Peer URLs by member name; never empty once parsed, each list sorted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InitialCluster(BTreeMap<String, Vec<Url>>);

impl InitialCluster {
    /// A cluster of one.
    #[must_use]
    pub fn alone(name: &str, peer_urls: &[Url]) -> InitialCluster {
        InitialCluster(BTreeMap::from([(name.to_owned(), peer_urls.to_vec())]))
    }

    /// Reads `name=url,name=url,…`.
    ///
    /// # Errors
    /// When a part has no `=`, a name is empty, a URL is refused, or nothing is there.
    pub fn parse(text: &str) -> Result<InitialCluster, Invalid> {
        const REMEDY: &str = "the form n1=http://10.0.0.1:2380,n2=http://10.0.0.2:2380";
        let mut members: BTreeMap<String, Vec<Url>> = BTreeMap::new();
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let Some((name, url)) = part.split_once('=') else {
                return Err(Invalid::new(format!("{part:?} in the initial cluster"), "it is not NAME=URL", REMEDY));
            };
            let name = name.trim();
            if name.is_empty() {
                return Err(Invalid::new(
                    format!("{part:?} in the initial cluster"),
                    "the member's name is empty",
                    REMEDY,
                ));
            }
            members.entry(name.to_owned()).or_default().push(Url::parse(url)?);
        }
        if members.is_empty() {
            return Err(Invalid::new("the initial cluster names no member", "a cluster has at least one", REMEDY));
        }
        for urls in members.values_mut() {
            urls.sort_by_key(ToString::to_string);
        }
        Ok(InitialCluster(members))
    }

    /// Members by name, in the order of names.
    pub fn members(&self) -> impl Iterator<Item = (&str, &[Url])> {
        self.0.iter().map(|(name, urls)| (name.as_str(), urls.as_slice()))
    }

    /// The peer URLs of a member.
    #[must_use]
    pub fn peer_urls(&self, name: &str) -> Option<&[Url]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A URL that two entries share, if there is one.
    #[must_use]
    pub fn duplicate_url(&self) -> Option<&Url> {
        let mut seen = std::collections::BTreeSet::new();
        self.0.values().flatten().find(|url| !seen.insert(*url))
    }
}

impl fmt::Display for InitialCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (name, urls) in &self.0 {
            for url in urls {
                write!(f, "{separator}{name}={url}")?;
                separator = ",";
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for InitialCluster {
    type Error = Invalid;

    fn try_from(text: String) -> Result<InitialCluster, Invalid> {
        InitialCluster::parse(&text)
    }
}

impl From<InitialCluster> for String {
    fn from(cluster: InitialCluster) -> String {
        cluster.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_several_urls() {
        let cluster = InitialCluster::parse("b=http://b:1,a=http://a:2,a=http://a:1").unwrap();
        assert_eq!(cluster.to_string(), "a=http://a:1,a=http://a:2,b=http://b:1");
        assert_eq!(cluster.len(), 2);
        assert_eq!(cluster.peer_urls("a").unwrap().len(), 2);
        assert_eq!(cluster.duplicate_url(), None);
    }

    #[test]
    fn bad_forms_are_refused() {
        for text in ["", ",", "a", "a=", "=http://a:1", "a=http://a", "http://a:1"] {
            assert!(InitialCluster::parse(text).is_err(), "{text}");
        }
        let twice = InitialCluster::parse("a=http://x:1,b=http://x:1").unwrap();
        assert_eq!(twice.duplicate_url().unwrap().to_string(), "http://x:1");
    }
}
