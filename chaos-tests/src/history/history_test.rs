//! Histories as files, and what makes one malformed.

use super::*;

fn header() -> Header {
    Header {
        schema: SCHEMA,
        seed: 7,
        target: "fairlead".into(),
        version: "0.1.0".into(),
        argv: vec!["chaos".into(), "run".into()],
        members: vec![1, 2, 3],
        limits: Limits::default(),
        plan: None,
    }
}

fn invoke(op: u64, client: u64) -> Event {
    let request = Request::Put(Put { key: "a".into(), value: format!("v{op}"), ..Put::default() });
    Event::Invoke(Invoke { op, client, member: 1, request })
}

fn back(op: u64, revision: i64) -> Event {
    let answer = Answer::Put(PutDone::default());
    Event::Return(Return { op, outcome: Outcome::Ok(Answered { revision, term: 1, answer }) })
}

fn unknown(op: u64) -> Event {
    Event::Return(Return { op, outcome: Outcome::Unknown("deadline".into()) })
}

/// One of each kind of event.
fn every_event() -> Vec<(u64, Event)> {
    let kv =
        KeyValue { key: "a".into(), value: "v1".into(), create_revision: 2, mod_revision: 2, version: 1, lease: 0 };
    let txn = Txn {
        compares: vec![Compare { key: "a".into(), is: Relation::Equal, to: Target::Mod(0) }],
        success: vec![Request::Put(Put { key: "a".into(), value: "v1".into(), lease: 7, previous: true })],
        failure: vec![Request::Range(Range { key: "a".into(), end: Some("b".into()), ..Range::default() })],
    };
    let watch = |step| Event::Watch(Watch { watch: 1, step });
    let events = vec![
        WatchEvent::Put { kv: kv.clone(), previous: None },
        WatchEvent::Delete { key: "a".into(), mod_revision: 3, previous: Some(kv.clone()) },
    ];
    let figures: Figures = [("delay_ms".to_owned(), 300)].into();
    let fault = |step| Event::Fault(Fault { id: 1, step });
    let member = |step| Event::Member(Member { id: 2, step });
    let answer = Answer::Txn(TxnDone {
        succeeded: false,
        answers: vec![Answer::Range(Ranged { kvs: vec![kv.clone()], more: false, count: 1 })],
    });
    let events: Vec<Event> = vec![
        Event::Phase(Phase::WarmUp),
        Event::Invoke(Invoke { op: 1, client: 1, member: 2, request: Request::Txn(txn.clone()) }),
        Event::Return(Return { op: 1, outcome: Outcome::Ok(Answered { revision: 2, term: 0, answer }) }),
        Event::Invoke(Invoke {
            op: 2,
            client: 1,
            member: 2,
            request: Request::Range(Range { key: "a".into(), revision: 1, ..Range::default() }),
        }),
        Event::Return(Return {
            op: 2,
            outcome: Outcome::Failed(Failure { code: Code::Compacted, message: "gone".into() }),
        }),
        invoke(3, 2),
        unknown(3),
        watch(WatchStep::Open(Open { client: 3, member: 2, key: "a".into(), ..Open::default() })),
        watch(WatchStep::Created(Created { revision: 1 })),
        watch(WatchStep::Events(Batch { revision: 3, fragment: false, events })),
        watch(WatchStep::Progress(Progress { revision: 3 })),
        watch(WatchStep::Canceled(Canceled { compact_revision: 9, reason: "compacted".into() })),
        watch(WatchStep::Closed(Closed { by: CloseCause::Client, reason: String::new() })),
        fault(FaultStep::Planned { kind: "F-56".into(), members: vec![1], figures: figures.clone() }),
        fault(FaultStep::Witnessed { figures }),
        fault(FaultStep::Missed { why: "no strace".into() }),
        member(MemberStep::Started),
        member(MemberStep::Ended { expected: true, status: "signal 9".into() }),
        Event::HashKv(HashKv { member: 1, revision: 3, compact_revision: -1, hash: 17 }),
        Event::Panic(Panic { member: 1, expected: false, text: "panicked at …".into() }),
        Event::Entry(Entry {
            member: 1,
            index: 4,
            term: 2,
            revision: Some(3),
            changes: vec![Change::Apply(Request::Txn(txn)), Change::Expire { lease: 7, term: 2 }],
        }),
    ];
    (0..).map(|at| at * 10).zip(events).collect()
}

