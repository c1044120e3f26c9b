//! A graph of dependencies: its strongly connected parts (Tarjan, 1972), and the anomaly that a cycle in one is (Adya, 1999).

use std::collections::{HashMap, VecDeque};
use std::fmt;

/// Why one transaction comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Edge {
    /// It wrote what the other wrote over.
    WriteWrite,
    /// It wrote what the other read.
    WriteRead,
    /// It read what the other wrote over.
    ReadWrite,
    /// It had returned before the other was asked.
    RealTime,
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Edge::WriteWrite => "ww",
            Edge::WriteRead => "wr",
            Edge::ReadWrite => "rw",
            Edge::RealTime => "rt",
        })
    }
}

/// A cycle, and its name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cycle {
    /// G0, G1c, G-single or G2, with `-realtime` where it needs the order of time.
    pub(super) anomaly: String,
    pub(super) nodes: Vec<usize>,
    /// From each node to the next; the last leads to the first.
    pub(super) edges: Vec<Edge>,
}

/// The graph.
pub(super) struct Graph {
    out: Vec<Vec<(usize, Edge)>>,
}

impl Graph {
    pub(super) fn new(nodes: usize) -> Self {
        Graph { out: vec![Vec::new(); nodes] }
    }

    pub(super) fn edge(&mut self, from: usize, to: usize, edge: Edge) {
        if from != to {
            self.out[from].push((to, edge));
        }
    }

    /// One cycle of each part that has any, of the gravest kind that it has.
    pub(super) fn cycles(&self) -> Vec<Cycle> {
        let parts = self.parts();
        let mut part_of = vec![0; self.out.len()];
        for (number, part) in parts.iter().enumerate() {
            part.iter().for_each(|node| part_of[*node] = number);
        }
        parts.iter().filter(|part| part.len() > 1).filter_map(|part| self.gravest(part, &part_of)).collect()
    }

    fn gravest(&self, part: &[usize], part_of: &[usize]) -> Option<Cycle> {
        use Edge::{ReadWrite, RealTime, WriteRead, WriteWrite};
        // The first edge of a cycle, and what the way back may use.
        let kinds: [(&str, Edge, &[Edge]); 8] = [
            ("G0", WriteWrite, &[WriteWrite]),
            ("G1c", WriteRead, &[WriteWrite, WriteRead]),
            ("G-single", ReadWrite, &[WriteWrite, WriteRead]),
            ("G2", ReadWrite, &[WriteWrite, WriteRead, ReadWrite]),
            ("G0-realtime", WriteWrite, &[WriteWrite, RealTime]),
            ("G1c-realtime", WriteRead, &[WriteWrite, WriteRead, RealTime]),
            ("G-single-realtime", ReadWrite, &[WriteWrite, WriteRead, RealTime]),
            ("G2-realtime", ReadWrite, &[WriteWrite, WriteRead, ReadWrite, RealTime]),
        ];
        for (anomaly, first, back) in kinds {
            for from in part {
                for (to, edge) in &self.out[*from] {
                    if *edge == first
                        && part_of[*to] == part_of[*from]
                        && let Some((mut nodes, mut edges)) = self.way(*to, *from, back, part_of)
                    {
                        nodes.insert(0, *from);
                        nodes.pop();
                        edges.insert(0, *edge);
                        return Some(Cycle { anomaly: anomaly.to_owned(), nodes, edges });
                    }
                }
            }
        }
        None
    }

