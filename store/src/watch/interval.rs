//! Interval tree: which of many ranges have a key.
//!
//! A treap ordered by (first key, end), each node knowing the furthest end below it; finding the k ranges that have a key
//! among n visits O(k log n) nodes. Priorities are a hash of a counter, so the same calls build the same tree.
//! Pure. Source: Cormen et al., Introduction to Algorithms, interval trees; etcd `pkg/adt/interval_tree.go` has the role.

use std::cmp::Ordering;

use bytes::Bytes;

use super::range::End;

/// Values by range.
#[derive(Debug)]
pub(super) struct IntervalTree<V> {
    root: Link<V>,
    inserted: u64,
}

type Link<V> = Option<Box<Node<V>>>;

#[derive(Debug)]
struct Node<V> {
    first: Bytes,
    end: End,
    value: V,
    priority: u64,
    /// The greatest end in this subtree.
    furthest: End,
    left: Link<V>,
    right: Link<V>,
}

impl<V> Default for IntervalTree<V> {
    fn default() -> Self {
        IntervalTree { root: None, inserted: 0 }
    }
}

impl<V> IntervalTree<V> {
    /// The value of exactly this range.
    pub(super) fn get_mut(&mut self, first: &Bytes, end: &End) -> Option<&mut V> {
        let mut link = &mut self.root;
        while let Some(node) = link {
            match order(first, end, node) {
                Ordering::Equal => return Some(&mut node.value),
                Ordering::Less => link = &mut node.left,
                Ordering::Greater => link = &mut node.right,
            }
        }
        None
    }

    /// Adds a range that is not there yet.
    pub(super) fn insert(&mut self, first: Bytes, end: End, value: V) {
        self.inserted += 1;
        let priority = scatter(self.inserted);
        let node = Box::new(Node { furthest: end.clone(), first, end, value, priority, left: None, right: None });
        self.root = Some(insert(self.root.take(), node));
    }

    /// Removes exactly this range.
    pub(super) fn remove(&mut self, first: &Bytes, end: &End) -> Option<V> {
        let (root, removed) = remove(self.root.take(), first, end);
        self.root = root;
        removed
    }

    /// Hands every value to `visit`.
    pub(super) fn into_values(self, visit: &mut impl FnMut(V)) {
        let mut rest: Vec<Box<Node<V>>> = self.root.into_iter().collect();
        while let Some(node) = rest.pop() {
            let Node { value, left, right, .. } = *node;
            rest.extend([left, right].into_iter().flatten());
            visit(value);
        }
    }

    /// Calls `visit` with the value of each range that has `key`, in the order of first keys.
    pub(super) fn stab<'a>(&'a self, key: &[u8], visit: &mut impl FnMut(&'a V)) {
        stab(&self.root, key, visit);
    }
}

impl<V> Node<V> {
    fn refresh(&mut self) {
        let below = [&self.left, &self.right].into_iter().flatten().map(|child| &child.furthest);
        self.furthest = below.chain([&self.end]).max().expect("has at least its own end").clone();
    }
}

fn order<V>(first: &Bytes, end: &End, node: &Node<V>) -> Ordering {
    (first, end).cmp(&(&node.first, &node.end))
}

fn insert<V>(root: Link<V>, node: Box<Node<V>>) -> Box<Node<V>> {
    let Some(mut root) = root else { return node };
    if order(&node.first, &node.end, &root) == Ordering::Less {
        root.left = Some(insert(root.left.take(), node));
    } else {
        root.right = Some(insert(root.right.take(), node));
    }
    root.refresh();
    raise(root)
}

/// Rotates a child above `root` where its priority is higher.
fn raise<V>(mut root: Box<Node<V>>) -> Box<Node<V>> {
    let higher = |child: &Link<V>| child.as_ref().is_some_and(|child| child.priority > root.priority);
    if higher(&root.left) {
        let mut child = root.left.take().expect("just seen");
        root.left = child.right.take();
        root.refresh();
        child.right = Some(root);
        child.refresh();
        child
    } else if higher(&root.right) {
        let mut child = root.right.take().expect("just seen");
        root.right = child.left.take();
        root.refresh();
        child.left = Some(root);
        child.refresh();
        child
    } else {
        root
    }
}

