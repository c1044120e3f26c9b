//! Wire messages and service stubs, generated from `protos/`; no logic.
//!
//! [`etcd`] has etcd's messages as clients see them. [`served`] has the same messages for a server that keeps records in
//! wire form: every `KeyValue` and `Event` in them is its encoding ([`encoded`]), so that an answer is a copy of stored
//! bytes. Both are the same on the wire. `bytes` fields are [`bytes::Bytes`] throughout.
//! Source: etcd `api/etcdserverpb/rpc.proto`, `api/mvccpb/kv.proto`, level 3.7.

pub mod encoded;

/// etcd's messages and client stubs.
pub mod etcd {
    #![allow(missing_docs, clippy::all, rustdoc::all)]
    /// `mvccpb`: stored and delivered records.
    pub mod mvccpb {
        include!(concat!(env!("OUT_DIR"), "/etcd/mvccpb.rs"));
    }
    /// `authpb`: users and roles.
    pub mod authpb {
        include!(concat!(env!("OUT_DIR"), "/etcd/authpb.rs"));
    }
    /// `etcdserverpb`: the six main services.
    pub mod etcdserverpb {
        include!(concat!(env!("OUT_DIR"), "/etcd/etcdserverpb.rs"));
    }
    /// `v3lockpb`: the lock service.
    pub mod v3lockpb {
        include!(concat!(env!("OUT_DIR"), "/etcd/v3lockpb.rs"));
    }
    /// `v3electionpb`: the election service.
    pub mod v3electionpb {
        include!(concat!(env!("OUT_DIR"), "/etcd/v3electionpb.rs"));
    }
}

/// etcd's messages and server stubs, with records as encoded bytes.
pub mod served {
    #![allow(missing_docs, clippy::all, rustdoc::all)]
    /// `authpb`: users and roles.
    pub mod authpb {
        include!(concat!(env!("OUT_DIR"), "/served/authpb.rs"));
    }
    /// `etcdserverpb`: the six main services.
    pub mod etcdserverpb {
        include!(concat!(env!("OUT_DIR"), "/served/etcdserverpb.rs"));
    }
    /// `v3lockpb`: the lock service.
    pub mod v3lockpb {
        include!(concat!(env!("OUT_DIR"), "/served/v3lockpb.rs"));
    }
    /// `v3electionpb`: the election service.
    pub mod v3electionpb {
        include!(concat!(env!("OUT_DIR"), "/served/v3electionpb.rs"));
    }
}

/// gRPC's health service.
pub mod health {
    #![allow(missing_docs, clippy::all, rustdoc::all)]
    include!(concat!(env!("OUT_DIR"), "/health/grpc.health.v1.rs"));
}

/// What members say to each other.
pub mod peer {
    #![allow(missing_docs, clippy::all, rustdoc::all)]
    include!(concat!(env!("OUT_DIR"), "/peer/fairlead.peer.v1.rs"));
}
