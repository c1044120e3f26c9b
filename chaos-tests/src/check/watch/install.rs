//! I-29: over a snapshot install a member's watches go on or are cancelled; nothing comes again, nothing older.
//!
//! The counter of installs is polled, so that an install may have been before the record: a watch that was open on such a
//! member at any time before the record is held against I-20 and I-21 as a whole.

use super::{ordered, unique};
use crate::check::evidence::Evidence;
use crate::check::verdict::{Findings, Verdict};
use crate::history::MemberStep;

pub(crate) fn check(evidence: &Evidence<'_>) -> Verdict {
    let mut findings = Findings::default();
    let mut watches = 0;
    for run in &evidence.watches {
        let over = evidence.members.iter().any(|(mark, member)| {
            member.id == run.open.member
                && matches!(member.step, MemberStep::Installed { snapshots } if snapshots > 0)
                && run.opened < *mark
        });
        if over {
            watches += 1;
            ordered::one(&mut findings, run);
            unique::one(&mut findings, run, &mut unique::Seen::default());
        }
    }
    findings.verdict_with(Some(format!("{watches} watches were open over an install")))
}
