//! I-01 by cycles: transactions append to lists and read them; what each must come before is a graph without a cycle.
//!
//! After Elle (Kingsbury and Alvaro, VLDB 2020). A list is a key `list/…` whose value is its elements, separated by commas,
//! each unique; an append is a transaction that puts the list with an element more, guarded by a compare on what it read.
//! Because a list tells its history, the order of the writes is read off the values: the longest list of a key is that
//! order, and every other has to be a beginning of it. Trusts no revision.

mod graph;
mod lists;

use super::evidence::Evidence;
use super::verdict::{Findings, Verdict};

pub(super) fn check(evidence: &Evidence<'_>) -> Verdict {
    let mut findings = Findings::default();
    let lists = lists::lists(evidence);
    lists.transactions.iter().for_each(|_| findings.judged());
    for anomaly in &lists.anomalies {
        let op = &evidence.ops[anomaly.op];
        let others: Vec<u32> = anomaly
            .others
            .iter()
            .flat_map(|at| [evidence.ops[*at].invoked.line, evidence.ops[*at].shown_at().line])
            .collect();
        findings.broken(op.shown_at(), &others, || anomaly.what.clone());
    }
    let graph = lists.graph(evidence);
    for cycle in graph.cycles() {
        let ops: Vec<_> = cycle.nodes.iter().map(|node| &evidence.ops[lists.transactions[*node].op]).collect();
        let last = ops.iter().map(|op| op.shown_at()).max().expect("a cycle has nodes");
        let lines: Vec<u32> = ops.iter().flat_map(|op| [op.invoked.line, op.shown_at().line]).collect();
        findings.broken(last, &lines, || {
            let steps: Vec<String> = cycle
                .nodes
                .iter()
                .zip(&cycle.edges)
                .map(|(node, edge)| format!("{} —{edge}→", evidence.ops[lists.transactions[*node].op].invoked.line))
                .collect();
            format!(
                "{}: {} {} (lines of invocations)",
                cycle.anomaly,
                steps.join(" "),
                evidence.ops[lists.transactions[cycle.nodes[0]].op].invoked.line
            )
        });
    }
    findings.verdict()
}
