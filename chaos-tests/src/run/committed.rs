//! A member's committed log as the history has it: our own form read from the data directory of a member that has ended.
//!
//! Purged entries are among them while their segment is there, which it is for as long as a run lasts.

use std::io;
use std::path::Path;

use fairlead_proto::served::etcdserverpb as pb;
use fairlead_store::apply::{Command, VERSION, decode_header};
use fairlead_store::log::{self, Disk, RealDisk};
use pb::compare::{CompareResult, TargetUnion};
use pb::request_op::Request as Union;

use crate::history::{
    Change, Compact, Compare, Delete, Entry, Grant, Put, Range, Relation, Request, Revoke, Target, Txn, text,
};

/// Where the log is in a data directory.
const LOG: &str = "member/log";

/// The committed entries of a member.
///
/// # Errors
/// When the log cannot be read, or holds what this binary does not know.
pub(super) fn committed(data_dir: &Path, member: u64) -> io::Result<Vec<Entry>> {
    committed_on(&RealDisk::buffered(false), &data_dir.join(LOG), member)
}

/// The same from a log on a disk.
///
/// # Errors
/// As [`committed`].
pub(crate) fn committed_on(disk: &dyn Disk, log: &Path, member: u64) -> io::Result<Vec<Entry>> {
    let entries = log::committed(disk, log).map_err(io::Error::other)?;
    let entries = entries.ok_or_else(|| io::Error::other("there is no log"))?;
    let entry = |entry: log::Entry| {
        let changes = changes(entry.payload).map_err(io::Error::other)?;
        Ok(Entry { member, index: entry.id.index, term: entry.id.term, revision: None, changes })
    };
    entries.into_iter().map(entry).collect()
}

type Undecodable = Box<dyn std::error::Error + Send + Sync>;

fn changes(mut payload: bytes::Bytes) -> Result<Vec<Change>, Undecodable> {
    if payload.first() != Some(&VERSION) {
        return Ok(vec![Change::Other("blank or membership".to_owned())]);
    }
    let (_, count) = decode_header(&mut payload)?;
    let each = (0..count).map(|_| Ok(change(Command::decode(&mut payload)?)));
    each.collect()
}

fn change(command: Command) -> Change {
    let request = match command {
        Command::Put(it) => Request::Put(put(&it)),
        Command::DeleteRange(it) => Request::Delete(delete(&it)),
        Command::Txn(it) => Request::Txn(txn(&it)),
        Command::Compact(it) => Request::Compact(Compact { revision: it.revision, physical: it.physical }),
        Command::LeaseGrant(it) => Request::Grant(Grant { lease: it.id, ttl: it.ttl }),
        Command::LeaseRevoke(it) => Request::Revoke(Revoke { lease: it.id }),
        Command::LeaseExpire { id, term } => return Change::Expire { lease: id, term },
        Command::LeaseCheckpoint(_) => return Change::Other("lease checkpoint".to_owned()),
        Command::Alarm(_) => return Change::Other("alarm".to_owned()),
        Command::MemberPublish { .. } => return Change::Other("member".to_owned()),
    };
    Change::Apply(request)
}

fn end(end: &[u8]) -> Option<String> {
    (!end.is_empty()).then(|| text(end))
}

fn put(it: &pb::PutRequest) -> Put {
    Put { key: text(&it.key), value: text(&it.value), lease: it.lease, previous: it.prev_kv }
}

fn delete(it: &pb::DeleteRangeRequest) -> Delete {
    Delete { key: text(&it.key), end: end(&it.range_end), previous: it.prev_kv }
}

fn range(it: &pb::RangeRequest) -> Range {
    Range {
        key: text(&it.key),
        end: end(&it.range_end),
        revision: it.revision,
        limit: it.limit,
        serializable: it.serializable,
        keys_only: it.keys_only,
        count_only: it.count_only,
    }
}

fn txn(it: &pb::TxnRequest) -> Txn {
    let branch = |ops: &[pb::RequestOp]| ops.iter().filter_map(op).collect();
    Txn {
        compares: it.compare.iter().map(compare).collect(),
        success: branch(&it.success),
        failure: branch(&it.failure),
    }
}

fn op(it: &pb::RequestOp) -> Option<Request> {
    Some(match it.request.as_ref()? {
        Union::RequestRange(it) => Request::Range(range(it)),
        Union::RequestPut(it) => Request::Put(put(it)),
        Union::RequestDeleteRange(it) => Request::Delete(delete(it)),
        Union::RequestTxn(it) => Request::Txn(txn(it)),
    })
}

fn compare(it: &pb::Compare) -> Compare {
    let is = match it.result() {
        CompareResult::Equal => Relation::Equal,
        CompareResult::Greater => Relation::Greater,
        CompareResult::Less => Relation::Less,
        CompareResult::NotEqual => Relation::NotEqual,
    };
    let to = match &it.target_union {
        Some(TargetUnion::Version(n)) => Target::Version(*n),
        Some(TargetUnion::CreateRevision(n)) => Target::Create(*n),
        Some(TargetUnion::ModRevision(n)) => Target::Mod(*n),
        Some(TargetUnion::Value(value)) => Target::Value(text(value)),
        Some(TargetUnion::Lease(n)) => Target::Lease(*n),
        // As etcd reads a compare without one: the zero of its target.
        None => match it.target() {
            pb::compare::CompareTarget::Version => Target::Version(0),
            pb::compare::CompareTarget::Create => Target::Create(0),
            pb::compare::CompareTarget::Mod => Target::Mod(0),
            pb::compare::CompareTarget::Value => Target::Value(String::new()),
            pb::compare::CompareTarget::Lease => Target::Lease(0),
        },
    };
    Compare { key: text(&it.key), is, to }
}