    /// The shortest way within a part, over edges of some kinds: its nodes, both ends included, and its edges.
    fn way(&self, from: usize, to: usize, over: &[Edge], part_of: &[usize]) -> Option<(Vec<usize>, Vec<Edge>)> {
        let mut came: HashMap<usize, (usize, Edge)> = HashMap::new();
        let mut queue = VecDeque::from([from]);
        while let Some(node) = queue.pop_front() {
            if node == to {
                let (mut nodes, mut edges, mut at) = (vec![to], Vec::new(), to);
                while at != from {
                    let (before, edge) = came[&at];
                    nodes.push(before);
                    edges.push(edge);
                    at = before;
                }
                nodes.reverse();
                edges.reverse();
                return Some((nodes, edges));
            }
            for (next, edge) in &self.out[node] {
                if over.contains(edge) && part_of[*next] == part_of[node] && *next != from && !came.contains_key(next) {
                    came.insert(*next, (node, *edge));
                    queue.push_back(*next);
                }
            }
        }
        None
    }

    /// The strongly connected parts. Tarjan's, with a stack of its own instead of recursion.
    fn parts(&self) -> Vec<Vec<usize>> {
        const UNSEEN: usize = usize::MAX;
        let nodes = self.out.len();
        let (mut index, mut low, mut on_stack) = (vec![UNSEEN; nodes], vec![0; nodes], vec![false; nodes]);
        let (mut next, mut stack, mut parts) = (0, Vec::new(), Vec::new());
        for root in 0..nodes {
            if index[root] != UNSEEN {
                continue;
            }
            let mut calls = vec![(root, 0)];
            while let Some((node, edge)) = calls.pop() {
                if edge == 0 {
                    index[node] = next;
                    low[node] = next;
                    next += 1;
                    stack.push(node);
                    on_stack[node] = true;
                }
                if let Some((to, _)) = self.out[node].get(edge).copied() {
                    calls.push((node, edge + 1));
                    if index[to] == UNSEEN {
                        calls.push((to, 0));
                    } else if on_stack[to] {
                        low[node] = low[node].min(index[to]);
                    }
                    continue;
                }
                if low[node] == index[node] {
                    let from = stack.iter().rposition(|other| *other == node).expect("a root is on the stack");
                    let part = stack.split_off(from);
                    part.iter().for_each(|node| on_stack[*node] = false);
                    parts.push(part);
                }
                if let Some((parent, _)) = calls.last() {
                    low[*parent] = low[*parent].min(low[node]);
                }
            }
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Edge::{ReadWrite, RealTime, WriteRead, WriteWrite};

    #[test]
    fn each_anomaly_has_its_name() {
        type Edges = &'static [(usize, usize, Edge)];
        let cases: [(&str, Edges); 8] = [
            ("", &[(0, 1, WriteWrite), (1, 2, WriteRead), (0, 2, RealTime)]),
            ("G0", &[(0, 1, WriteWrite), (1, 0, WriteWrite)]),
            ("G1c", &[(0, 1, WriteWrite), (1, 0, WriteRead)]),
            ("G-single", &[(0, 1, ReadWrite), (1, 2, WriteWrite), (2, 0, WriteRead)]),
            ("G2", &[(0, 1, ReadWrite), (1, 0, ReadWrite)]),
            ("G1c-realtime", &[(0, 1, WriteRead), (1, 0, RealTime)]),
            ("G-single-realtime", &[(0, 1, ReadWrite), (1, 0, RealTime)]),
            // Two cycles in one part: the graver is named.
            ("G0", &[(0, 1, WriteWrite), (1, 0, WriteWrite), (0, 2, ReadWrite), (2, 0, WriteRead)]),
        ];
        for (name, edges) in cases {
            let mut graph = Graph::new(3);
            edges.iter().for_each(|(from, to, edge)| graph.edge(*from, *to, *edge));
            let found: Vec<String> = graph.cycles().into_iter().map(|cycle| cycle.anomaly).collect();
            assert_eq!(found.join(" "), name);
        }
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let mut graph = Graph::new(200_000);
        (1..200_000).for_each(|node| graph.edge(node - 1, node, RealTime));
        assert_eq!(graph.cycles(), []);
        graph.edge(199_999, 199_998, ReadWrite);
        assert_eq!(graph.cycles()[0].nodes, [199_999, 199_998]);
    }
}
