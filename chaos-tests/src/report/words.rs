//! A record of a history in words, a line each: for people who have not learned the form by heart.
//!
//! Keys and values stand in quotes with their control characters escaped. Long lists are cut ([`LISTED_MAX`]); the record
//! itself is on its line of the file.

use crate::fault::NAMES;
use crate::history::{
    Answer, Change, Compare, Event, Fault, FaultStep, Figures, KeyValue, MemberStep, Outcome, Phase, Put, Range,
    Record, Relation, Request, Target, Watch, WatchEvent, WatchStep,
};

/// Keys, events or changes of one record that are listed.
const LISTED_MAX: usize = 6;

/// A fault's name, by its id in the catalogue; the id where it has none.
pub(super) fn fault_name(kind: &str) -> &str {
    NAMES.iter().find(|(id, _)| *id == kind).map_or(kind, |(_, name)| name)
}

/// A phase's name.
pub(super) fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::WarmUp => "warm-up",
        Phase::Safety => "safety",
        Phase::Heal => "heal",
        Phase::Liveness => "liveness",
        Phase::End => "end",
    }
}

/// A record, who did or saw it among the words.
pub(crate) fn record(record: &Record) -> String {
    match &record.event {
        Event::Phase(phase) => format!("phase {} begins", phase_name(*phase)),
        Event::Invoke(it) => {
            format!("client {} asks member {} (operation {}): {}", it.client, it.member, it.op, request(&it.request))
        }
        Event::Return(it) => format!("operation {} {}", it.op, outcome(&it.outcome)),
        Event::Watch(it) => watch(it),
        Event::Fault(it) => fault(it),
        Event::Member(it) => format!("member {} {}", it.id, member(&it.step)),
        Event::HashKv(it) => format!(
            "member {} has hash {:08x} at revision {}, compacted at {}",
            it.member, it.hash, it.revision, it.compact_revision
        ),
        Event::Panic(it) => format!("member {} panics: {}", it.member, it.text),
        Event::Doubt(why) => format!("the harness: {why}"),
        Event::Entry(it) => {
            let at = it.revision.map(|revision| format!(", revision {revision}")).unwrap_or_default();
            let changes = listed(&it.changes, change);
            format!("member {} has in its log at index {}, term {}{at}: {changes}", it.member, it.index, it.term)
        }
    }
}

/// A request.
pub(super) fn request(request: &Request) -> String {
    match request {
        Request::Range(it) => range(it),
        Request::Put(it) => put(it),
        Request::Delete(it) => format!("delete {}", span(&it.key, it.end.as_deref())),
        Request::Txn(it) => {
            let condition = it.compares.iter().map(compare).collect::<Vec<_>>().join(" and ");
            let then = listed(&it.success, self::request);
            match (condition.is_empty(), it.failure.is_empty()) {
                (true, _) => format!("txn: {then}"),
                (false, true) => format!("txn: if {condition} then {then}"),
                (false, false) => {
                    format!("txn: if {condition} then {then} else {}", listed(&it.failure, self::request))
                }
            }
        }
        Request::Compact(it) => format!("compact to revision {}", it.revision),
        Request::Grant(it) => format!("grant lease {} for {} s", it.lease, it.ttl),
        Request::Revoke(it) => format!("revoke lease {}", it.lease),
        Request::KeepAlive(it) => format!("renew lease {}", it.lease),
        Request::TimeToLive(it) => format!("what is left of lease {}", it.lease),
        Request::Lock(it) => format!("lock {:?} under lease {}", it.name, it.lease),
        Request::Unlock(it) => format!("unlock {:?}", it.key),
        Request::Campaign(it) => format!("campaign for {:?} under lease {}", it.name, it.lease),
        Request::Resign(it) => format!("resign {:?}", it.key),
    }
}

