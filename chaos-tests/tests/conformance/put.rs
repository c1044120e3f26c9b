//! Contract 1.7: Put and DeleteRange.

use bytes::Bytes;
use fairlead_proto::etcd::etcdserverpb::*;

use crate::request::*;
use crate::table::{Row, row, same};

const TOO_LARGE: &str = "InvalidArgument: etcdserver: request is too large";

fn sized(bytes: usize) -> PutRequest {
    PutRequest { value: Bytes::from(vec![b'x'; bytes]), ..put("a", "") }
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = put_rows();
    rows.extend(lease_rows());
    rows.extend(delete_rows());
    rows.extend(size_rows());
    rows
}

fn put_rows() -> Vec<Row> {
    vec![
        row(
            "1.7 an empty key is refused",
            same("InvalidArgument: etcdserver: key is not provided"),
            |env| async move { Ok(env.ask_put(put("", "1")).await) },
        ),
        row("1.7 an empty value is a value", same("r+1 count=1 [a=(c+1,m+1,v1)]"), |env| async move {
            env.put("a", "").await?;
            Ok(env.ask_range(get("a")).await)
        }),
        row("1.7 prev_kv of a new key is absent", same("r+1"), |env| async move {
            Ok(env.ask_put(PutRequest { prev_kv: true, ..put("a", "1") }).await)
        }),
        row("1.7 prev_kv is the record before", same("r+3 prev a=2(c+1,m+2,v2)"), |env| async move {
            env.puts("a=1 a=2").await?;
            Ok(env.ask_put(PutRequest { prev_kv: true, ..put("a", "3") }).await)
        }),
        row("1.7 prev_kv of a deleted key is absent", same("r+3"), |env| async move {
            env.put("a", "1").await?;
            env.delete("a").await?;
            Ok(env.ask_put(PutRequest { prev_kv: true, ..put("a", "2") }).await)
        }),
        row("1.7 ignore_value keeps the value", same("r+2, r+2 count=1 [a=1(c+1,m+2,v2)]"), |env| async move {
            env.put("a", "1").await?;
            let answer = env.ask_put(PutRequest { ignore_value: true, ..put("a", "") }).await;
            Ok(format!("{answer}, {}", env.ask_range(get("a")).await))
        }),
        row(
            "1.7 ignore_value with a value is refused",
            same("InvalidArgument: etcdserver: value is provided"),
            |env| async move { Ok(env.ask_put(PutRequest { ignore_value: true, ..put("a", "1") }).await) },
        ),
        row(
            "1.7 ignore_value of a missing key is refused",
            same("InvalidArgument: etcdserver: key not found"),
            |env| async move { Ok(env.ask_put(PutRequest { ignore_value: true, ..put("a", "") }).await) },
        ),
    ]
}

fn lease_rows() -> Vec<Row> {
    vec![
        row("1.7 a put attaches its lease", same("r+1 count=1 [a=1(c+1,m+1,v1,L1)]"), |env| async move {
            let lease = env.grant(1, 60).await?;
            env.ask_put(PutRequest { lease, ..put("a", "1") }).await;
            Ok(env.ask_range(get("a")).await)
        }),
        row(
            "1.7 an unknown lease is refused",
            same("NotFound: etcdserver: requested lease not found"),
            |env| async move { Ok(env.ask_put(PutRequest { lease: env.lease_id(9), ..put("a", "1") }).await) },
        ),
        row("1.7 a put without a lease detaches", same("r+2 count=1 [a=2(c+1,m+2,v2)]"), |env| async move {
            let lease = env.grant(1, 60).await?;
            env.ask_put(PutRequest { lease, ..put("a", "1") }).await;
            env.put("a", "2").await?;
            Ok(env.ask_range(get("a")).await)
        }),
        row("1.7 ignore_lease keeps the lease", same("r+2 count=1 [a=2(c+1,m+2,v2,L1)]"), |env| async move {
            let lease = env.grant(1, 60).await?;
            env.ask_put(PutRequest { lease, ..put("a", "1") }).await;
            env.ask_put(PutRequest { ignore_lease: true, ..put("a", "2") }).await;
            Ok(env.ask_range(get("a")).await)
        }),
        row(
            "1.7 ignore_lease with a lease is refused",
            same("InvalidArgument: etcdserver: lease is provided"),
            |env| async move { Ok(env.ask_put(PutRequest { ignore_lease: true, lease: 1, ..put("a", "1") }).await) },
        ),
        row(
            "1.7 ignore_lease of a missing key is refused",
            same("InvalidArgument: etcdserver: key not found"),
            |env| async move { Ok(env.ask_put(PutRequest { ignore_lease: true, ..put("a", "1") }).await) },
        ),
        row("1.7 a put with another lease moves the key", same("[] [a]"), |env| async move {
            let (first, second) = (env.grant(1, 60).await?, env.grant(2, 60).await?);
            env.ask_put(PutRequest { lease: first, ..put("a", "1") }).await;
            env.ask_put(PutRequest { lease: second, ..put("a", "2") }).await;
            Ok(format!("{} {}", crate::lease::keys(&env, first).await?, crate::lease::keys(&env, second).await?))
        }),
    ]
}

