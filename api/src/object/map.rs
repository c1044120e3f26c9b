//! A map from names to values, sorted by name: a vector, since objects are read more often than changed.
//!
//! Promises: iteration is in byte order of the names, which is also the order in which Go prints map keys; `get` is a
//! binary search; names of the schema's fields are borrowed from the table and cost no allocation.

use super::Value;
use crate::gvk::Name;

/// A sorted map.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map(Vec<(Name, Value)>);

impl Map {
    /// An empty one.
    pub const fn new() -> Map {
        Map(Vec::new())
    }

    /// From entries that are sorted and have distinct names.
    pub(crate) fn from_sorted(entries: Vec<(Name, Value)>) -> Map {
        debug_assert!(entries.is_sorted_by(|a, b| a.0 < b.0), "names are sorted and distinct");
        Map(entries)
    }

    /// From entries in the order in which they were given; the last one of a name counts.
    pub(crate) fn from_unsorted(mut entries: Vec<(Name, Value)>) -> Map {
        if !entries.is_sorted_by(|a, b| a.0 < b.0) {
            entries.reverse();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            entries.dedup_by(|next, kept| next.0 == kept.0);
        }
        Map(entries)
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(each, _)| each.as_ref().cmp(name))
    }

    /// The value of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.find(name).ok().map(|at| &self.0[at].1)
    }

    /// The value of that name, to change.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.find(name).ok().map(|at| &mut self.0[at].1)
    }

    /// The text of that name; `None` when it is absent or not text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// The value of that name, made if it is absent.
    pub fn entry(&mut self, name: impl Into<Name>) -> &mut Value {
        let name = name.into();
        let at = self.find(&name).unwrap_or_else(|at| {
            self.0.insert(at, (name, Value::Null));
            at
        });
        &mut self.0[at].1
    }

    /// The map of that name, made if there is none; what was there and was no map is replaced.
    pub fn map_entry(&mut self, name: impl Into<Name>) -> &mut Map {
        let value = self.entry(name);
        if !matches!(value, Value::Map(_)) {
            *value = Value::Map(Map::new());
        }
        match value {
            Value::Map(map) => map,
            _ => unreachable!("it was just made a map"),
        }
    }

    /// Sets a value and gives the former one.
    pub fn insert(&mut self, name: impl Into<Name>, value: impl Into<Value>) -> Option<Value> {
        let name = name.into();
        match self.find(&name) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, value.into())),
            Err(at) => {
                self.0.insert(at, (name, value.into()));
                None
            }
        }
    }

    /// Takes a value out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.find(name).ok().map(|at| self.0.remove(at).1)
    }

    /// Keeps what the question says yes to.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &mut Value) -> bool) {
        self.0.retain_mut(|(name, value)| keep(name, value));
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// The same, with values to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Value)> {
        self.0.iter_mut().map(|(name, value)| {
            let name: &Name = name;
            (name.as_ref(), value)
        })
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<N: Into<Name>, V: Into<Value>> FromIterator<(N, V)> for Map {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(entries: I) -> Map {
        Map::from_unsorted(entries.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl IntoIterator for Map {
    type Item = (Name, Value);
    type IntoIter = std::vec::IntoIter<(Name, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_sorted_and_the_last_of_a_name_counts() {
        let map: Map = [("b", 1i64), ("a", 2), ("b", 3)].into_iter().collect();
        assert_eq!(map.iter().collect::<Vec<_>>(), [("a", &Value::Int(2)), ("b", &Value::Int(3))]);
    }

    #[test]
    fn values_are_set_found_and_taken_by_name() {
        let mut map = Map::new();
        assert_eq!(map.insert("x", 1i64), None);
        assert_eq!(map.insert("x", 2i64), Some(Value::Int(1)));
        map.map_entry("m").insert("k", "v");
        assert_eq!(map.get("m").and_then(|m| m.as_map()?.text("k")), Some("v"));
        assert_eq!(map.remove("x"), Some(Value::Int(2)));
        assert_eq!(map.len(), 1);
    }
}
