//! Contract 1.10: Watch.

use bytes::Bytes;
use fairlead_proto::etcd::etcdserverpb::request_op::Request;
use fairlead_proto::etcd::etcdserverpb::watch_create_request::FilterType;
use fairlead_proto::etcd::etcdserverpb::*;

use crate::env::Env;
use crate::request::*;
use crate::table::{Row, differs, row, same};
use crate::watching::{Watching, watch};

const ALL_ABOUT_A: &str = "PUT a=1(c+1,m+1,v1); PUT a=2(c+1,m+2,v2); DELETE a=(c0,m+3,v0)";

/// Revision 3 changes two keys of 700 kB each: with the records before, more than a message's 2 MiB.
async fn large_revision(env: &Env) -> anyhow::Result<()> {
    let large = |key: &str| PutRequest { value: Bytes::from(vec![b'x'; 700_000]), ..put(key, "") };
    env.kv.clone().put(large("a")).await?;
    env.kv.clone().put(large("b")).await?;
    env.kv.clone().txn(then(vec![op(Request::RequestPut(large("a"))), op(Request::RequestPut(large("b")))])).await?;
    Ok(())
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = create_rows();
    rows.extend(delivery_rows());
    rows.extend(option_rows());
    rows.extend(ending_rows());
    rows
}

fn create_rows() -> Vec<Row> {
    vec![
        row("1.10 created says the store's revision", same("w0 created r+1"), |env| async move {
            env.put("a", "1").await?;
            Watching::open(&env).create(watch("a", "")).await
        }),
        row("1.10 ids are given from 0 up", same("w0 created r+0, w1 created r+0, w2 created r+0"), |env| async move {
            let mut stream = Watching::open(&env);
            let mut shown = Vec::new();
            for _ in 0..3 {
                shown.push(stream.create(watch("a", "")).await?);
            }
            Ok(shown.join(", "))
        }),
        row("1.10 a chosen id is taken", same("w7 created r+0"), |env| async move {
            Watching::open(&env).create(WatchCreateRequest { watch_id: 7, ..watch("a", "") }).await
        }),
        row(
            "1.10 given ids go around chosen ones",
            same("w1 created r+0, w0 created r+0, w2 created r+0"),
            |env| async move {
                let mut stream = Watching::open(&env);
                let chosen = stream.create(WatchCreateRequest { watch_id: 1, ..watch("a", "") }).await?;
                let first = stream.create(watch("a", "")).await?;
                Ok(format!("{chosen}, {first}, {}", stream.create(watch("a", "")).await?))
            },
        ),
        row(
            "1.10 a chosen id in use is refused and the stream stays",
            same("w-1 created canceled r+0 \"mvcc: duplicate watch ID provided on the WatchStream\", w0 created r+0"),
            |env| async move {
                let mut stream = Watching::open(&env);
                stream.created(WatchCreateRequest { watch_id: 7, ..watch("a", "") }).await?;
                let again = stream.create(WatchCreateRequest { watch_id: 7, ..watch("b", "") }).await?;
                Ok(format!("{again}, {}", stream.create(watch("a", "")).await?))
            },
        ),
        row(
            "1.10 an inverted range is refused",
            same("w-1 created canceled r+0 \"mvcc: watcher range is empty\""),
            |env| async move { Watching::open(&env).create(watch("b", "a")).await },
        ),
        row(
            "1.10 a range end equal to the key is refused",
            same("w-1 created canceled r+0 \"mvcc: watcher range is empty\""),
            |env| async move { Watching::open(&env).create(watch("b", "b")).await },
        ),
        row(
            "1.10 a negative start is refused as compacted",
            differs(
                "w-1 created canceled r+0 \"etcdserver: mvcc: required revision has been compacted\"",
                "3.5",
                "w0 created r+0",
            ),
            |env| async move {
                Watching::open(&env).create(WatchCreateRequest { start_revision: -1, ..watch("a", "") }).await
            },
        ),
        row("1.10 an unknown request is ignored", same("w0 created r+0"), |env| async move {
            let mut stream = Watching::open(&env);
            stream.send(None).await?;
            stream.create(watch("a", "")).await
        }),
        row(
            "1.10 a start below the compact revision is created, then cancelled with it",
            same("w0 created r+3, w0 canceled r0 compacted+2"),
            |env| async move {
                env.puts("a=1 a=2 a=3").await?;
                env.compact(2).await?;
                let mut stream = Watching::open(&env);
                let created =
                    stream.create(WatchCreateRequest { start_revision: env.at_revision(1), ..watch("a", "") }).await?;
                Ok(format!("{created}, {}", stream.next().await?))
            },
        ),
        row(
            "1.10 a stream stays after a compacted watch",
            same("w1 created r+3; PUT a=4(c+1,m+4,v4)"),
            |env| async move {
                env.puts("a=1 a=2 a=3").await?;
                env.compact(2).await?;
                let mut stream = Watching::open(&env);
                stream.create(WatchCreateRequest { start_revision: env.at_revision(1), ..watch("a", "") }).await?;
                stream.next().await?;
                let created = stream.create(watch("a", "")).await?;
                env.put("a", "4").await?;
                Ok(format!("{created}; {}", stream.events(1).await?))
            },
        ),
        row(
            "1.10 a start at the compact revision is allowed",
            same("PUT a=2(c+1,m+2,v2); PUT a=3(c+1,m+3,v3)"),
            |env| async move {
                env.puts("a=1 a=2 a=3").await?;
                env.compact(2).await?;
                let mut stream = Watching::open(&env);
                stream.created(WatchCreateRequest { start_revision: env.at_revision(2), ..watch("a", "") }).await?;
                stream.events(2).await
            },
        ),
    ]
}