fn remove<V>(root: Link<V>, first: &Bytes, end: &End) -> (Link<V>, Option<V>) {
    let Some(mut root) = root else { return (None, None) };
    let removed = match order(first, end, &root) {
        Ordering::Equal => {
            let Node { value, left, right, .. } = *root;
            return (join(left, right), Some(value));
        }
        Ordering::Less => {
            let (left, removed) = remove(root.left.take(), first, end);
            root.left = left;
            removed
        }
        Ordering::Greater => {
            let (right, removed) = remove(root.right.take(), first, end);
            root.right = right;
            removed
        }
    };
    root.refresh();
    (Some(root), removed)
}

/// One tree of two, where every range of `left` sorts before every one of `right`.
fn join<V>(left: Link<V>, right: Link<V>) -> Link<V> {
    match (left, right) {
        (None, one) | (one, None) => one,
        (Some(mut left), Some(mut right)) => Some(if left.priority > right.priority {
            left.right = join(left.right.take(), Some(right));
            left.refresh();
            left
        } else {
            right.left = join(Some(left), right.left.take());
            right.refresh();
            right
        }),
    }
}

fn stab<'a, V>(link: &'a Link<V>, key: &[u8], visit: &mut impl FnMut(&'a V)) {
    let Some(node) = link else { return };
    if !node.furthest.is_after(key) {
        return;
    }
    stab(&node.left, key, visit);
    if &node.first[..] <= key {
        if node.end.is_after(key) {
            visit(&node.value);
        }
        stab(&node.right, key, visit);
    }
}

/// The finaliser of splitmix64: neighbours become far apart.
fn scatter(n: u64) -> u64 {
    let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    fn key(rng: &mut StdRng) -> Bytes {
        let length = rng.random_range(1..4);
        (0..length).map(|_| rng.random_range(b'a'..b'e')).collect::<Vec<_>>().into()
    }

    fn depth<V>(link: &Link<V>) -> usize {
        link.as_ref().map_or(0, |node| 1 + depth(&node.left).max(depth(&node.right)))
    }

    #[test]
    fn it_finds_what_a_scan_of_all_ranges_finds() {
        for seed in 0..40 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut tree = IntervalTree::default();
            let mut model: BTreeMap<(Bytes, End), u32> = BTreeMap::new();
            for value in 0..400 {
                let first = key(&mut rng);
                let end = if rng.random_bool(0.1) { End::Open } else { End::At(key(&mut rng)) };
                if rng.random_bool(0.4) {
                    assert_eq!(tree.remove(&first, &end), model.remove(&(first, end)), "seed {seed}");
                } else if let Some(old) = tree.get_mut(&first, &end) {
                    *old = value;
                    model.insert((first, end), value);
                } else {
                    tree.insert(first.clone(), end.clone(), value);
                    assert_eq!(model.insert((first, end), value), None);
                }
                let probe = key(&mut rng);
                let mut found = Vec::new();
                tree.stab(&probe, &mut |value| found.push(*value));
                let has = |(first, end): &&(Bytes, End)| *first <= probe && end.is_after(&probe);
                let expected: Vec<u32> = model.keys().filter(has).map(|range| model[range]).collect();
                assert_eq!(found, expected, "seed {seed}");
            }
        }
    }

    #[test]
    fn ranges_in_sorted_order_leave_it_shallow() {
        let mut tree = IntervalTree::default();
        for n in 0u32..10_000 {
            tree.insert(format!("{n:08}").into(), End::At(format!("{n:08}~").into()), n);
        }
        assert!(depth(&tree.root) < 64, "depth {}", depth(&tree.root));
    }
}
