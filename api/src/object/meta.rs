//! The metadata of an object: the fields of `ObjectMeta` and `ListMeta` that everybody reads and sets.
//!
//! Promises: reading what is absent or of another type gives nothing; setting nothing removes the field.

use super::{Map, Object, Value};
use crate::time::{Instant, Precision};

/// Reading and setting `metadata`.
impl Object {
    /// `metadata`, if it is there.
    pub fn metadata(&self) -> Option<&Map> {
        self.fields.get("metadata")?.as_map()
    }

    /// `metadata`, made if it is not there.
    pub fn metadata_mut(&mut self) -> &mut Map {
        self.fields.map_entry("metadata")
    }

    fn text(&self, field: &str) -> &str {
        self.metadata().and_then(|metadata| metadata.text(field)).unwrap_or_default()
    }

    fn set_text(&mut self, field: &'static str, text: &str) {
        match text.is_empty() {
            true => {
                self.metadata_mut().remove(field);
            }
            false => {
                self.metadata_mut().insert(field, text);
            }
        }
    }

    fn instant(&self, field: &str) -> Option<Instant> {
        Instant::parse(self.metadata()?.text(field)?, Precision::Seconds).ok()
    }

    fn set_instant(&mut self, field: &'static str, instant: Option<Instant>) {
        self.set_text(field, &instant.map(|instant| instant.format(Precision::Seconds)).unwrap_or_default());
    }

    /// The name; empty when absent.
    pub fn name(&self) -> &str {
        self.text("name")
    }

    /// Sets the name.
    pub fn set_name(&mut self, name: &str) {
        self.set_text("name", name);
    }

    /// What a name is made from; empty when absent.
    pub fn generate_name(&self) -> &str {
        self.text("generateName")
    }

    /// The namespace; empty when absent.
    pub fn namespace(&self) -> &str {
        self.text("namespace")
    }

    /// Sets the namespace; empty removes it.
    pub fn set_namespace(&mut self, namespace: &str) {
        self.set_text("namespace", namespace);
    }

    /// The uid; empty when absent.
    pub fn uid(&self) -> &str {
        self.text("uid")
    }

    /// Sets the uid; empty removes it.
    pub fn set_uid(&mut self, uid: &str) {
        self.set_text("uid", uid);
    }

    /// The resource version as it stands; empty when absent.
    pub fn resource_version(&self) -> &str {
        self.text("resourceVersion")
    }

    /// Sets the resource version; empty removes it.
    pub fn set_resource_version(&mut self, version: &str) {
        self.set_text("resourceVersion", version);
    }

    /// The generation; 0 when absent.
    pub fn generation(&self) -> i64 {
        self.metadata().and_then(|metadata| metadata.get("generation")?.as_int()).unwrap_or_default()
    }

    /// Sets the generation; 0 removes it.
    pub fn set_generation(&mut self, generation: i64) {
        match generation {
            0 => {
                self.metadata_mut().remove("generation");
            }
            generation => {
                self.metadata_mut().insert("generation", generation);
            }
        }
    }

    /// When it was created.
    pub fn creation_timestamp(&self) -> Option<Instant> {
        self.instant("creationTimestamp")
    }

    /// Sets when it was created.
    pub fn set_creation_timestamp(&mut self, instant: Option<Instant>) {
        self.set_instant("creationTimestamp", instant);
    }

    /// When it is, or was, to be gone.
    pub fn deletion_timestamp(&self) -> Option<Instant> {
        self.instant("deletionTimestamp")
    }

    /// Sets when it is to be gone.
    pub fn set_deletion_timestamp(&mut self, instant: Option<Instant>) {
        self.set_instant("deletionTimestamp", instant);
    }

    /// How long its end may take.
    pub fn deletion_grace_period_seconds(&self) -> Option<i64> {
        self.metadata()?.get("deletionGracePeriodSeconds")?.as_int()
    }

    /// Sets how long its end may take.
    pub fn set_deletion_grace_period_seconds(&mut self, seconds: Option<i64>) {
        match seconds {
            None => {
                self.metadata_mut().remove("deletionGracePeriodSeconds");
            }
            Some(seconds) => {
                self.metadata_mut().insert("deletionGracePeriodSeconds", seconds);
            }
        }
    }

    /// The labels.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs("labels")
    }

    /// The annotations.
    pub fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs("annotations")
    }

    fn pairs(&self, field: &str) -> impl Iterator<Item = (&str, &str)> {
        let map = self.metadata().and_then(|metadata| metadata.get(field)?.as_map());
        map.into_iter().flat_map(Map::iter).filter_map(|(name, value)| Some((name, value.as_str()?)))
    }

    /// The finalizers.
    pub fn finalizers(&self) -> impl Iterator<Item = &str> {
        let list = self.metadata().and_then(|metadata| metadata.get("finalizers")?.as_list());
        list.unwrap_or_default().iter().filter_map(Value::as_str)
    }

    /// Sets the finalizers; none removes the field.
    pub fn set_finalizers(&mut self, finalizers: impl IntoIterator<Item = String>) {
        let list: Vec<Value> = finalizers.into_iter().map(Value::String).collect();
        match list.is_empty() {
            true => {
                self.metadata_mut().remove("finalizers");
            }
            false => {
                self.metadata_mut().insert("finalizers", list);
            }
        }
    }

    /// The objects it belongs to, as they stand.
    pub fn owner_references(&self) -> &[Value] {
        let list = self.metadata().and_then(|metadata| metadata.get("ownerReferences")?.as_list());
        list.unwrap_or_default()
    }

    /// Who set which fields, as it stands.
    pub fn managed_fields(&self) -> &[Value] {
        let list = self.metadata().and_then(|metadata| metadata.get("managedFields")?.as_list());
        list.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gvk::GroupVersionKind;

    #[test]
    fn what_is_set_is_read_and_nothing_removes() {
        let mut pod = Object { kind: GroupVersionKind::of("", "v1", "Pod"), fields: Map::new() };
        assert_eq!((pod.name(), pod.deletion_timestamp()), ("", None));
        pod.set_name("a");
        pod.set_generation(2);
        let instant = Instant { seconds: 1_000_000_000, nanos: 0 };
        pod.set_deletion_timestamp(Some(instant));
        pod.set_finalizers(["x/y".to_owned()]);
        assert_eq!((pod.name(), pod.generation(), pod.deletion_timestamp()), ("a", 2, Some(instant)));
        assert_eq!(pod.finalizers().collect::<Vec<_>>(), ["x/y"]);
        pod.set_name("");
        pod.set_generation(0);
        pod.set_deletion_timestamp(None);
        pod.set_finalizers([]);
        assert!(pod.metadata().unwrap().is_empty());
    }
}
