//! The header of an answer: who answers, at which revision, in which term.
//!
//! Source: etcd `server/etcdserver/api/v3rpc/header.go`.

use fairlead_proto::served::etcdserverpb as pb;

use super::Context;

impl Context {
    /// A header of this member, now, with `revision`: of the read's snapshot, or of the change that was made.
    #[must_use]
    pub fn header(&self, revision: i64) -> pb::ResponseHeader {
        let status = self.consensus.status();
        pb::ResponseHeader { cluster_id: status.cluster, member_id: status.member, revision, raft_term: status.term }
    }
}
