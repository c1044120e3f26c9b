//! Ids as etcd computes them, so that a cluster started with the same flags has the same ids.
//!
//! Source: etcd `server/etcdserver/api/membership/{member,cluster}.go`.

use sha1::{Digest, Sha1};

/// A member's id: of its peer URLs, in any order, and the cluster's token.
#[must_use]
pub fn member_id(peer_urls: &[String], cluster_token: &str) -> u64 {
    let mut urls: Vec<&str> = peer_urls.iter().map(String::as_str).collect();
    urls.sort_unstable();
    let mut hash = Sha1::new();
    urls.iter().for_each(|url| hash.update(url));
    hash.update(cluster_token);
    front(hash)
}

/// The cluster's id: of its first members' ids, in any order.
#[must_use]
pub fn cluster_id(members: &[u64]) -> u64 {
    let mut ids = members.to_vec();
    ids.sort_unstable();
    let mut hash = Sha1::new();
    ids.iter().for_each(|id| hash.update(id.to_be_bytes()));
    front(hash)
}

fn front(hash: Sha1) -> u64 {
    let digest = hash.finalize();
    u64::from_be_bytes(digest[..8].try_into().expect("SHA-1 has twenty bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_ones_that_etcd_gives_its_default_member() {
        // What every etcd started without flags reports: member 8e9e05c52164694d in cluster cdf818194e3a8c32.
        let member = member_id(&["http://localhost:2380".into()], "etcd-cluster");
        assert_eq!(format!("{member:x}"), "8e9e05c52164694d");
        assert_eq!(format!("{:x}", cluster_id(&[member])), "cdf818194e3a8c32");
    }

    #[test]
    fn order_does_not_matter_and_the_token_does() {
        let (a, b) = ("http://10.0.0.1:2380".to_owned(), "http://10.0.0.2:2380".to_owned());
        assert_eq!(member_id(&[a.clone(), b.clone()], "t"), member_id(&[b.clone(), a.clone()], "t"));
        assert_ne!(member_id(std::slice::from_ref(&a), "t"), member_id(std::slice::from_ref(&a), "u"));
        assert_eq!(cluster_id(&[1, 2, 3]), cluster_id(&[3, 1, 2]));
    }
}
