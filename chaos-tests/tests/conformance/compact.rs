//! Contract 1.8: compaction, hashing, snapshot, defragmentation.

use fairlead_proto::etcd::etcdserverpb::*;

use crate::env::Env;
use crate::request::*;
use crate::show::failed;
use crate::table::{Row, differs, ours, row, same};
use crate::watching::{Watching, watch};

const COMPACTED: &str = "OutOfRange: etcdserver: mvcc: required revision has been compacted";
const FUTURE: &str = "OutOfRange: etcdserver: mvcc: required revision is a future revision";

async fn hash(env: &Env, relative: i64) -> anyhow::Result<u32> {
    let revision = if relative == 0 { 0 } else { env.at_revision(relative) };
    Ok(env.maintenance.clone().hash_kv(HashKvRequest { revision }).await?.into_inner().hash)
}

/// A few keys with every kind of history.
async fn history(env: &Env) -> anyhow::Result<()> {
    env.puts("a=1 b=1 a=2 c=1").await?;
    env.delete("b").await?;
    env.puts("a=3 d=1").await
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = compaction_rows();
    rows.extend(hash_rows());
    rows.extend(maintenance_rows());
    rows
}

fn compaction_rows() -> Vec<Row> {
    vec![
        row("1.8 a compaction does not raise the revision", same("r+2"), |env| async move {
            env.puts("a=1 a=2").await?;
            Ok(env.ask_compact(env.at_revision(1)).await)
        }),
        row("1.8 a compaction at the compact revision is refused", same(COMPACTED), |env| async move {
            env.puts("a=1 a=2").await?;
            env.compact(2).await?;
            Ok(env.ask_compact(env.at_revision(2)).await)
        }),
        row("1.8 a compaction below the compact revision is refused", same(COMPACTED), |env| async move {
            env.puts("a=1 a=2").await?;
            env.compact(2).await?;
            Ok(env.ask_compact(env.at_revision(1)).await)
        }),
        row("1.8 a compaction at a future revision is refused", same(FUTURE), |env| async move {
            Ok(env.ask_compact(env.at_revision(1)).await)
        }),
        row(
            "1.8 a compaction at the current revision is accepted",
            same("r+1, r+1 count=1 [a=1(c+1,m+1,v1)]"),
            |env| async move {
                env.put("a", "1").await?;
                let answer = env.ask_compact(env.at_revision(1)).await;
                Ok(format!("{answer}, {}", env.ask_range(all()).await))
            },
        ),
        row(
            "1.8 compaction keeps the newest version at or below it",
            same("r+7 count=2 [a=2(c+1,m+3,v2) c=1(c+4,m+4,v1)]"),
            |env| async move {
                history(&env).await?;
                env.compact(5).await?;
                Ok(env.ask_range(RangeRequest { revision: env.at_revision(5), ..all() }).await)
            },
        ),
        row(
            "1.8 compaction keeps later versions and generations",
            same("r+7 count=3 [a=3(c+1,m+6,v3) c=1(c+4,m+4,v1) d=1(c+7,m+7,v1)]"),
            |env| async move {
                history(&env).await?;
                env.compact(5).await?;
                Ok(env.ask_range(all()).await)
            },
        ),
        row("1.8 a compacted history seen from another member", same(COMPACTED), |env| async move {
            history(&env).await?;
            env.compact(5).await?;
            let elsewhere = env.elsewhere().await?;
            elsewhere.ask_range(get("a")).await;
            Ok(elsewhere.ask_range(RangeRequest { revision: env.at_revision(4), ..get("a") }).await)
        }),
        row(
            "1.8 a watch from the compact revision sees a delete there",
            differs(
                "DELETE a=(c0,m+2,v0); PUT b=1(c+3,m+3,v1)",
                "3.4.36, 3.5.18: the tombstone at the compact revision is kept",
                "PUT b=1(c+3,m+3,v1)",
            ),
            |env| async move {
                env.put("a", "1").await?;
                env.delete("a").await?;
                env.put("b", "1").await?;
                env.compact(2).await?;
                let mut stream = Watching::open(&env);
                stream.created(WatchCreateRequest { start_revision: env.at_revision(2), ..watch("\0", "\0") }).await?;
                // Both may come in one response.
                let first = stream.events(1).await?;
                if first.contains("PUT") { Ok(first) } else { Ok(format!("{first}; {}", stream.events(1).await?)) }
            },
        ),
    ]
}