fn delivery_rows() -> Vec<Row> {
    vec![
        row("1.10 start 0 is the next revision", same("PUT a=2(c+1,m+2,v2)"), |env| async move {
            env.put("a", "1").await?;
            let mut stream = Watching::open(&env);
            stream.created(watch("a", "")).await?;
            env.put("a", "2").await?;
            stream.events(1).await
        }),
        row("1.10 puts and deletes arrive as they happen", same(ALL_ABOUT_A), |env| async move {
            let mut stream = Watching::open(&env);
            stream.created(watch("a", "")).await?;
            env.puts("a=1 a=2").await?;
            env.delete("a").await?;
            stream.events(3).await
        }),
        row("1.10 a start in the past replays", same(ALL_ABOUT_A), |env| async move {
            env.puts("a=1 a=2").await?;
            env.delete("a").await?;
            let mut stream = Watching::open(&env);
            stream.created(WatchCreateRequest { start_revision: env.at_revision(1), ..watch("a", "") }).await?;
            stream.events(3).await
        }),
        row(
            "1.10 a replay joins what happens now without gap or repeat",
            same("40 events, m+1 to m+40"),
            |env| async move {
                let mut stream = Watching::open(&env);
                for number in 0..20 {
                    env.put("a", &number.to_string()).await?;
                }
                stream
                    .send(Some(watch_request::RequestUnion::CreateRequest(WatchCreateRequest {
                        start_revision: env.at_revision(1),
                        ..watch("a", "")
                    })))
                    .await?;
                for number in 20..40 {
                    env.put("a", &number.to_string()).await?;
                }
                anyhow::ensure!(stream.response().await?.created, "not created first");
                let events = stream.events(40).await?;
                let revisions: Vec<_> = events.split("; ").enumerate().collect();
                anyhow::ensure!(
                    revisions.iter().all(|(at, event)| event.contains(&format!("m+{},", at + 1))),
                    "{events}"
                );
                Ok(format!("{} events, m+1 to m+40", revisions.len()))
            },
        ),
        row("1.10 a start in the future waits for it", same("PUT a=3(c+1,m+3,v3)"), |env| async move {
            let mut stream = Watching::open(&env);
            stream.created(WatchCreateRequest { start_revision: env.at_revision(3), ..watch("a", "") }).await?;
            env.puts("a=1 a=2 a=3").await?;
            stream.events(1).await
        }),
        row("1.10 a watch sees its range only", same("PUT b=2(c+2,m+2,v1)"), |env| async move {
            let mut stream = Watching::open(&env);
            stream.created(watch("b", "c")).await?;
            env.puts("a=1 b=2 c=3").await?;
            let events = stream.events(1).await?;
            stream.quiet().await?;
            Ok(events)
        }),
        row(
            "1.10 an empty key with an open end is everything",
            same("PUT a=1(c+1,m+1,v1); PUT z=2(c+2,m+2,v1)"),
            |env| async move {
                let mut stream = Watching::open(&env);
                stream.created(watch("", "\0")).await?;
                env.puts("a=1 z=2").await?;
                stream.events(2).await
            },
        ),
        row(
            "1.10 an open end is every key from the first on",
            same("PUT b=2(c+2,m+2,v1); PUT c=3(c+3,m+3,v1)"),
            |env| async move {
                let mut stream = Watching::open(&env);
                stream.created(watch("b", "\0")).await?;
                env.puts("a=1 b=2 c=3").await?;
                stream.events(2).await
            },
        ),
        row(
            "1.10 a transaction's events arrive in one response, in order",
            same("w0 r+1 [PUT a=1(c+1,m+1,v1); PUT b=2(c+1,m+1,v1); PUT c=3(c+1,m+1,v1)]"),
            |env| async move {
                let mut stream = Watching::open(&env);
                stream.created(watch("\0", "\0")).await?;
                env.ask_txn(then(vec![op_put("a", "1"), op_put("b", "2"), op_put("c", "3")])).await;
                stream.next().await
            },
        ),
        row(
            "1.10 a range delete is one event a key, in key order",
            same("w0 r+3 [DELETE a=(c0,m+3,v0); DELETE b=(c0,m+3,v0)]"),
            |env| async move {
                env.puts("b=1 a=2").await?;
                let mut stream = Watching::open(&env);
                stream.created(watch("\0", "\0")).await?;
                env.ask_delete(delete_range("a", "c")).await;
                stream.next().await
            },
        ),
        row("1.10 a write at one member is seen at another", same("PUT a=1(c+1,m+1,v1)"), |env| async move {
            let mut stream = Watching::open(&env);
            stream.created(watch("a", "")).await?;
            env.elsewhere().await?.put("a", "1").await?;
            stream.events(1).await
        }),
        row(
            "1.10 a replay of one transaction is one response",
            same("w0 r+2 [PUT a=1(c+1,m+1,v1); PUT b=2(c+1,m+1,v1); PUT a=3(c+1,m+2,v2)]"),
            |env| async move {
                env.ask_txn(then(vec![op_put("a", "1"), op_put("b", "2")])).await;
                env.put("a", "3").await?;
                let mut stream = Watching::open(&env);
                stream.created(WatchCreateRequest { start_revision: env.at_revision(1), ..watch("\0", "\0") }).await?;
                stream.next().await
            },
        ),
        row("1.10 a replay of 2500 revisions is complete", same("2500 events"), |env| async move {
            for _ in 0..25 {
                let writers = (0..4).map(|writer| {
                    let env = env.clone();
                    async move {
                        for _ in 0..25 {
                            env.put(&format!("k{writer}"), "v").await?;
                        }
                        anyhow::Ok(())
                    }
                });
                futures::future::try_join_all(writers).await?;
            }
            let mut stream = Watching::open(&env);
            stream.created(WatchCreateRequest { start_revision: env.at_revision(1), ..watch("\0", "\0") }).await?;
            Ok(format!("{} events", stream.events(2500).await?.split("; ").count()))
        }),
    ]
}

