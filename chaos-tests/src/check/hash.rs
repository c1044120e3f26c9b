//! I-09: all members have the same: HashKV at one revision and compacted revision is equal, and so are the logs where they
//! overlap.

use std::collections::BTreeMap;

use super::evidence::Evidence;
use super::verdict::{Findings, Verdict};

pub(super) fn check(evidence: &Evidence<'_>) -> Verdict {
    let mut findings = Findings::default();
    let mut known = BTreeMap::new();
    let mut members: Vec<u64> = Vec::new();
    for (mark, hash) in &evidence.hashes {
        members.push(hash.member);
        let (first, by) = *known.entry((hash.revision, hash.compact_revision)).or_insert((*hash, *mark));
        findings.judged();
        if first.hash != hash.hash {
            findings.broken(*mark, &[by.line], || {
                format!(
                    "member {} has hash {} at revision {} over {}, member {} has {}",
                    hash.member, hash.hash, hash.revision, hash.compact_revision, first.member, first.hash
                )
            });
        }
    }
    for (mark, other) in &evidence.log.disagreements {
        findings.broken(*mark, &[*other], || "two members have different entries at one index of the log".to_owned());
    }
    members.sort_unstable();
    members.dedup();
    if members.len() < 2 && evidence.history.header().members.len() > 1 && findings.clean() {
        return Verdict::Unknown { why: format!("{} members were asked for their hash: it needs two", members.len()) };
    }
    let note = format!("{} entries compared", evidence.log.compared);
    findings.verdict_with(Some(note))
}