fn hash_rows() -> Vec<Row> {
    vec![
        row("1.8 HashKV at an old revision stays the same", same("equal"), |env| async move {
            history(&env).await?;
            let before = hash(&env, 5).await?;
            env.puts("a=9 z=9").await?;
            Ok(if before == hash(&env, 5).await? { "equal" } else { "differs" }.to_owned())
        }),
        row("1.8 HashKV changes with a put", same("differs"), |env| async move {
            history(&env).await?;
            let before = hash(&env, 0).await?;
            env.put("a", "9").await?;
            Ok(if before == hash(&env, 0).await? { "equal" } else { "differs" }.to_owned())
        }),
        row("1.8 HashKV of the current revision is that of revision 0", same("equal"), |env| async move {
            history(&env).await?;
            Ok(if hash(&env, 7).await? == hash(&env, 0).await? { "equal" } else { "differs" }.to_owned())
        }),
        row("1.8 HashKV is equal on all members", same("equal equal"), |env| async move {
            history(&env).await?;
            let (here, mut shown) = (hash(&env, 7).await?, Vec::new());
            for member in env.cluster.members().iter().filter(|member| member.name() != env.member) {
                let there = env.on(member.name()).await?;
                there.kv.clone().range(get("a")).await?;
                shown.push(if here == hash(&there, 7).await? { "equal" } else { "differs" });
            }
            Ok(shown.join(" "))
        }),
        row(
            "1.8 HashKV is equal on all members after a compaction",
            ours("equal equal", "3.5.5: what compaction will drop is left out"),
            |env| async move {
                history(&env).await?;
                env.compact(5).await?;
                let (here, mut shown) = (hash(&env, 7).await?, Vec::new());
                for member in env.cluster.members().iter().filter(|member| member.name() != env.member) {
                    let there = env.on(member.name()).await?;
                    there.kv.clone().range(get("a")).await?;
                    shown.push(if here == hash(&there, 7).await? { "equal" } else { "differs" });
                }
                Ok(shown.join(" "))
            },
        ),
        row("1.8 HashKV says the compact revision", same("compact+5"), |env| async move {
            history(&env).await?;
            env.compact(5).await?;
            let hashed = env.maintenance.clone().hash_kv(HashKvRequest { revision: 0 }).await?.into_inner();
            Ok(format!("compact{}", env.show.revision(hashed.compact_revision)))
        }),
        row(
            "1.8 HashKV says the revision it hashed",
            differs("r+7 hashed+6", "3.6", "r+7 hashed0"),
            |env| async move {
                history(&env).await?;
                let revision = env.at_revision(6);
                let hashed = env.maintenance.clone().hash_kv(HashKvRequest { revision }).await?.into_inner();
                Ok(format!("{} hashed{}", env.show.header(&hashed.header), env.show.revision(hashed.hash_revision)))
            },
        ),
        row("1.8 HashKV below the compact revision is refused", same(COMPACTED), |env| async move {
            history(&env).await?;
            env.compact(5).await?;
            let revision = env.at_revision(4);
            Ok(match env.maintenance.clone().hash_kv(HashKvRequest { revision }).await {
                Ok(_) => "accepted".to_owned(),
                Err(status) => failed(&status),
            })
        }),
        row("1.8 HashKV at a future revision is refused", same(FUTURE), |env| async move {
            let revision = env.at_revision(1);
            Ok(match env.maintenance.clone().hash_kv(HashKvRequest { revision }).await {
                Ok(_) => "accepted".to_owned(),
                Err(status) => failed(&status),
            })
        }),
        row("1.8 Hash answers with the member's header", same("r+1"), |env| async move {
            env.put("a", "1").await?;
            let hashed = env.maintenance.clone().hash(HashRequest {}).await?.into_inner();
            Ok(env.show.header(&hashed.header))
        }),
    ]
}

