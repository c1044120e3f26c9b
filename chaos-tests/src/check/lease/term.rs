//! I-33: only a leader that leads expires leases: an expiry that has an effect carries the term of its own entry.

use crate::check::evidence::{Evidence, Mark, Sort};
use crate::check::verdict::{Findings, Verdict};

pub(crate) fn check(evidence: &Evidence<'_>) -> Verdict {
    if let Some(why) = &evidence.log.unusable {
        return Verdict::Unknown { why: why.clone() };
    }
    let mut findings = Findings::default();
    for (revision, cause) in &evidence.settled.causes {
        let (Sort::Expire { lease, terms: (found_in, entry) }, Some(line)) = (cause.sort, cause.entry) else {
            continue;
        };
        findings.judged();
        if found_in != entry {
            let at = evidence.history.line(line).map_or(0, |record| record.at);
            findings.broken(Mark { at, line }, &[], || {
                format!("lease {lease}, found expired in term {found_in}, ended at revision {revision} in term {entry}")
            });
        }
    }
    findings.verdict()
}