fn delete_rows() -> Vec<Row> {
    vec![
        row(
            "1.7 a delete with an empty key is refused",
            same("InvalidArgument: etcdserver: key is not provided"),
            |env| async move { Ok(env.ask_delete(delete_range("", "")).await) },
        ),
        row(
            "1.7 a delete returns the records before, in key order",
            same("r+4 deleted=2 prev [a=3(c+2,m+3,v2) b=1(c+1,m+1,v1)]"),
            |env| async move {
                env.puts("b=1 a=2 a=3").await?;
                Ok(env.ask_delete(DeleteRangeRequest { prev_kv: true, ..delete_range("a", "c") }).await)
            },
        ),
        row("1.7 a delete of an open range", same("r+4 deleted=2, r+4 count=1 [a=1(c+1,m+1,v1)]"), |env| async move {
            env.puts("a=1 b=2 c=3").await?;
            let answer = env.ask_delete(delete_range("b", "\0")).await;
            Ok(format!("{answer}, {}", env.ask_range(all()).await))
        }),
        row("1.7 a delete of an inverted range deletes nothing", same("r+2 deleted=0"), |env| async move {
            env.puts("a=1 b=2").await?;
            Ok(env.ask_delete(delete_range("b", "a")).await)
        }),
        row("1.7 a delete detaches", same("[]"), |env| async move {
            let lease = env.grant(1, 60).await?;
            env.ask_put(PutRequest { lease, ..put("a", "1") }).await;
            env.delete("a").await?;
            crate::lease::keys(&env, lease).await
        }),
    ]
}

fn size_rows() -> Vec<Row> {
    vec![
        row("1.7 a request just below the limit is accepted", same("r+1"), |env| async move {
            Ok(env.ask_put(sized(1_572_864 - 64)).await)
        }),
        row("1.7 a request over the limit is refused", same(TOO_LARGE), |env| async move {
            Ok(env.ask_put(sized(1_572_865)).await)
        }),
        row("1.7 a transaction over the limit is refused", same(TOO_LARGE), |env| async move {
            let half = |key: &str| {
                let put = PutRequest { value: Bytes::from(vec![b'x'; 800_000]), ..put(key, "") };
                op(request_op::Request::RequestPut(put))
            };
            Ok(env.ask_txn(then(vec![half("a"), half("b")])).await)
        }),
        row(
            "1.7 a message over the transport's limit is refused by the transport",
            same("ResourceExhausted: grpc: received message larger than max (3000008 vs. 2097152)"),
            |env| async move { Ok(env.ask_put(sized(3_000_000)).await) },
        ),
        row(
            "1.7 a large answer is sent whole",
            same(
                "r+4 count=4 [a=1000000B(c+1,m+1,v1) b=1000000B(c+2,m+2,v1) c=1000000B(c+3,m+3,v1) d=1000000B(c+4,m+4,v1)]",
            ),
            |env| async move {
                for key in ["a", "b", "c", "d"] {
                    let put = PutRequest { value: Bytes::from(vec![b'x'; 1_000_000]), ..put(key, "") };
                    env.kv.clone().put(put).await?;
                }
                Ok(env.ask_range(all()).await)
            },
        ),
    ]
}
