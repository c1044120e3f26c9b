//! What discovery tells of each resource, and where upstream stores it: parsed from `table/resources.txt`.
//!
//! Promises: resources stand in the order of the published documents; those of all versions are there, alpha and beta
//! among them, whoever serves them. Keys and storage versions are those of upstream's own storage table.

use std::collections::BTreeMap;

use crate::gvk::{GroupResource, GroupVersion, GroupVersionKind};

/// A resource in one version of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Where it is served.
    pub group_version: GroupVersion,
    /// The plural, as in URLs.
    pub name: String,
    /// The singular.
    pub singular: String,
    /// The kind of its objects.
    pub kind: GroupVersionKind,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// The verbs it offers, sorted.
    pub verbs: Vec<String>,
    /// Short names, as in `po`.
    pub short_names: Vec<String>,
    /// Categories, as in `all`.
    pub categories: Vec<String>,
    /// Its subresources, sorted by name.
    pub subresources: Vec<Subresource>,
    /// How it is stored; `None` for what is only answered, as reviews are.
    pub storage: Option<Storage>,
}

/// A subresource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subresource {
    /// Its name, as in `status`.
    pub name: String,
    /// The kind it takes and gives; may be of another group.
    pub kind: GroupVersionKind,
    /// Whether discovery names group and version of the kind, which it does where they differ from the resource's.
    pub foreign: bool,
    /// The verbs it offers, sorted.
    pub verbs: Vec<String>,
}

/// Where and how a resource is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// The key's part between `/registry/` and the namespace or name, as in `services/specs`.
    pub prefix: String,
    /// The version that is written.
    pub version: GroupVersion,
    /// Discovery's storageVersionHash.
    pub hash: String,
}

impl Resource {
    /// Without the version: how errors name it.
    pub fn group_resource(&self) -> GroupResource {
        GroupResource { group: self.group_version.group.clone(), resource: self.name.clone().into() }
    }

    /// The subresource of that name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|each| each.name == name)
    }
}

/// All built-in resources.
pub fn builtin() -> Vec<Resource> {
    let mut resources: Vec<Resource> = Vec::new();
    for line in include_str!("../../table/resources.txt").lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&'static str> = line.split_ascii_whitespace().collect();
        match words.as_slice() {
            ["resource", place, name, singular, kind, scope, facts @ ..] => {
                resources.push(resource(place, name, singular, kind, scope, facts));
            }
            [name, kind, facts @ ..] if line.starts_with(' ') => {
                let of = resources.last_mut().expect("a subresource follows its resource");
                of.subresources.push(Subresource {
                    name: (*name).to_owned(),
                    kind: kind_in(&of.group_version, kind),
                    foreign: kind.contains('.'),
                    verbs: list(&by_key(facts), "verbs"),
                });
            }
            _ => panic!("no line of the resource table: {line:?}"),
        }
    }
    resources
}

fn resource(
    place: &'static str,
    name: &str,
    singular: &str,
    kind: &'static str,
    scope: &str,
    facts: &[&'static str],
) -> Resource {
    let (group_version, facts) = (version(place), by_key(facts));
    Resource {
        kind: kind_in(&group_version, kind),
        group_version,
        name: name.to_owned(),
        singular: singular.to_owned(),
        namespaced: scope == "namespaced",
        verbs: list(&facts, "verbs"),
        short_names: list(&facts, "short"),
        categories: list(&facts, "categories"),
        subresources: Vec::new(),
        storage: facts.get("key").map(|prefix| Storage {
            prefix: (*prefix).to_owned(),
            version: version(facts.get("storage").expect("a key has a storage version")),
            hash: facts.get("hash").copied().unwrap_or_default().to_owned(),
        }),
    }
}

fn version(text: &'static str) -> GroupVersion {
    let (group, version) = text.split_once('/').unwrap_or(("", text));
    GroupVersion::of(group, version)
}

/// `Pod`, or `autoscaling/v1.Scale` where it is not of the resource's version.
fn kind_in(group_version: &GroupVersion, text: &'static str) -> GroupVersionKind {
    match text.rsplit_once('.') {
        Some((place, kind)) => version(place).kind(kind),
        None => group_version.kind(text),
    }
}

fn by_key(facts: &[&'static str]) -> BTreeMap<&'static str, &'static str> {
    facts.iter().filter_map(|fact| fact.split_once('=')).collect()
}

fn list(facts: &BTreeMap<&str, &str>, key: &str) -> Vec<String> {
    facts.get(key).map(|words| words.split(',').map(str::to_owned).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;

    fn find(group: &str, name: &str) -> Resource {
        let found = builtin().into_iter().find(|each| each.group_version.group == group && each.name == name);
        found.unwrap()
    }

    #[test]
    fn pods_are_as_discovery_tells() {
        let pods = find("", "pods");
        assert!(pods.namespaced);
        assert_eq!((pods.short_names, pods.categories), (vec!["po".to_owned()], vec!["all".to_owned()]));
        let eviction = pods.subresources.iter().find(|each| each.name == "eviction").unwrap();
        assert_eq!((eviction.kind.clone(), eviction.foreign), (GroupVersionKind::of("policy", "v1", "Eviction"), true));
    }

    #[test]
    fn keys_are_upstreams_even_where_they_are_odd() {
        let prefix = |group, name| find(group, name).storage.unwrap().prefix;
        assert_eq!(prefix("", "services"), "services/specs");
        assert_eq!(prefix("", "nodes"), "minions");
        assert_eq!(prefix("", "replicationcontrollers"), "controllers");
        assert_eq!(prefix("networking.k8s.io", "ingresses"), "ingress");
        assert_eq!(prefix("apiregistration.k8s.io", "apiservices"), "apiregistration.k8s.io/apiservices");
        assert_eq!(
            prefix("apiextensions.k8s.io", "customresourcedefinitions"),
            "apiextensions.k8s.io/customresourcedefinitions"
        );
    }

    #[test]
    fn every_kind_of_a_resource_is_in_the_schema() {
        let schema = Schema::builtin();
        for resource in builtin() {
            assert!(schema.kind(&resource.kind).is_some(), "{}", resource.kind);
            for sub in &resource.subresources {
                assert!(schema.kind(&sub.kind).is_some(), "{} of {}", sub.kind, resource.name);
            }
            if let Some(storage) = &resource.storage {
                assert!(schema.kind(&storage.version.kind(resource.kind.kind.clone())).is_some(), "{}", resource.name);
            }
        }
    }
}
