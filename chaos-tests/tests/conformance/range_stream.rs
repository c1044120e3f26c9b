//! Contract 1.5: RangeStream, which etcd has from 3.7 on.

use fairlead_proto::etcd::etcdserverpb::range_request::{SortOrder, SortTarget};
use fairlead_proto::etcd::etcdserverpb::*;

use crate::env::Env;
use crate::request::*;
use crate::show::failed;
use crate::table::{Answer, Expect, Row, differs, row};

fn since_3_7(ours: &str) -> Expect {
    differs(ours, "3.7", "Unimplemented: unknown method RangeStream for service etcdserverpb.KV")
}

/// All chunks of a stream, or the status that ended it.
async fn chunks(env: &Env, request: RangeRequest) -> anyhow::Result<Result<Vec<RangeResponse>, String>> {
    let mut stream = match env.kv.clone().range_stream(request).await {
        Ok(stream) => stream.into_inner(),
        Err(status) => return Ok(Err(failed(&status))),
    };
    let mut chunks = Vec::new();
    loop {
        match stream.message().await {
            Ok(Some(chunk)) => chunks.push(chunk.range_response.unwrap_or_default()),
            Ok(None) => return Ok(Ok(chunks)),
            Err(status) => return Ok(Err(failed(&status))),
        }
    }
}

/// The chunks put together, as one unary answer. Checks that only the last has header, more and count.
async fn merged(env: &Env, request: RangeRequest) -> Answer {
    let chunks = match chunks(env, request).await? {
        Ok(chunks) => chunks,
        Err(status) => return Ok(status),
    };
    let mut merged = RangeResponse::default();
    for (number, chunk) in chunks.iter().enumerate() {
        merged.kvs.extend_from_slice(&chunk.kvs);
        if number + 1 == chunks.len() {
            (merged.header, merged.more, merged.count) = (chunk.header, chunk.more, chunk.count);
        } else {
            anyhow::ensure!(chunk.header.is_none() && !chunk.more && chunk.count == 0, "chunk {number} is not bare");
        }
    }
    Ok(env.show.range(&merged))
}

/// Sixty keys, and how the stream cuts them: 10, then doubled while the chunks are small.
async fn sixty(env: &Env) -> anyhow::Result<()> {
    for number in 0..60 {
        env.put(&format!("k{number:02}"), "v").await?;
    }
    Ok(())
}

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row(
            "1.5 a stream's chunks are the unary answer",
            since_3_7("r+3 count=3 [a=1(c+1,m+1,v1) b=2(c+2,m+2,v1) c=3(c+3,m+3,v1)]"),
            |env| async move {
                env.puts("a=1 b=2 c=3").await?;
                merged(&env, all()).await
            },
        ),
        row("1.5 the first chunk has ten keys, the next ones double", since_3_7("10 20 30"), |env| async move {
            sixty(&env).await?;
            Ok(match chunks(&env, all()).await? {
                Ok(chunks) => chunks.iter().map(|chunk| chunk.kvs.len().to_string()).collect::<Vec<_>>().join(" "),
                Err(status) => status,
            })
        }),
        row("1.5 a limited stream stops at the limit and counts all", since_3_7("15 true 60"), |env| async move {
            sixty(&env).await?;
            Ok(match chunks(&env, RangeRequest { limit: 15, ..all() }).await? {
                Ok(chunks) => {
                    let keys: usize = chunks.iter().map(|chunk| chunk.kvs.len()).sum();
                    let last = chunks.last().cloned().unwrap_or_default();
                    format!("{keys} {} {}", last.more, last.count)
                }
                Err(status) => status,
            })
        }),
        row("1.5 an empty range is one message", since_3_7("1: r+0 count=0 []"), |env| async move {
            Ok(match chunks(&env, all()).await? {
                Ok(chunks) => format!("{}: {}", chunks.len(), env.show.range(&chunks[0])),
                Err(status) => status,
            })
        }),
        row("1.5 an old revision can be streamed", since_3_7("r+2 count=1 [a=1(c+1,m+1,v1)]"), |env| async move {
            env.puts("a=1 a=2").await?;
            merged(&env, RangeRequest { revision: env.at_revision(1), ..all() }).await
        }),
        row("1.5 keys_only streams keys", since_3_7("r+2 count=2 [a=(c+1,m+1,v1) b=(c+2,m+2,v1)]"), |env| async move {
            env.puts("a=1 b=2").await?;
            merged(&env, RangeRequest { keys_only: true, ..all() }).await
        }),
        row("1.5 count_only streams a count", since_3_7("r+2 count=2 []"), |env| async move {
            env.puts("a=1 b=2").await?;
            merged(&env, RangeRequest { count_only: true, ..all() }).await
        }),
        row("1.5 a serializable stream answers alike", since_3_7("r+1 count=1 [a=1(c+1,m+1,v1)]"), |env| async move {
            env.put("a", "1").await?;
            merged(&env, RangeRequest { serializable: true, ..all() }).await
        }),
        row("1.5 ascending by key is accepted", since_3_7("r+1 count=1 [a=1(c+1,m+1,v1)]"), |env| async move {
            env.put("a", "1").await?;
            merged(&env, RangeRequest { sort_order: SortOrder::Ascend.into(), ..all() }).await
        }),
        row(
            "1.5 descending is not supported",
            since_3_7("Unimplemented: RangeStream does not support custom sort orders"),
            |env| async move { merged(&env, RangeRequest { sort_order: SortOrder::Descend.into(), ..all() }).await },
        ),
        row(
            "1.5 a sort by value is not supported",
            since_3_7("Unimplemented: RangeStream does not support custom sort orders"),
            |env| async move {
                let request = RangeRequest {
                    sort_target: SortTarget::Value.into(),
                    sort_order: SortOrder::Ascend.into(),
                    ..all()
                };
                merged(&env, request).await
            },
        ),
        row(
            "1.5 a revision filter is not supported",
            since_3_7("Unimplemented: RangeStream does not support revision filters"),
            |env| async move { merged(&env, RangeRequest { min_mod_revision: 1, ..all() }).await },
        ),
        row(
            "1.5 an empty key is refused",
            since_3_7("InvalidArgument: etcdserver: key is not provided"),
            |env| async move { merged(&env, get("")).await },
        ),
        row(
            "1.5 a compacted revision is refused",
            since_3_7("OutOfRange: etcdserver: mvcc: required revision has been compacted"),
            |env| async move {
                env.puts("a=1 a=2 a=3").await?;
                env.compact(2).await?;
                merged(&env, RangeRequest { revision: env.at_revision(1), ..all() }).await
            },
        ),
        row(
            "1.5 a future revision is refused",
            since_3_7("OutOfRange: etcdserver: mvcc: required revision is a future revision"),
            |env| async move { merged(&env, RangeRequest { revision: env.at_revision(9), ..all() }).await },
        ),
    ]
}
