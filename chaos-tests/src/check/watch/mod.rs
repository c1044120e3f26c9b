//! I-20 to I-29: what a watch promises. A file each; they look at what its client was told, and at the replay.

pub(super) mod atomic;
pub(super) mod bookmark;
pub(super) mod cancel;
pub(super) mod completion;
pub(super) mod future;
pub(super) mod install;
pub(super) mod ordered;
pub(super) mod reliable;
pub(super) mod resumable;
pub(super) mod unique;

use super::evidence::{Mark, Run};
use crate::history::WatchStep;

/// The revision up to which a watch has been told everything: by its last event, or a progress notification.
fn told_to(run: &Run<'_>) -> Option<(i64, Mark)> {
    let mut told: Option<(i64, Mark)> = None;
    for (mark, step) in &run.items {
        let revision = match step {
            WatchStep::Events(batch) => batch.events.iter().map(|event| event.revision()).max(),
            WatchStep::Progress(progress) => Some(progress.revision),
            _ => None,
        };
        if let Some(revision) = revision
            && told.is_none_or(|(so_far, _)| revision > so_far)
        {
            told = Some((revision, *mark));
        }
    }
    told
}