#[test]
fn every_event_reads_as_it_was_written() {
    let written = History::from_events(header(), every_event()).unwrap();
    let mut file = Vec::new();
    written.write(&mut file).unwrap();
    let read = History::read(file.as_slice()).unwrap();
    assert_eq!(read, written);
    assert_eq!(read.line(3).unwrap().at, 10, "the header is line 1, and the first record line 2");
}

#[test]
fn a_line_that_does_not_fit_the_schema_is_refused_by_its_number() {
    let head = serde_json::to_string(&header()).unwrap();
    let fine = r#"{"at":1,"phase":"safety"}"#;
    let cases = [
        (format!("{head}\n{fine}\n{{\"at\":2,\"phase\":\"safety\",\"why\":1}}\n"), "line 3", "unknown field `why`"),
        (format!("{head}\n{{\"at\":2,\"pause\":{{}}}}\n"), "line 2", "unknown variant `pause`"),
        (format!("{head}\n{{\"phase\":\"safety\",\"at\":1}}\n"), "line 2", "begins with \"at\""),
        (
            format!(
                "{head}\n{{\"at\":2,\"hash-kv\":{{\"member\":1,\"revision\":1,\"compact_revision\":1,\"hash\":1,\"x\":0}}}}\n"
            ),
            "line 2",
            "unknown field `x`",
        ),
        (format!("{head}\n{fine}\n\n"), "line 3", "EOF"),
        (format!("{head}\n{fine}\n{{\"at\":2,\"pha"), "line 3", "cut off"),
        ("{\"schema\":99,\"colour\":1}\n".to_owned(), "schema 99", "check it with the release"),
        ("{\"at\":1}\n".to_owned(), "line 1", "schema"),
        (String::new(), "empty", "header"),
    ];
    for (file, place, why) in cases {
        let error = anyhow::Error::from(History::read(file.as_bytes()).unwrap_err());
        let said = format!("{error:#}");
        assert!(said.contains(place) && said.contains(why), "{said:?} does not name {place:?} and {why:?}");
    }
}

#[test]
fn a_history_that_contradicts_itself_is_refused() {
    let cases: [(Vec<Event>, &str); 6] = [
        (vec![back(1, 2)], "not invoked"),
        (vec![invoke(1, 1), back(1, 2), back(1, 3)], "returns twice"),
        (vec![invoke(1, 1), back(1, 2), invoke(1, 1)], "invoked twice"),
        (vec![invoke(1, 1), invoke(2, 1)], "while its operation 1 is open"),
        (vec![invoke(1, 1), unknown(1), invoke(2, 1)], "needs a new id"),
        (vec![Event::Watch(Watch { watch: 1, step: WatchStep::Created(Created::default()) })], "before it is opened"),
    ];
    for (events, why) in cases {
        let error = History::from_events(header(), (0..).zip(events).collect()).unwrap_err();
        assert!(error.what.contains(why), "{error}");
    }
}

#[test]
fn records_are_put_in_the_order_of_time() {
    let history = History::from_events(header(), vec![(20, back(1, 2)), (10, invoke(1, 1))]).unwrap();
    assert_eq!(history.records().iter().map(|record| (record.at, record.line)).collect::<Vec<_>>(), [(10, 3), (20, 2)]);
}

#[test]
fn long_values_are_kept_as_digests_that_tell_them_apart() {
    assert_eq!(text(b"short"), "short");
    let long = |byte: u8| text(&vec![byte; 5000]);
    assert_eq!(long(b'x'), long(b'x'));
    assert_ne!(long(b'x'), long(b'y'));
    assert!(long(b'x').len() < 64 && long(b'x').starts_with("#5000:"));
    assert_ne!(text(&[0xff, 1]), text(&[0xff, 2]), "what is no text is a digest too");
}

#[test]
fn a_record_above_the_bound_of_a_line_is_refused() {
    let mut writer = Writer::new(Vec::new(), &header()).unwrap();
    let text = "x".repeat(LINE_BYTES_MAX);
    let error = writer.write(1, &Event::Panic(Panic { member: 1, expected: false, text })).unwrap_err();
    assert!(matches!(error, WriteError::TooLong { bytes } if bytes > LINE_BYTES_MAX));
}
