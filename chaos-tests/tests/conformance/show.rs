//! Answers as text: every field that is not its default, revisions relative to the row's start, leases by their number.
//!
//! A record reads `a=1(c+1,m+2,v2)`: created at the first revision of the row, modified at the second, version 2.
//! A header reads `r+2`, and `r+2!` with what is wrong when its ids are not those of the asked member.

use fairlead_proto::etcd::etcdserverpb::response_op::Response;
use fairlead_proto::etcd::etcdserverpb::*;
use fairlead_proto::etcd::mvccpb::event::EventType;
use fairlead_proto::etcd::mvccpb::{Event, KeyValue};
use tonic::Status;

/// Values longer than this are shown by their length.
const VALUE_SHOWN_BYTES_MAX: usize = 64;

/// What a rendering is relative to.
#[derive(Clone, Default)]
pub(crate) struct Show {
    pub(crate) base: i64,
    pub(crate) leases_from: i64,
    pub(crate) cluster_id: u64,
    pub(crate) member_id: u64,
}

/// A refusal: code and text.
pub(crate) fn failed(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

/// Bytes as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\\0")
}

impl Show {
    pub(crate) fn revision(&self, revision: i64) -> String {
        if revision == 0 { "0".to_owned() } else { format!("{:+}", revision - self.base) }
    }

    pub(crate) fn lease(&self, id: i64) -> String {
        match id - self.leases_from {
            n @ 0..100 => format!("L{n}"),
            _ if id > 0 => "L?".to_owned(),
            _ => format!("L={id}"),
        }
    }

    pub(crate) fn header(&self, header: &Option<ResponseHeader>) -> String {
        let Some(header) = header else { return "no header".to_owned() };
        let mut shown = format!("r{}", self.revision(header.revision));
        if header.cluster_id != self.cluster_id {
            shown.push_str("!cluster_id");
        }
        if header.member_id != self.member_id {
            shown.push_str("!member_id");
        }
        if header.raft_term == 0 {
            shown.push_str("!raft_term");
        }
        shown
    }

    /// The header inside a transaction's response: only its revision, if any, is set.
    fn inner_header(&self, header: &Option<ResponseHeader>) -> String {
        match header {
            None => "no header".to_owned(),
            Some(header) if header.cluster_id != 0 || header.member_id != 0 || header.raft_term != 0 => {
                format!("r{}!ids", self.revision(header.revision))
            }
            Some(header) => format!("r{}", self.revision(header.revision)),
        }
    }

    pub(crate) fn record(&self, kv: &KeyValue) -> String {
        let value =
            if kv.value.len() > VALUE_SHOWN_BYTES_MAX { format!("{}B", kv.value.len()) } else { text(&kv.value) };
        let lease = if kv.lease == 0 { String::new() } else { format!(",{}", self.lease(kv.lease)) };
        let (created, modified) = (self.revision(kv.create_revision), self.revision(kv.mod_revision));
        format!("{}={value}(c{created},m{modified},v{}{lease})", text(&kv.key), kv.version)
    }

    fn records(&self, kvs: &[KeyValue]) -> String {
        kvs.iter().map(|kv| self.record(kv)).collect::<Vec<_>>().join(" ")
    }

    fn ranged(&self, header: String, response: &RangeResponse) -> String {
        let more = if response.more { " more" } else { "" };
        format!("{header} count={}{more} [{}]", response.count, self.records(&response.kvs))
    }

    pub(crate) fn range(&self, response: &RangeResponse) -> String {
        self.ranged(self.header(&response.header), response)
    }

    fn was_put(&self, header: String, response: &PutResponse) -> String {
        let previous = response.prev_kv.as_ref().map(|kv| format!(" prev {}", self.record(kv)));
        header + &previous.unwrap_or_default()
    }

    pub(crate) fn put(&self, response: &PutResponse) -> String {
        self.was_put(self.header(&response.header), response)
    }

    fn deleted(&self, header: String, response: &DeleteRangeResponse) -> String {
        let previous = if response.prev_kvs.is_empty() {
            String::new()
        } else {
            format!(" prev [{}]", self.records(&response.prev_kvs))
        };
        format!("{header} deleted={}{previous}", response.deleted)
    }

    pub(crate) fn delete(&self, response: &DeleteRangeResponse) -> String {
        self.deleted(self.header(&response.header), response)
    }

    fn chosen(&self, header: String, response: &TxnResponse) -> String {
        let taken = if response.succeeded { "then" } else { "else" };
        let answers: Vec<_> = response.responses.iter().map(|answer| self.answer(answer)).collect();
        format!("{header} {taken} {{{}}}", answers.join("; "))
    }

    pub(crate) fn txn(&self, response: &TxnResponse) -> String {
        self.chosen(self.header(&response.header), response)
    }

    fn answer(&self, answer: &ResponseOp) -> String {
        match &answer.response {
            Some(Response::ResponseRange(range)) => {
                format!("range {}", self.ranged(self.inner_header(&range.header), range))
            }
            Some(Response::ResponsePut(put)) => format!("put {}", self.was_put(self.inner_header(&put.header), put)),
            Some(Response::ResponseDeleteRange(delete)) => {
                format!("delete {}", self.deleted(self.inner_header(&delete.header), delete))
            }
            Some(Response::ResponseTxn(txn)) => format!("txn {}", self.chosen(self.inner_header(&txn.header), txn)),
            None => "nothing".to_owned(),
        }
    }

    pub(crate) fn event(&self, event: &Event) -> String {
        let kind = if event.r#type() == EventType::Put { "PUT" } else { "DELETE" };
        let record = event.kv.as_ref().map_or_else(|| "no kv".to_owned(), |kv| self.record(kv));
        let previous = event.prev_kv.as_ref().map(|kv| format!(" prev {}", self.record(kv)));
        format!("{kind} {record}{}", previous.unwrap_or_default())
    }
}
