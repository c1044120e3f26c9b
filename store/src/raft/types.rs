//! openraft's type parameters, as this store chooses them.
//!
//! A leader id is a term (`leader_id_std`), so that `raft_term` names one leader and a log id is (term, index). A node in the
//! membership is its peer URLs only, all from `--initial-cluster`: every member initialises with the same entry 0.

use std::fmt;

use bytes::Bytes;
use openraft::impls::leader_id_std;

openraft::declare_raft_types!(
    /// The types of this store's group.
    pub(crate) TypeConfig:
        D = Payload,
        R = (),
        NodeId = u64,
        Node = Peer,
        Term = u64,
        LeaderId = leader_id_std::LeaderId<u64, u64>,
        AsyncRuntime = super::runtime::Runtime,
);

/// A log entry's content: a batch of commands, encoded by `apply::command`; shared, never copied.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Payload(pub(crate) Bytes);

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// Where a member is reached by the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    /// In the order of `--initial-cluster`.
    pub(crate) urls: Vec<String>,
}

pub(crate) type LeaderId = leader_id_std::LeaderId<u64, u64>;
pub(crate) type LogId = openraft::type_config::alias::LogIdOf<TypeConfig>;
pub(crate) type Vote = openraft::type_config::alias::VoteOf<TypeConfig>;
pub(crate) type Entry = openraft::type_config::alias::EntryOf<TypeConfig>;
pub(crate) type EntryPayload = openraft::EntryPayload<Payload, u64, Peer>;
pub(crate) type Membership = openraft::Membership<u64, Peer>;
pub(crate) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;
pub(crate) type AppendRequest = openraft::raft::AppendEntriesRequest<TypeConfig>;
pub(crate) type AppendResponse = openraft::raft::AppendEntriesResponse<TypeConfig>;
pub(crate) type VoteRequest = openraft::raft::VoteRequest<TypeConfig>;
pub(crate) type VoteResponse = openraft::raft::VoteResponse<TypeConfig>;
pub(crate) type TransferRequest = openraft::raft::TransferLeaderRequest<TypeConfig>;
pub(crate) type TransferError = openraft::raft::TransferLeaderError<TypeConfig>;
pub(crate) type TransferResponse = openraft::raft::TransferLeaderResponse<TypeConfig>;
pub(crate) type StreamAppendError = openraft::raft::StreamAppendError<TypeConfig>;
pub(crate) type StreamAppendResult = Result<Option<LogId>, StreamAppendError>;

/// A log id from its parts.
pub(crate) fn log_id(term: u64, index: u64) -> LogId {
    LogId::new_term_index(term, index)
}

/// A log id's term.
pub(crate) fn term_of(id: &LogId) -> u64 {
    **id.committed_leader_id()
}