fn option_rows() -> Vec<Row> {
    vec![
        row(
            "1.10 prev_kv has the record before",
            same(
                "PUT a=1(c+1,m+1,v1); PUT a=2(c+1,m+2,v2) prev a=1(c+1,m+1,v1); DELETE a=(c0,m+3,v0) prev a=2(c+1,m+2,v2); PUT a=3(c+4,m+4,v1)",
            ),
            |env| async move {
                let mut stream = Watching::open(&env);
                stream.created(WatchCreateRequest { prev_kv: true, ..watch("a", "") }).await?;
                env.puts("a=1 a=2").await?;
                env.delete("a").await?;
                env.put("a", "3").await?;
                stream.events(4).await
            },
        ),
        row(
            "1.10 prev_kv of a replay",
            same("PUT a=2(c+1,m+2,v2) prev a=1(c+1,m+1,v1); DELETE a=(c0,m+3,v0) prev a=2(c+1,m+2,v2)"),
            |env| async move {
                env.puts("a=1 a=2").await?;
                env.delete("a").await?;
                let mut stream = Watching::open(&env);
                stream
                    .created(WatchCreateRequest { prev_kv: true, start_revision: env.at_revision(2), ..watch("a", "") })
                    .await?;
                stream.events(2).await
            },
        ),
        row(
            "1.10 prev_kv of a range delete",
            same("DELETE a=(c0,m+3,v0) prev a=1(c+1,m+1,v1); DELETE b=(c0,m+3,v0) prev b=2(c+2,m+2,v1)"),
            |env| async move {
                env.puts("a=1 b=2").await?;
                let mut stream = Watching::open(&env);
                stream.created(WatchCreateRequest { prev_kv: true, ..watch("\0", "\0") }).await?;
                env.ask_delete(delete_range("a", "c")).await;
                stream.events(2).await
            },
        ),
        row("1.10 a lease is in the event", same("PUT a=1(c+1,m+1,v1,L1)"), |env| async move {
            let lease = env.grant(1, 60).await?;
            let mut stream = Watching::open(&env);
            stream.created(watch("a", "")).await?;
            env.ask_put(PutRequest { lease, ..put("a", "1") }).await;
            stream.events(1).await
        }),
        row("1.10 NOPUT leaves deletes", same("DELETE a=(c0,m+2,v0)"), |env| async move {
            let mut stream = Watching::open(&env);
            stream.created(WatchCreateRequest { filters: vec![FilterType::Noput.into()], ..watch("a", "") }).await?;
            env.put("a", "1").await?;
            env.delete("a").await?;
            stream.events(1).await
        }),
        row("1.10 NODELETE leaves puts", same("PUT a=1(c+1,m+1,v1); PUT a=2(c+3,m+3,v1)"), |env| async move {
            let mut stream = Watching::open(&env);
            stream.created(WatchCreateRequest { filters: vec![FilterType::Nodelete.into()], ..watch("a", "") }).await?;
            env.put("a", "1").await?;
            env.delete("a").await?;
            env.put("a", "2").await?;
            stream.events(2).await
        }),
        row("1.10 both filters leave nothing", same("quiet"), |env| async move {
            let filters = vec![FilterType::Noput.into(), FilterType::Nodelete.into()];
            let mut stream = Watching::open(&env);
            stream.created(WatchCreateRequest { filters, ..watch("a", "") }).await?;
            env.put("a", "1").await?;
            env.delete("a").await?;
            stream.quiet().await.map(str::to_owned)
        }),
        row(
            "1.10 a small response is not fragmented",
            same("w0 r+1 [PUT a=1(c+1,m+1,v1); PUT b=2(c+1,m+1,v1)]"),
            |env| async move {
                let mut stream = Watching::open(&env);
                stream.created(WatchCreateRequest { fragment: true, ..watch("\0", "\0") }).await?;
                env.ask_txn(then(vec![op_put("a", "1"), op_put("b", "2")])).await;
                stream.next().await
            },
        ),
        row(
            "1.10 one revision larger than a message is split when fragments are asked for",
            same("1 event fragment, 1 event"),
            |env| async move {
                large_revision(&env).await?;
                let mut stream = Watching::open(&env);
                let request = WatchCreateRequest { fragment: true, prev_kv: true, ..watch("\0", "\0") };
                stream.created(WatchCreateRequest { start_revision: env.at_revision(3), ..request }).await?;
                let (first, second) = (stream.response().await?, stream.response().await?);
                anyhow::ensure!(first.fragment && !second.fragment, "{} {}", first.fragment, second.fragment);
                Ok(format!("{} event fragment, {} event", first.events.len(), second.events.len()))
            },
        ),
        row(
            "1.10 one revision larger than a message is whole when they are not",
            same("2 events at once"),
            |env| async move {
                large_revision(&env).await?;
                let mut stream = Watching::open(&env);
                let request = WatchCreateRequest { prev_kv: true, ..watch("\0", "\0") };
                stream.created(WatchCreateRequest { start_revision: env.at_revision(3), ..request }).await?;
                Ok(format!("{} events at once", stream.response().await?.events.len()))
            },
        ),
    ]
}

