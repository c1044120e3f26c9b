//! Families of leases and of the auth store.

use prometheus::{Histogram, IntCounter, IntGauge};

use super::family::{exponential, families};

families! {
    /// `etcd_debugging_lease_*`, `etcd_debugging_auth_*`.
    Lease {
        granted_total: IntCounter = "etcd_debugging_lease_granted_total", "The total number of granted leases.";
        revoked_total: IntCounter = "etcd_debugging_lease_revoked_total", "The total number of revoked leases.";
        renewed_total: IntCounter = "etcd_debugging_lease_renewed_total", "The number of renewals seen by the leader.";
        ttl_total: Histogram = "etcd_debugging_lease_ttl_total", "TTLs of granted leases.", buckets exponential(1.0, 2.0, 24);
        auth_revision: IntGauge = "etcd_debugging_auth_revision", "The current revision of the auth store.";
    }
}