fn range(it: &Range) -> String {
    let mut words = format!("get {}", span(&it.key, it.end.as_deref()));
    if it.revision != 0 {
        words.push_str(&format!(" at revision {}", it.revision));
    }
    if it.limit != 0 {
        words.push_str(&format!(", at most {}", it.limit));
    }
    for (is, word) in
        [(it.serializable, ", serializable"), (it.keys_only, ", keys only"), (it.count_only, ", count only")]
    {
        if is {
            words.push_str(word);
        }
    }
    words
}

fn put(it: &Put) -> String {
    let lease = if it.lease == 0 { String::new() } else { format!(" with lease {}", it.lease) };
    format!("put {:?} = {:?}{lease}", it.key, it.value)
}

fn span(key: &str, end: Option<&str>) -> String {
    match end {
        None => format!("{key:?}"),
        Some("\0") => format!("everything from {key:?}"),
        Some(end) => format!("[{key:?}, {end:?})"),
    }
}

fn compare(it: &Compare) -> String {
    let is = match it.is {
        Relation::Equal => "=",
        Relation::Greater => ">",
        Relation::Less => "<",
        Relation::NotEqual => "≠",
    };
    let (of, to) = match &it.to {
        Target::Version(n) => ("version", n.to_string()),
        Target::Create(n) => ("create revision", n.to_string()),
        Target::Mod(n) => ("mod revision", n.to_string()),
        Target::Value(value) => ("value", format!("{value:?}")),
        Target::Lease(n) => ("lease", n.to_string()),
    };
    format!("{of} of {:?} {is} {to}", it.key)
}

/// How an operation ended.
pub(super) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ok(it) => format!("is answered at revision {}: {}", it.revision, answer(&it.answer)),
        Outcome::Failed(it) => format!("is refused ({:?}): {}", it.code, it.message),
        Outcome::Unknown(why) => format!("ends unknown: {why}"),
    }
}

fn answer(it: &Answer) -> String {
    match it {
        Answer::Range(it) if it.kvs.is_empty() => format!("no keys listed, {} there", it.count),
        Answer::Range(it) => listed(&it.kvs, key_value),
        Answer::Put(it) => it.previous.as_ref().map_or("done".to_owned(), |kv| format!("done, was {}", key_value(kv))),
        Answer::Delete(it) => format!("{} deleted", it.deleted),
        Answer::Txn(it) => {
            let branch = if it.succeeded { "then" } else { "else" };
            format!("took the {branch} branch: {}", listed(&it.answers, answer))
        }
        Answer::Done => "done".to_owned(),
        Answer::Granted(it) => format!("granted for {} s", it.ttl),
        Answer::KeptAlive(it) => format!("{} s from now", it.ttl),
        Answer::TimeToLive(it) => format!("{} of {} s left", it.remaining, it.granted),
        Answer::Held(it) => format!("held as {:?} with token {}", it.key, it.token),
    }
}

fn key_value(kv: &KeyValue) -> String {
    format!(
        "{:?} = {:?} (created {}, mod {}, version {})",
        kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version
    )
}

fn watch(it: &Watch) -> String {
    let what = match &it.step {
        WatchStep::Open(open) => {
            let from = if open.from == 0 { "now".to_owned() } else { format!("revision {}", open.from) };
            let of = span(&open.key, open.end.as_deref());
            let goes_on = open.resumes.map(|other| format!(", going on for watch {other}")).unwrap_or_default();
            format!("of {of} is asked of member {} by client {}, from {from}{goes_on}", open.member, open.client)
        }
        WatchStep::Created(it) => format!("is created at revision {}", it.revision),
        WatchStep::Events(it) => format!("delivers {}", listed(&it.events, watch_event)),
        WatchStep::Progress(it) => format!("says that revision {} is reached", it.revision),
        WatchStep::Canceled(it) => format!("is cancelled: {:?}, compacted at {}", it.reason, it.compact_revision),
        WatchStep::Closed(it) => format!("is closed by the {}: {}", cause(it.by), it.reason),
    };
    format!("watch {} {what}", it.watch)
}

fn cause(by: crate::history::CloseCause) -> &'static str {
    match by {
        crate::history::CloseCause::Client => "client",
        crate::history::CloseCause::Server => "server",
        crate::history::CloseCause::Connection => "connection",
    }
}

