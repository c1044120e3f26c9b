//! Contract 1.3: revisions and MVCC.

use fairlead_proto::etcd::etcdserverpb::*;

use crate::request::*;
use crate::table::{Row, row, same};

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row("1.3 an empty store is at revision 1", same("1"), |env| async move { Ok(env.show.base.to_string()) }),
        row(
            "1.3 a first compaction at 0 is accepted, a second is not",
            same("r+0, OutOfRange: etcdserver: mvcc: required revision has been compacted"),
            |env| async move {
                let first = env.ask_compact(0).await;
                Ok(format!("{first}, {}", env.ask_compact(0).await))
            },
        ),
        row(
            "1.3 a put raises the revision by one",
            same("r+1"),
            |env| async move { Ok(env.ask_put(put("a", "1")).await) },
        ),
        row("1.3 a put of the same value is a change", same("r+2, r+2 count=1 [a=1(c+1,m+2,v2)]"), |env| async move {
            env.put("a", "1").await?;
            let again = env.ask_put(put("a", "1")).await;
            Ok(format!("{again}, {}", env.ask_range(get("a")).await))
        }),
        row(
            "1.3 a put keeps the create revision and counts versions",
            same("r+3 count=1 [a=3(c+1,m+3,v3)]"),
            |env| async move {
                env.puts("a=1 a=2 a=3").await?;
                Ok(env.ask_range(get("a")).await)
            },
        ),
        row(
            "1.3 a put after a delete starts a new generation",
            same("r+4 count=1 [a=3(c+4,m+4,v1)]"),
            |env| async move {
                env.puts("a=1 a=2").await?;
                env.delete("a").await?;
                env.put("a", "3").await?;
                Ok(env.ask_range(get("a")).await)
            },
        ),
        row(
            "1.3 a delete that matches nothing does not raise the revision",
            same("r+1 deleted=0, r+1"),
            |env| async move {
                env.put("a", "1").await?;
                let nothing = env.ask_delete(delete_range("b", "")).await;
                let after = env.ask_range(RangeRequest { count_only: true, ..get("x") }).await;
                Ok(format!("{nothing}, {}", after.split(' ').next().unwrap_or_default()))
            },
        ),
        row("1.3 a range delete is one revision", same("r+4 deleted=3"), |env| async move {
            env.puts("a=1 b=2 c=3").await?;
            Ok(env.ask_delete(delete_range("a", "d")).await)
        }),
        row(
            "1.3 a transaction that changes nothing does not raise the revision",
            same("r+1 then {delete r+1 deleted=0; range r+1 count=1 [a=1(c+1,m+1,v1)]}"),
            |env| async move {
                env.put("a", "1").await?;
                Ok(env.ask_txn(then(vec![op_delete("b", ""), op_get("a")])).await)
            },
        ),
        row(
            "1.3 all changes of a transaction share one revision",
            same("r+1 count=2 [a=1(c+1,m+1,v1) b=2(c+1,m+1,v1)]"),
            |env| async move {
                env.ask_txn(then(vec![op_put("a", "1"), op_put("b", "2")])).await;
                Ok(env.ask_range(all()).await)
            },
        ),
        row("1.3 a lease revoke that deletes keys is one revision", same("r+3, count=0"), |env| async move {
            let id = env.grant(1, 60).await?;
            for key in ["a", "b"] {
                env.kv.clone().put(PutRequest { lease: id, ..put(key, "1") }).await?;
            }
            let revoked = env.lease.clone().lease_revoke(LeaseRevokeRequest { id }).await?.into_inner();
            let left = env.ask_range(RangeRequest { count_only: true, ..all() }).await;
            anyhow::ensure!(left == "r+3 count=0 []", "{left}");
            Ok(format!("{}, count=0", env.show.header(&revoked.header)))
        }),
        row(
            "1.3 a lease grant and a revoke without keys do not raise the revision",
            same("r+0, r+0"),
            |env| async move {
                let id = env.lease_id(1);
                let granted = env.lease.clone().lease_grant(LeaseGrantRequest { ttl: 60, id }).await?.into_inner();
                let revoked = env.lease.clone().lease_revoke(LeaseRevokeRequest { id }).await?.into_inner();
                Ok(format!("{}, {}", env.show.header(&granted.header), env.show.header(&revoked.header)))
            },
        ),
        row(
            "1.3 a range's header has the current revision, not the requested one",
            same("r+3 count=1 [a=1(c+1,m+1,v1)]"),
            |env| async move {
                env.puts("a=1 a=2 b=3").await?;
                Ok(env.ask_range(RangeRequest { revision: env.at_revision(1), ..get("a") }).await)
            },
        ),
        row(
            "1.3 a nested transaction's header is present with revision 0",
            same("r+1 then {txn r0 then {put r+1}}"),
            |env| async move { Ok(env.ask_txn(then(vec![op_txn(then(vec![op_put("a", "1")]))])).await) },
        ),
        row("1.3 a write at one member is read at another", same("r+1 count=1 [a=1(c+1,m+1,v1)]"), |env| async move {
            env.put("a", "1").await?;
            Ok(env.elsewhere().await?.ask_range(get("a")).await)
        }),
    ]
}