fn maintenance_rows() -> Vec<Row> {
    vec![
        row("1.8 a snapshot counts down to 0", same("remaining 0"), |env| async move {
            env.put("a", "1").await?;
            let mut stream = env.maintenance.clone().snapshot(SnapshotRequest {}).await?.into_inner();
            let mut remaining = u64::MAX;
            while let Some(part) = stream.message().await? {
                anyhow::ensure!(part.remaining_bytes <= remaining, "remaining bytes rose to {}", part.remaining_bytes);
                remaining = part.remaining_bytes;
            }
            Ok(format!("remaining {remaining}"))
        }),
        row("1.8 a snapshot ends with 32 bytes of SHA-256", same("32"), |env| async move {
            env.put("a", "1").await?;
            let mut stream = env.maintenance.clone().snapshot(SnapshotRequest {}).await?.into_inner();
            let (mut total, mut last) = (0, 0);
            while let Some(part) = stream.message().await? {
                total += part.blob.len();
                last = part.blob.len();
            }
            // `etcdctl snapshot save` takes only a file of whole 512-byte blocks and the digest.
            anyhow::ensure!(total % 512 == 32, "{total} bytes are not whole blocks and a digest");
            Ok(last.to_string())
        }),
        row("1.8 a snapshot says its version", differs("3.7", "3.6", ""), |env| async move {
            let mut stream = env.maintenance.clone().snapshot(SnapshotRequest {}).await?.into_inner();
            let first = stream.message().await?.unwrap_or_default();
            Ok(first.version.split('.').take(2).collect::<Vec<_>>().join("."))
        }),
        row(
            "1.8 defragmentation changes neither data, revision nor hash",
            same("equal, r+7 count=3 [a=3(c+1,m+6,v3) c=1(c+4,m+4,v1) d=1(c+7,m+7,v1)]"),
            |env| async move {
                history(&env).await?;
                env.compact(5).await?;
                let before = hash(&env, 0).await?;
                env.maintenance.clone().defragment(DefragmentRequest {}).await?;
                let equal = if before == hash(&env, 0).await? { "equal" } else { "differs" };
                Ok(format!("{equal}, {}", env.ask_range(all()).await))
            },
        ),
        row("1.8 defragmentation answers without a header", same("no header"), |env| async move {
            let answer = env.maintenance.clone().defragment(DefragmentRequest {}).await?.into_inner();
            Ok(env.show.header(&answer.header))
        }),
        row("1.8 a compaction catches up an interrupted reader's page", same(COMPACTED), |env| async move {
            env.puts("a=1 b=2 c=3").await?;
            let revision = env.at_revision(2);
            let page = env.kv.clone().range(RangeRequest { limit: 1, revision, ..all() }).await?.into_inner();
            anyhow::ensure!(page.more, "one page is not all");
            env.compact(3).await?;
            Ok(env.ask_range(RangeRequest { limit: 1, revision, ..range("a\0", "\0") }).await)
        }),
        row("1.8 status has sizes and the asked member's ids", same("r+1 size in use"), |env| async move {
            env.put("a", "1").await?;
            let status = env.maintenance.clone().status(StatusRequest {}).await?.into_inner();
            anyhow::ensure!(status.db_size >= status.db_size_in_use && status.db_size_in_use > 0, "{status:?}");
            anyhow::ensure!(status.leader != 0 && status.raft_index >= status.raft_applied_index, "{status:?}");
            anyhow::ensure!(
                status.raft_term == status.header.as_ref().map_or(0, |header| header.raft_term),
                "{status:?}"
            );
            Ok(format!("{} size in use", env.show.header(&status.header)))
        }),
    ]
}
