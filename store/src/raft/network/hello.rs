//! Who calls whom: checked on every peer call, in both directions.
//!
//! An incarnation is a random number that a data directory gets at its first start and publishes through the log. A member
//! whose incarnation differs from the applied one lives in another directory: its disk was emptied or copied, and what it
//! once acknowledged may be gone. It must not vote or acknowledge again under the old id.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use fairlead_proto::peer::Hello;
use http::HeaderMap;
use prost::Message;
use tonic::metadata::{BinaryMetadataValue, MetadataMap};
use tonic::{Code, Status};

const KEY: &str = "fairlead-hello-bin";

/// This member, as its peers must know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) cluster: u64,
    pub(crate) member: u64,
    pub(crate) incarnation: u64,
}

/// The incarnations that the group has agreed on: filled by apply and from the state at start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Incarnations(Arc<RwLock<HashMap<u64, u64>>>);

impl Incarnations {
    /// Replaces all, at start and after a snapshot install.
    pub(crate) fn replace(&self, all: HashMap<u64, u64>) {
        *self.0.write().expect("no holder panics") = all;
    }

    /// Notes one, from apply.
    pub(crate) fn set(&self, member: u64, incarnation: u64) {
        self.0.write().expect("no holder panics").insert(member, incarnation);
    }

    /// The one of `member`, where it has published one.
    pub(crate) fn of(&self, member: u64) -> Option<u64> {
        self.0.read().expect("no holder panics").get(&member).copied()
    }
}

/// Adds the hello for `target` to a call.
pub(crate) fn put(metadata: &mut MetadataMap, me: Identity, target: u64, incarnations: &Incarnations) {
    let hello = Hello {
        cluster_id: me.cluster,
        from: me.member,
        to: target,
        incarnation: me.incarnation,
        to_incarnation: incarnations.of(target).unwrap_or(0),
    };
    metadata.insert_bin(KEY, BinaryMetadataValue::from_bytes(&hello.encode_to_vec()));
}

/// Who the caller says it is; nothing is checked.
pub(crate) fn caller(headers: &HeaderMap) -> Option<u64> {
    let hello = HeaderMap::from_iter([(http::HeaderName::from_static(KEY), headers.get(KEY)?.clone())]);
    let bytes = MetadataMap::from_headers(hello).get_bin(KEY)?.to_bytes().ok()?;
    Some(Hello::decode(bytes).ok()?.from)
}

/// Why a caller is turned away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("no fairlead member: the call carries no hello")]
    Stranger,
    #[error("cluster id mismatch: caller {theirs:x}, this member {ours:x}")]
    Cluster { theirs: u64, ours: u64 },
    #[error("member {wanted:x} was called, this is {ours:x}: an address is used twice")]
    Misdirected { wanted: u64, ours: u64 },
    #[error("member {0:x} calls itself")]
    Self_(u64),
    #[error(
        "member {member:x} calls from another data directory than the one the cluster knows: its disk was emptied or copied"
    )]
    CallerReplaced { member: u64 },
    #[error(
        "this member's data directory is not the one the cluster knows for {member:x}: its disk was emptied or copied"
    )]
    WeAreReplaced { member: u64 },
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        Status::new(Code::FailedPrecondition, refused.to_string())
    }
}

/// The caller's member id, if this member may talk to it.
pub(crate) fn check(metadata: &MetadataMap, me: Identity, incarnations: &Incarnations) -> Result<u64, Refused> {
    let bytes = metadata.get_bin(KEY).and_then(|value| value.to_bytes().ok()).ok_or(Refused::Stranger)?;
    let hello = Hello::decode(bytes).map_err(|_| Refused::Stranger)?;
    if hello.cluster_id != me.cluster {
        return Err(Refused::Cluster { theirs: hello.cluster_id, ours: me.cluster });
    }
    if hello.to != me.member {
        return Err(Refused::Misdirected { wanted: hello.to, ours: me.member });
    }
    if hello.from == me.member {
        return Err(Refused::Self_(me.member));
    }
    if incarnations.of(hello.from).is_some_and(|known| known != hello.incarnation) {
        return Err(Refused::CallerReplaced { member: hello.from });
    }
    if hello.to_incarnation != 0 && hello.to_incarnation != me.incarnation {
        return Err(Refused::WeAreReplaced { member: me.member });
    }
    Ok(hello.from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(from: Identity, to: u64, known: &Incarnations) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        put(&mut metadata, from, to, known);
        metadata
    }

    #[test]
    fn only_the_right_caller_is_let_in() {
        let me = Identity { cluster: 1, member: 2, incarnation: 3 };
        let peer = Identity { cluster: 1, member: 4, incarnation: 5 };
        let known = Incarnations::default();
        known.set(4, 5);
        known.set(2, 3);
        assert_eq!(check(&call(peer, 2, &known), me, &known), Ok(4));
        assert_eq!(check(&MetadataMap::new(), me, &known), Err(Refused::Stranger));
        let other = Identity { cluster: 9, ..peer };
        assert_eq!(check(&call(other, 2, &known), me, &known), Err(Refused::Cluster { theirs: 9, ours: 1 }));
        assert_eq!(check(&call(peer, 7, &known), me, &known), Err(Refused::Misdirected { wanted: 7, ours: 2 }));
        assert_eq!(check(&call(me, 2, &known), me, &known), Err(Refused::Self_(2)));
        let wiped = Identity { incarnation: 6, ..peer };
        assert_eq!(check(&call(wiped, 2, &known), me, &known), Err(Refused::CallerReplaced { member: 4 }));
        let wiped_me = Identity { incarnation: 8, ..me };
        assert_eq!(check(&call(peer, 2, &known), wiped_me, &known), Err(Refused::WeAreReplaced { member: 2 }));
    }
}
