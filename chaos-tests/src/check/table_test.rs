//! Small histories by hand: each bad one differs from a good one in one fact.

use super::*;
use crate::history::*;

/// A history under construction: a step of time for each record.
struct Script {
    events: Vec<(u64, Event)>,
    next_op: u64,
}

fn script() -> Script {
    Script { events: Vec::new(), next_op: 1 }
}

fn put(key: &str, value: &str) -> Request {
    Request::Put(Put { key: key.into(), value: value.into(), ..Put::default() })
}

fn get(key: &str) -> Request {
    Request::Range(Range { key: key.into(), ..Range::default() })
}

fn delete(key: &str) -> Request {
    Request::Delete(Delete { key: key.into(), ..Delete::default() })
}

fn kv(key: &str, value: &str, create: i64, modified: i64, version: i64) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: value.into(),
        create_revision: create,
        mod_revision: modified,
        version,
        lease: 0,
    }
}

fn done() -> Answer {
    Answer::Put(PutDone::default())
}

fn shows(kvs: &[KeyValue]) -> Answer {
    Answer::Range(Ranged { kvs: kvs.to_vec(), more: false, count: i64::try_from(kvs.len()).unwrap() })
}

impl Script {
    fn push(&mut self, event: Event) {
        let at = 10 * (self.events.len() as u64 + 1);
        self.events.push((at, event));
    }

    fn ask(&mut self, request: Request) -> u64 {
        let op = self.next_op;
        self.next_op += 1;
        self.push(Event::Invoke(Invoke { op, client: op, member: 1, request }));
        op
    }

    fn told(&mut self, op: u64, revision: i64, answer: Answer) {
        self.push(Event::Return(Return { op, outcome: Outcome::Ok(Answered { revision, term: 1, answer }) }));
    }

    /// An operation by itself.
    fn op(mut self, request: Request, revision: i64, answer: Answer) -> Self {
        let op = self.ask(request);
        self.told(op, revision, answer);
        self
    }

    /// An operation nobody is told of.
    fn unknown(mut self, request: Request) -> Self {
        let op = self.ask(request);
        self.push(Event::Return(Return { op, outcome: Outcome::Unknown("deadline".into()) }));
        self
    }

    /// Two operations that overlap.
    fn both(mut self, first: (Request, i64, Answer), second: (Request, i64, Answer)) -> Self {
        let (a, b) = (self.ask(first.0), self.ask(second.0));
        self.told(b, second.1, second.2);
        self.told(a, first.1, first.2);
        self
    }

    /// The committed log of a member.
    fn log(mut self, changes: &[Request]) -> Self {
        for (index, change) in (1..).zip(changes) {
            self.push(Event::Entry(Entry {
                member: 1,
                index,
                term: 1,
                revision: None,
                changes: vec![Change::Apply(change.clone())],
            }));
        }
        self
    }

    fn history(self) -> History {
        let header = Header {
            schema: SCHEMA,
            seed: 0,
            target: "hand".into(),
            version: "0".into(),
            argv: vec![],
            members: vec![1],
            limits: Limits::default(),
            plan: None,
        };
        History::from_events(header, self.events).unwrap()
    }

    fn verdict(self, checker: &str) -> Verdict {
        let judged = judge(&self.history());
        judged.into_iter().find(|judged| judged.checker == checker).expect("there is such a checker").verdict
    }
}

