//! Which resources there are now: the built-in ones from the start, custom ones as their definitions come and go.
//!
//! Promises: a reader gets one consistent [`Tables`] snapshot and keeps it as long as it likes; a change replaces the
//! snapshot and never edits it. Lookups by URL words and by kind cost one hash each.
//! Does not: decide which versions are served, or hold the schemas of custom resources (they decode as free JSON, and the
//! rooms that prune and validate them keep their structural schemas).

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::resources::{self, Resource};
use super::{Schema, TypeId};
use crate::gvk::{GroupVersion, GroupVersionKind};

/// A resource and the type of its objects.
#[derive(Debug)]
pub struct Definition {
    /// What discovery tells of it.
    pub resource: Resource,
    /// The type of its objects in [`Schema::builtin`]; `None` for a custom resource.
    pub ty: Option<TypeId>,
}

/// All resources at one moment.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    by_url: HashMap<GroupVersion, HashMap<String, Arc<Definition>>>,
    by_kind: HashMap<GroupVersionKind, Arc<Definition>>,
}

impl Tables {
    /// The resource under `/apis/{group}/{version}/{name}`.
    pub fn resource(&self, group_version: &GroupVersion, name: &str) -> Option<&Arc<Definition>> {
        self.by_url.get(group_version)?.get(name)
    }

    /// The resource whose objects are of that kind.
    pub fn kind(&self, kind: &GroupVersionKind) -> Option<&Arc<Definition>> {
        self.by_kind.get(kind)
    }

    /// Every resource, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Definition>> {
        self.by_url.values().flat_map(HashMap::values)
    }

    fn insert(&mut self, definition: Definition) {
        let definition = Arc::new(definition);
        let resource = &definition.resource;
        self.by_kind.insert(resource.kind.clone(), Arc::clone(&definition));
        let version = self.by_url.entry(resource.group_version.clone()).or_default();
        version.insert(resource.name.clone(), Arc::clone(&definition));
    }

    fn remove(&mut self, group_version: &GroupVersion, name: &str) {
        let Some(version) = self.by_url.get_mut(group_version) else { return };
        if let Some(gone) = version.remove(name) {
            self.by_kind.remove(&gone.resource.kind);
        }
        if version.is_empty() {
            self.by_url.remove(group_version);
        }
    }
}

/// The tables of now; clones share them.
#[derive(Clone, Debug)]
pub struct Registry {
    now: Arc<RwLock<Arc<Tables>>>,
}

impl Registry {
    /// With all built-in resources.
    pub fn builtin() -> Registry {
        let mut tables = Tables::default();
        for resource in resources::builtin() {
            let ty = Schema::builtin().kind(&resource.kind);
            tables.insert(Definition { resource, ty });
        }
        Registry { now: Arc::new(RwLock::new(Arc::new(tables))) }
    }

    /// The tables of this moment.
    pub fn tables(&self) -> Arc<Tables> {
        // A panic elsewhere cannot leave the tables half written: they are replaced as a whole.
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds custom resources, or replaces those of the same version and name; all become visible at once.
    pub fn define(&self, resources: impl IntoIterator<Item = Resource>) {
        self.change(|tables| {
            for resource in resources {
                tables.insert(Definition { resource, ty: None });
            }
        });
    }

    /// Takes a resource away.
    pub fn forget(&self, group_version: &GroupVersion, name: &str) {
        self.change(|tables| tables.remove(group_version, name));
    }

    fn change(&self, how: impl FnOnce(&mut Tables)) {
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Tables::clone(&now);
        how(&mut next);
        *now = Arc::new(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foos() -> Resource {
        let version = GroupVersion::of("example.com", "v1");
        Resource {
            kind: version.kind("Foo"),
            group_version: version,
            name: "foos".to_owned(),
            singular: "foo".to_owned(),
            namespaced: true,
            verbs: Vec::new(),
            short_names: Vec::new(),
            categories: Vec::new(),
            subresources: Vec::new(),
            storage: None,
        }
    }

    #[test]
    fn builtin_resources_have_their_type() {
        let tables = Registry::builtin().tables();
        let pods = tables.resource(&GroupVersion::of("", "v1"), "pods").unwrap();
        assert_eq!(pods.ty, Schema::builtin().by_name("io.k8s.api.core.v1.Pod"));
        assert!(tables.iter().count() > 90);
    }

    #[test]
    fn custom_resources_come_and_go_while_old_snapshots_stay() {
        let registry = Registry::builtin();
        let before = registry.tables();
        let version = GroupVersion::of("example.com", "v1");
        registry.define([foos()]);
        let during = registry.tables();
        registry.forget(&version, "foos");
        assert!(before.resource(&version, "foos").is_none());
        assert_eq!(during.kind(&version.kind("Foo")).unwrap().ty, None);
        assert!(registry.tables().kind(&version.kind("Foo")).is_none());
    }
}
