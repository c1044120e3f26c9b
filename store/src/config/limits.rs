//! Bounds on what others may ask of the store at once. Each has a unit in its name or its documentation.

use serde::{Deserialize, Serialize};

/// Bounds on requests, connections and streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Limits {
    /// Operations in one Txn, and in each of its branches. Default 128 (etcd `--max-txn-ops`).
    pub txn_ops_max: u32,
    /// Size of one request, bytes. Default 1.5 MiB (etcd `--max-request-bytes`).
    pub request_bytes_max: u32,
    /// Concurrent streams on one client connection. Default 2^32 - 1 (etcd `--max-concurrent-streams`).
    pub concurrent_streams_max: u32,
    /// Open connections of one listener; further ones wait in the kernel's backlog. Default 20,000: above the largest
    /// client counts we test, below common limits on open files.
    pub connections_max: usize,
    /// TLS handshakes under way at once on one listener; further ones wait. Default 256: a handshake is a millisecond
    /// of CPU, so more at once would only delay all of them.
    pub tls_handshakes_max: usize,
    /// A connection that has not finished its TLS handshake within this many seconds is closed. Default 10.
    pub tls_handshake_seconds_max: u64,
    /// A connection that has sent nothing within this many seconds is closed. Default 60.
    pub first_byte_seconds_max: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            txn_ops_max: 128,
            request_bytes_max: 1024 * 1024 * 3 / 2,
            concurrent_streams_max: u32::MAX,
            connections_max: 20_000,
            tls_handshakes_max: 256,
            tls_handshake_seconds_max: 10,
            first_byte_seconds_max: 60,
        }
    }
}