fn watch_event(event: &WatchEvent) -> String {
    match event {
        WatchEvent::Put { kv, .. } => format!("put {}", key_value(kv)),
        WatchEvent::Delete { key, mod_revision, .. } => format!("delete {key:?} at {mod_revision}"),
    }
}

fn fault(it: &Fault) -> String {
    let what = match &it.step {
        FaultStep::Planned { kind, figures, .. } => {
            format!("({kind}, {}) is planned{}", fault_name(kind), tail(figures))
        }
        FaultStep::Applied { members, figures } => {
            let on = if members.is_empty() { String::new() } else { format!(" on {}", self::members(members)) };
            format!("is in force{on}{}", tail(figures))
        }
        FaultStep::Witnessed { figures } => format!("was seen to have an effect{}", tail(figures)),
        FaultStep::Missed { why } => format!("was missed: {why}"),
        FaultStep::Healed { figures } => format!("is undone{}", tail(figures)),
    };
    format!("fault {} {what}", it.id)
}

/// Members by their numbers.
pub(super) fn members(numbers: &[u64]) -> String {
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    format!("{} {}", if numbers.len() == 1 { "member" } else { "members" }, numbers.join(", "))
}

/// Figures with their names as they stand in the history.
pub(super) fn figures(figures: &Figures) -> String {
    figures.iter().map(|(name, value)| format!("{} {value}", name.replace('_', " "))).collect::<Vec<_>>().join(", ")
}

fn tail(figures: &Figures) -> String {
    if figures.is_empty() { String::new() } else { format!(": {}", self::figures(figures)) }
}

fn member(step: &MemberStep) -> String {
    match step {
        MemberStep::Started => "is started".to_owned(),
        MemberStep::Ready => "serves".to_owned(),
        MemberStep::Ended { expected: true, status } => format!("has ended as it was told to: {status}"),
        MemberStep::Ended { expected: false, status } => format!("has ended by itself: {status}"),
        MemberStep::Leader { term } => format!("leads in term {term}"),
        MemberStep::Installed { snapshots } => format!("has installed {snapshots} snapshots since its start"),
        MemberStep::Status { applied, revision, term } => {
            format!("says: applied index {applied}, revision {revision}, term {term}")
        }
    }
}

fn change(it: &Change) -> String {
    match it {
        Change::Apply(it) => request(it),
        Change::Expire { lease, term } => format!("lease {lease} is over, says the leader of term {term}"),
        Change::Refused(it) => format!("refused: {}", request(it)),
        Change::Other(what) => what.clone(),
    }
}

fn listed<T>(items: &[T], words: impl Fn(&T) -> String) -> String {
    if items.is_empty() {
        return "nothing".to_owned();
    }
    let mut all: Vec<String> = items.iter().take(LISTED_MAX).map(words).collect();
    if items.len() > LISTED_MAX {
        all.push(format!("and {} more", items.len() - LISTED_MAX));
    }
    all.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Txn;

    #[test]
    fn a_transaction_reads_as_a_sentence_and_control_characters_are_escaped() {
        let put = Request::Put(Put { key: "a".to_owned(), value: "\u{0}<1>".to_owned(), ..Put::default() });
        let compares = vec![Compare { key: "a".to_owned(), is: Relation::Greater, to: Target::Mod(7) }];
        let txn = Request::Txn(Txn { compares, success: vec![put], failure: Vec::new() });
        assert_eq!(request(&txn), r#"txn: if mod revision of "a" > 7 then put "a" = "\0<1>""#);
        let all = Request::Range(Range { key: "\0".to_owned(), end: Some("\0".to_owned()), ..Range::default() });
        assert_eq!(request(&all), r#"get everything from "\0""#);
    }

    #[test]
    fn a_long_answer_is_cut_and_says_so() {
        let many = vec![Request::Range(Range::default()); LISTED_MAX + 3];
        let words = request(&Request::Txn(Txn { success: many, ..Txn::default() }));
        assert!(words.ends_with("; and 3 more"), "{words}");
    }
}