/// (what, history, checker, a part of the explanation; none for valid)
type Case = (&'static str, Script, &'static str, Option<&'static str>);

fn hold(cases: Vec<Case>) {
    for (name, script, checker, wrong) in cases {
        let verdict = script.verdict(checker);
        match wrong {
            None => assert!(verdict.is_valid(), "{name}: {verdict}"),
            Some(part) => assert!(
                verdict.violation().is_some_and(|it| it.explanation.contains(part)),
                "{name}: {verdict}, not {part:?}"
            ),
        }
    }
}

#[test]
fn revision_order_tells_real_time_and_replay() {
    let one = || script().op(put("a", "1"), 2, done());
    hold(vec![
        ("a read after", one().op(get("a"), 2, shows(&[kv("a", "1", 2, 2, 1)])), "revision order", None),
        ("a stale read", one().op(get("a"), 1, shows(&[])), "revision order", Some("2 had been answered before")),
        (
            "a wrong value",
            one().op(get("a"), 2, shows(&[kv("a", "9", 2, 2, 1)])),
            "revision order",
            Some("there is \"a\" = \"1\""),
        ),
        ("a lost key", one().op(get("a"), 2, shows(&[])), "revision order", Some("it has no \"a\"")),
        (
            "overlapping, either order",
            script().both((put("a", "1"), 3, done()), (put("a", "2"), 2, done())).op(
                get("a"),
                3,
                shows(&[kv("a", "1", 2, 3, 2)]),
            ),
            "revision order",
            None,
        ),
        (
            "the order the revisions give",
            script().both((put("a", "1"), 3, done()), (put("a", "2"), 2, done())).op(
                get("a"),
                3,
                shows(&[kv("a", "2", 2, 3, 2)]),
            ),
            "revision order",
            Some("at revision 2 and at 3"),
        ),
        (
            "a delete of nothing that was something",
            one().op(delete("a"), 2, Answer::Delete(Deleted::default())),
            "revision order",
            Some("something to change"),
        ),
        (
            "one revision for two",
            script().op(put("a", "1"), 2, done()).op(put("a", "2"), 2, done()),
            "revisions",
            Some("at revision 2"),
        ),
    ]);
}

#[test]
fn the_log_settles_what_nobody_was_told() {
    let gone = Answer::Delete(Deleted { deleted: 1, previous: vec![] });
    let asked = || script().op(put("a", "1"), 2, done()).unknown(put("a", "2"));
    let never = [put("a", "1")];
    let at_three = [put("a", "1"), put("a", "2")];
    let twice = [put("a", "1"), put("a", "2"), put("a", "2")];
    let first = shows(&[kv("a", "1", 2, 2, 1)]);
    let second = shows(&[kv("a", "2", 2, 3, 2)]);
    hold(vec![
        ("it never was", asked().op(get("a"), 2, first.clone()).log(&never), "revision order", None),
        ("it was, and is seen", asked().op(get("a"), 3, second.clone()).log(&at_three), "revision order", None),
        (
            "it is seen, but never was",
            asked().op(get("a"), 3, second.clone()).log(&never),
            "revision order",
            Some("= \"2\""),
        ),
        ("it was, and is not seen", asked().op(get("a"), 3, first).log(&at_three), "revision order", Some("= \"1\"")),
        (
            "it was twice",
            asked().op(get("a"), 3, second.clone()).log(&twice),
            "unknown once",
            Some("once more at revision 4"),
        ),
        (
            "before its invocation it cannot have been",
            script().op(put("a", "1"), 3, done()).unknown(put("b", "2")).log(&[put("b", "2"), put("a", "1")]),
            "revision order",
            Some("no client can have asked"),
        ),
        (
            "an unknown delete was",
            script()
                .op(put("a", "1"), 2, done())
                .unknown(delete("a"))
                .op(get("a"), 3, shows(&[]))
                .log(&[put("a", "1"), delete("a")]),
            "revision order",
            None,
        ),
        (
            "a deleted key is deleted",
            script()
                .op(put("a", "1"), 2, done())
                .op(delete("a"), 3, gone)
                .op(get("a"), 3, shows(&[]))
                .log(&[put("a", "1"), delete("a")]),
            "revision order",
            None,
        ),
        (
            "an acknowledged put is not in the log",
            asked().log(&[put("a", "2")]),
            "durable",
            Some("acknowledged at revision 2"),
        ),
        (
            "a change that nobody asked for",
            asked().log(&[put("a", "1"), put("c", "9")]),
            "revision order",
            Some("no client can have asked"),
        ),
    ]);
}

#[test]
fn without_a_log_a_gap_explains_a_delete_but_no_step_back() {
    let asked = || script().op(put("a", "1"), 2, done()).unknown(delete("a")).op(put("b", "2"), 4, done());
    hold(vec![
        ("the delete may have been", asked().op(get("a"), 4, shows(&[])), "key versions", None),
        (
            "a value seen at two revisions",
            script().unknown(put("a", "1")).op(get("a"), 2, shows(&[kv("a", "1", 2, 2, 1)])).op(
                get("a"),
                3,
                shows(&[kv("a", "1", 2, 3, 2)]),
            ),
            "unknown once",
            Some("at revision 2 and at 3"),
        ),
        (
            "a value that nobody put",
            script().op(put("a", "1"), 2, done()).op(get("a"), 3, shows(&[kv("a", "7", 2, 3, 2)])),
            "revision order",
            Some("no client asked"),
        ),
    ]);
    let open = asked().op(get("a"), 4, shows(&[])).verdict("revision order");
    assert!(matches!(open, Verdict::Unknown { .. }), "one of three answers hangs on the delete: {open}");
}

#[test]
fn values_alone_tell_a_stale_read_with_a_lying_revision() {
    let swap = |old: &str, new: &str| {
        let to = if old.is_empty() { Target::Create(0) } else { Target::Value(old.into()) };
        Request::Txn(Txn {
            compares: vec![Compare { key: "a".into(), is: Relation::Equal, to }],
            success: vec![put("a", new)],
            failure: vec![],
        })
    };
    let won = Answer::Txn(TxnDone { succeeded: true, answers: vec![done()] });
    let lost = Answer::Txn(TxnDone::default());
    let two = || script().op(put("a", "1"), 2, done()).op(put("a", "2"), 3, done());
    hold(vec![
        ("the last value", two().op(get("a"), 3, shows(&[kv("a", "2", 2, 3, 2)])), "values", None),
        (
            "an older one under the newest revision",
            two().op(get("a"), 3, shows(&[kv("a", "1", 2, 3, 2)])),
            "values",
            Some("no order"),
        ),
        (
            "one of two swaps wins",
            script().op(swap("", "1"), 2, won.clone()).op(swap("", "2"), 2, lost),
            "values",
            None,
        ),
        (
            "both win",
            script().op(swap("", "1"), 2, won.clone()).op(swap("", "2"), 3, won.clone()),
            "values",
            Some("no order"),
        ),
        ("a chain of swaps", script().op(swap("", "1"), 2, won.clone()).op(swap("1", "2"), 3, won), "values", None),
    ]);
}

#[test]
fn lists_name_the_anomaly() {
    let append = |key: &str, before: &str, after: &str| {
        let to = if before.is_empty() { Target::Create(0) } else { Target::Value(before.into()) };
        Request::Txn(Txn {
            compares: vec![Compare { key: key.into(), is: Relation::Equal, to }],
            success: vec![put(key, after)],
            failure: vec![],
        })
    };
    let won = || Answer::Txn(TxnDone { succeeded: true, answers: vec![done()] });
    let lost = || Answer::Txn(TxnDone::default());
    let list = |value: &str| shows(&[kv("list/a", value, 2, 3, 2)]);
    let both = |a: &str, b: &str| {
        shows(
            &[kv("list/a", a, 2, 2, 1), kv("list/b", b, 2, 2, 1)]
                .into_iter()
                .filter(|kv| !kv.value.is_empty())
                .collect::<Vec<_>>(),
        )
    };
    let reads = || Request::Txn(Txn { compares: vec![], success: vec![get("list/a"), get("list/b")], failure: vec![] });
    let read = |a: &str, b: &str| {
        let Answer::Range(all) = both(a, b) else { unreachable!("shows a range") };
        let of = |key: &str| shows(&all.kvs.iter().filter(|kv| kv.key == key).cloned().collect::<Vec<_>>());
        Answer::Txn(TxnDone { succeeded: true, answers: vec![of("list/a"), of("list/b")] })
    };
    let start = || script().op(append("list/a", "", "1"), 2, won());
    hold(vec![
        (
            "appends one after another",
            start().op(append("list/a", "1", "1,2"), 3, won()).op(get("list/a"), 3, list("1,2")),
            "cycles",
            None,
        ),
        (
            "a stale read",
            start().op(append("list/a", "1", "1,2"), 3, won()).op(get("list/a"), 3, list("1")).op(
                get("list/a"),
                3,
                list("1,2"),
            ),
            "cycles",
            Some("G-single-realtime"),
        ),
        (
            "two lists that fork",
            start().op(get("list/a"), 3, list("1,2")).op(get("list/a"), 3, list("1,3")),
            "cycles",
            Some("G1a"),
        ),
        (
            "an element of a lost append",
            start().op(append("list/a", "9", "9,5"), 2, lost()).op(get("list/a"), 3, list("1,5")),
            "cycles",
            Some("G1a"),
        ),
        (
            "a part of one append",
            start().op(append("list/a", "1", "1,2,3"), 3, won()).op(get("list/a"), 3, list("1,2")),
            "cycles",
            Some("G1b"),
        ),
        (
            "two readers that see two writers in two orders",
            script()
                .both((append("list/a", "", "1"), 2, won()), (append("list/b", "", "2"), 3, won()))
                .both((reads(), 3, read("1", "")), (reads(), 3, read("", "2"))),
            "cycles",
            Some("G"),
        ),
    ]);
}