fn ending_rows() -> Vec<Row> {
    vec![
        row("1.10 a cancel is answered without a reason", same("w0 canceled r+0, quiet"), |env| async move {
            let mut stream = Watching::open(&env);
            stream.created(watch("a", "")).await?;
            stream.cancel(0).await?;
            let canceled = stream.next().await?;
            env.put("a", "1").await?;
            Ok(format!("{canceled}, {}", stream.quiet().await?))
        }),
        row("1.10 a cancel of an unknown watch is not answered", same("quiet"), |env| async move {
            let mut stream = Watching::open(&env);
            stream.created(watch("a", "")).await?;
            stream.cancel(5).await?;
            stream.quiet().await.map(str::to_owned)
        }),
        row(
            "1.10 a cancelled watch leaves the others",
            same("w0 canceled r+0, PUT a=1(c+1,m+1,v1)"),
            |env| async move {
                let mut stream = Watching::open(&env);
                stream.created(watch("a", "")).await?;
                stream.created(watch("a", "")).await?;
                stream.cancel(0).await?;
                let canceled = stream.next().await?;
                env.put("a", "1").await?;
                let event = stream.response().await?;
                anyhow::ensure!(event.watch_id == 1, "{event:?}");
                Ok(format!("{canceled}, {}", env.show.event(&event.events[0])))
            },
        ),
        row("1.10 a cancelled id can be chosen again", same("w3 canceled r+0, w3 created r+0"), |env| async move {
            let mut stream = Watching::open(&env);
            let chosen = || WatchCreateRequest { watch_id: 3, ..watch("a", "") };
            stream.created(chosen()).await?;
            stream.cancel(3).await?;
            let canceled = stream.next().await?;
            Ok(format!("{canceled}, {}", stream.create(chosen()).await?))
        }),
        row("1.10 half-closing leaves the watches running", same("PUT a=1(c+1,m+1,v1)"), |env| async move {
            let mut stream = Watching::open(&env);
            stream.created(watch("a", "")).await?;
            let mut stream = stream.half_close();
            env.put("a", "1").await?;
            stream.events(1).await
        }),
        row(
            "1.10 a stream with hasleader works while there is a leader",
            same("PUT a=1(c+1,m+1,v1)"),
            |env| async move {
                let mut stream = Watching::open_with(&env, |request| {
                    request.metadata_mut().insert("hasleader", "true".parse().expect("plain text"));
                });
                stream.created(watch("a", "")).await?;
                env.put("a", "1").await?;
                stream.events(1).await
            },
        ),
    ]
}
