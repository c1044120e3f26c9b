//! Transactions on lists: what each read and appended, and the order of the elements of each list.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::graph::{Edge, Graph};
use crate::check::evidence::{Evidence, Op};
use crate::history::{Answer, Relation, Request, Target, Txn};

/// What the keys of lists begin with.
const LIST: &str = "list/";

/// A transaction on lists.
pub(super) struct Transaction<'h> {
    /// Its place in the evidence.
    pub(super) op: usize,
    reads: Vec<(&'h str, Vec<&'h str>)>,
    /// Key, and what was added to it.
    appends: Vec<(&'h str, Vec<&'h str>)>,
    /// Whether it has certainly not been done.
    aborted: bool,
}

/// Something wrong that needs no graph.
pub(super) struct Anomaly {
    pub(super) op: usize,
    pub(super) others: Vec<usize>,
    pub(super) what: String,
}

/// All lists.
pub(super) struct Lists<'h> {
    pub(super) transactions: Vec<Transaction<'h>>,
    pub(super) anomalies: Vec<Anomaly>,
    /// Of each key, its elements in order.
    orders: BTreeMap<&'h str, Vec<&'h str>>,
    /// Who appended an element.
    writers: HashMap<(&'h str, &'h str), usize>,
}

pub(super) fn lists<'h>(evidence: &Evidence<'h>) -> Lists<'h> {
    let transactions: Vec<Transaction<'h>> =
        evidence.ops.iter().enumerate().filter_map(|(at, op)| transaction(at, op)).collect();
    let mut lists = Lists { transactions, anomalies: Vec::new(), orders: BTreeMap::new(), writers: HashMap::new() };
    for (at, transaction) in lists.transactions.iter().enumerate() {
        for (key, elements) in &transaction.appends {
            lists.writers.extend(elements.iter().map(|element| ((*key, *element), at)));
        }
    }
    lists.order();
    lists.aborted_and_intermediate();
    lists
}

impl<'h> Lists<'h> {
    /// Takes the longest list of each key for its order, and holds the others against it.
    fn order(&mut self) {
        let mut longest: BTreeMap<&str, (usize, &Vec<&str>)> = BTreeMap::new();
        for (at, transaction) in self.transactions.iter().enumerate() {
            for (key, list) in &transaction.reads {
                let known = longest.entry(key).or_insert((at, list));
                if list.len() > known.1.len() {
                    *known = (at, list);
                }
            }
        }
        for transaction in &self.transactions {
            for (key, list) in &transaction.reads {
                let (by, order) = longest[key];
                if order.get(..list.len()) != Some(list.as_slice()) {
                    let what = format!("incompatible order: {key:?} is read as {}, and as {}", tail(list), tail(order));
                    self.anomalies.push(Anomaly { op: transaction.op, others: vec![self.transactions[by].op], what });
                }
            }
        }
        self.orders = longest.into_iter().map(|(key, (_, order))| (key, order.clone())).collect();
        // An append that nobody has read stands at the end where its guard says so.
        for transaction in self.transactions.iter().filter(|transaction| !transaction.aborted) {
            for (key, elements) in &transaction.appends {
                let guard = transaction.reads.iter().find(|(read, _)| read == key);
                let order = self.orders.entry(key).or_default();
                if guard.is_some_and(|(_, list)| list == order) {
                    order.extend(elements);
                }
            }
        }
    }

    /// G1a: an element of a transaction that was not done is read. G1b: a part of what one transaction appended.
    fn aborted_and_intermediate(&mut self) {
        for transaction in &self.transactions {
            for (key, list) in &transaction.reads {
                for element in list {
                    match self.writers.get(&(*key, *element)) {
                        None => {
                            let what = format!("G1a: {key:?} has the element {element}, which nobody appended");
                            self.anomalies.push(Anomaly { op: transaction.op, others: Vec::new(), what });
                        }
                        Some(writer) if self.transactions[*writer].aborted => {
                            let what =
                                format!("G1a: {key:?} has the element {element} of a transaction that was not done");
                            self.anomalies.push(Anomaly {
                                op: transaction.op,
                                others: vec![self.transactions[*writer].op],
                                what,
                            });
                        }
                        Some(_) => {}
                    }
                }
                let writer = list.last().and_then(|last| self.writers.get(&(*key, *last)));
                let Some(writer) = writer.map(|writer| &self.transactions[*writer]) else { continue };
                let whole =
                    writer.appends.iter().find(|(of, _)| of == key).and_then(|(_, elements)| elements.last().copied());
                if whole != list.last().copied() && writer.op != transaction.op {
                    let what = format!(
                        "G1b: {key:?} ends with {}, in the middle of what one transaction appended",
                        tail(list)
                    );
                    self.anomalies.push(Anomaly { op: transaction.op, others: vec![writer.op], what });
                }
            }
        }
    }

