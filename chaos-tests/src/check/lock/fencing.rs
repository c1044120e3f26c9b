//! I-34: a fenced resource accepts no lower token after a higher one, and a token is the create revision of its owner key.
//!
//! A fenced resource is a key `fenced/…` whose values begin with the writer's token, `<token>:…`; it is written by a
//! transaction that compares the owner key's create revision with the token. In the order of revisions the tokens never
//! fall. When a lock is told to be held its owner key is there, and no other key of that name is older. The client's own
//! word for who holds is not judged: without the token nothing is promised ([`super::overlap`]).

use std::collections::BTreeMap;

use super::holdings;
use crate::check::evidence::{Evidence, Fate, Mark};
use crate::check::verdict::{Findings, Verdict};

/// What the keys of fenced resources begin with.
const FENCED: &str = "fenced/";

pub(crate) fn check(evidence: &Evidence<'_>) -> Verdict {
    let mut findings = Findings::default();
    tokens(&mut findings, evidence);
    owners(&mut findings, evidence);
    findings.verdict()
}

fn tokens(findings: &mut Findings, evidence: &Evidence<'_>) {
    let mut writes: BTreeMap<i64, (Mark, &str, i64)> = BTreeMap::new();
    for (op, fate) in evidence.ops.iter().zip(&evidence.settled.fates) {
        let Fate::At(revision) = fate else { continue };
        for put in op.request.puts().into_iter().filter(|put| put.key.starts_with(FENCED)) {
            // Only what is there at that revision was accepted: the other branch may have been taken.
            let accepted = evidence
                .settled
                .store
                .get(&put.key, *revision)
                .is_some_and(|kv| kv.mod_revision == *revision && kv.value == put.value);
            let token = put.value.split_once(':').and_then(|(token, _)| token.parse().ok());
            if let (true, Some(token)) = (accepted, token) {
                writes.insert(*revision, (op.shown_at(), &put.key, token));
            }
        }
    }
    let mut highest: BTreeMap<&str, (i64, Mark)> = BTreeMap::new();
    for (revision, (mark, key, token)) in writes {
        findings.judged();
        let (before, by) = *highest.entry(key).or_insert((token, mark));
        if token < before {
            findings.broken(mark, &[by.line], || {
                format!("{key:?} accepted token {token} at revision {revision} after {before}")
            });
        } else {
            highest.insert(key, (token, mark));
        }
    }
}

fn owners(findings: &mut Findings, evidence: &Evidence<'_>) {
    let settled = &evidence.settled;
    if !settled.exact {
        return;
    }
    for holding in holdings(evidence) {
        findings.judged();
        let prefix = format!("{}/", holding.name);
        let end = format!("{}0", holding.name);
        let others = [holding.asked.line];
        let Some(owner) = settled.store.get(&holding.held.key, holding.revision) else {
            findings.broken(holding.since, &others, || {
                format!(
                    "{:?} is said to be held by {:?}, which is not there at revision {}",
                    holding.name, holding.held.key, holding.revision
                )
            });
            continue;
        };
        if owner.create_revision != holding.held.token || owner.lease != holding.lease {
            findings.broken(holding.since, &others, || {
                format!(
                    "token {} under lease {}, but {:?} was created at {} under {}",
                    holding.held.token, holding.lease, owner.key, owner.create_revision, owner.lease
                )
            });
        }
        let older = settled
            .store
            .keys_in(&prefix, Some(&end), holding.revision)
            .find(|kv| kv.create_revision < owner.create_revision);
        if let Some(older) = older {
            findings.broken(holding.since, &others, || {
                format!(
                    "{:?} is held with token {}, while {:?} of {} is older",
                    holding.name, holding.held.token, older.key, older.create_revision
                )
            });
        }
    }
}
