//! Operations: an invocation with its return.

use std::collections::HashMap;

use super::Mark;
use crate::history::{Answered, Event, Failure, History, Outcome, Request};

/// One operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Op<'h> {
    pub(crate) client: u64,
    pub(crate) member: u64,
    pub(crate) request: &'h Request,
    pub(crate) invoked: Mark,
    /// `None`: the run ended before.
    pub(crate) returned: Option<(Mark, &'h Outcome)>,
}

impl<'h> Op<'h> {
    /// The answer, with its moment, if there was one.
    pub(crate) fn ok(&self) -> Option<(Mark, &'h Answered)> {
        match self.returned {
            Some((mark, Outcome::Ok(answered))) => Some((mark, answered)),
            _ => None,
        }
    }

    /// The refusal, with its moment.
    pub(crate) fn refused(&self) -> Option<(Mark, &'h Failure)> {
        match self.returned {
            Some((mark, Outcome::Failed(failure))) => Some((mark, failure)),
            _ => None,
        }
    }

    /// Whether nobody was told what became of it.
    pub(crate) fn open(&self) -> bool {
        matches!(self.returned, None | Some((_, Outcome::Unknown(_))))
    }

    /// The line and moment that show most of it: its return, else its invocation.
    pub(crate) fn shown_at(&self) -> Mark {
        self.returned.map_or(self.invoked, |(mark, _)| mark)
    }

    /// Whether it reads the present through the whole cluster.
    pub(crate) fn is_linearizable_read(&self) -> bool {
        matches!(self.request, Request::Range(range) if !range.serializable && range.revision == 0)
    }
}

/// All operations, in the order of their invocations.
pub(crate) fn operations(history: &History) -> Vec<Op<'_>> {
    let mut ops: Vec<Op<'_>> = Vec::new();
    let mut place: HashMap<u64, usize> = HashMap::new();
    for record in history.records() {
        let mark = Mark { at: record.at, line: record.line };
        match &record.event {
            Event::Invoke(invoke) => {
                place.insert(invoke.op, ops.len());
                let (client, member, request) = (invoke.client, invoke.member, &invoke.request);
                ops.push(Op { client, member, request, invoked: mark, returned: None });
            }
            Event::Return(back) => {
                let at = place.get(&back.op).expect("a history has no return without its invocation");
                ops[*at].returned = Some((mark, &back.outcome));
            }
            _ => {}
        }
    }
    ops
}