    /// What has to come before what.
    pub(super) fn graph(&self, evidence: &Evidence<'_>) -> Graph {
        let mut graph = Graph::new(self.transactions.len());
        for (key, order) in &self.orders {
            for pair in order.windows(2) {
                if let (Some(first), Some(second)) =
                    (self.writers.get(&(*key, pair[0])), self.writers.get(&(*key, pair[1])))
                {
                    graph.edge(*first, *second, Edge::WriteWrite);
                }
            }
        }
        for (at, transaction) in self.transactions.iter().enumerate() {
            for (key, list) in &transaction.reads {
                if let Some(writer) = list.last().and_then(|last| self.writers.get(&(*key, *last))) {
                    graph.edge(*writer, at, Edge::WriteRead);
                }
                let next = self.orders.get(key).and_then(|order| order.get(list.len()));
                if let Some(writer) = next.and_then(|next| self.writers.get(&(*key, *next))) {
                    graph.edge(at, *writer, Edge::ReadWrite);
                }
            }
        }
        self.real_time(evidence, &mut graph);
        graph
    }

    /// An edge from what had returned to what was asked later, without those that follow from others.
    fn real_time(&self, evidence: &Evidence<'_>, graph: &mut Graph) {
        let mut moments: Vec<(u64, bool, usize)> = Vec::new();
        for (at, transaction) in self.transactions.iter().enumerate().filter(|(_, transaction)| !transaction.aborted) {
            let op = &evidence.ops[transaction.op];
            moments.push((op.invoked.at, false, at));
            moments.extend(op.ok().map(|(mark, _)| (mark.at, true, at)));
        }
        moments.sort_unstable();
        // Returned, and not yet known to be before another that has returned.
        let mut frontier: BTreeSet<usize> = BTreeSet::new();
        let mut before: HashMap<usize, Vec<usize>> = HashMap::new();
        for (_, returns, at) in moments {
            if returns {
                before.remove(&at).into_iter().flatten().for_each(|earlier| {
                    frontier.remove(&earlier);
                });
                frontier.insert(at);
            } else {
                frontier.iter().for_each(|earlier| graph.edge(*earlier, at, Edge::RealTime));
                before.insert(at, frontier.iter().copied().collect());
            }
        }
    }
}

/// What an operation did to lists; `None` when nothing.
fn transaction<'h>(at: usize, op: &Op<'h>) -> Option<Transaction<'h>> {
    let answer = op.ok().map(|(_, answered)| &answered.answer);
    let mut transaction =
        Transaction { op: at, reads: Vec::new(), appends: Vec::new(), aborted: op.refused().is_some() };
    match op.request {
        Request::Range(range)
            if range.revision == 0
                && !range.serializable
                && range.limit == 0
                && !range.keys_only
                && !range.count_only =>
        {
            read(op.request, answer?, &mut transaction.reads);
        }
        Request::Txn(txn) => of_txn(txn, answer, &mut transaction),
        _ => return None,
    }
    (!transaction.reads.is_empty() || !transaction.appends.is_empty()).then_some(transaction)
}

fn of_txn<'h>(txn: &'h Txn, answer: Option<&'h Answer>, into: &mut Transaction<'h>) {
    let told = if let Some(Answer::Txn(told)) = answer { Some(told) } else { None };
    let appends = !txn.success.iter().flat_map(Request::puts).any(|put| put.key.starts_with(LIST));
    let succeeded = told.is_none_or(|told| told.succeeded);
    if let Some(told) = told {
        let branch = if told.succeeded { &txn.success } else { &txn.failure };
        branch.iter().zip(&told.answers).for_each(|(op, answer)| read(op, answer, &mut into.reads));
    }
    if appends {
        return;
    }
    into.aborted |= !succeeded;
    for put in txn.success.iter().flat_map(Request::puts).filter(|put| put.key.starts_with(LIST)) {
        let list = elements(&put.value);
        let compare = txn.compares.iter().find(|compare| compare.key == put.key && compare.is == Relation::Equal);
        // A guard by value says where the appended part begins; one by revision leaves the last element.
        let kept = match compare.map(|compare| &compare.to) {
            Some(Target::Value(value)) => elements(value).len().min(list.len()),
            Some(Target::Create(0) | Target::Mod(0) | Target::Version(0)) => 0,
            _ => list.len().saturating_sub(1),
        };
        if compare.is_some() && told.is_some() && succeeded && !into.reads.iter().any(|(key, _)| *key == put.key) {
            into.reads.push((&put.key, list[..kept].to_vec()));
        }
        into.appends.push((&put.key, list[kept..].to_vec()));
    }
}

fn read<'h>(request: &'h Request, answer: &'h Answer, into: &mut Vec<(&'h str, Vec<&'h str>)>) {
    let (Request::Range(range), Answer::Range(told)) = (request, answer) else { return };
    into.extend(told.kvs.iter().filter(|kv| kv.key.starts_with(LIST)).map(|kv| (kv.key.as_str(), elements(&kv.value))));
    if range.end.is_none() && range.key.starts_with(LIST) && told.kvs.is_empty() {
        into.push((&range.key, Vec::new()));
    }
}

fn elements(value: &str) -> Vec<&str> {
    value.split(',').filter(|element| !element.is_empty()).collect()
}

/// The end of a list, for people.
fn tail(list: &[&str]) -> String {
    let from = list.len().saturating_sub(4);
    format!("[{}{}]", if from > 0 { "…," } else { "" }, list[from..].join(","))
}
