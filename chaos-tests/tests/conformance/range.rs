//! Contract 1.4: Range.

use fairlead_proto::etcd::etcdserverpb::range_request::{SortOrder, SortTarget};
use fairlead_proto::etcd::etcdserverpb::*;

use crate::env::Env;
use crate::request::*;
use crate::table::{Answer, Row, differs, ours, row, same};

/// Three keys whose orders by key, version, creation, change and value all differ.
async fn three(env: &Env) -> anyhow::Result<()> {
    env.puts("b=5 a=9 c=7 b=6 c=1 c=2").await
}

fn sorted(order: SortOrder, target: SortTarget) -> RangeRequest {
    RangeRequest { sort_order: order.into(), sort_target: target.into(), ..all() }
}

/// The keys of a range's answer over [`three`], in order.
async fn order(env: Env, request: RangeRequest) -> Answer {
    three(&env).await?;
    let response = env.kv.clone().range(request).await?.into_inner();
    Ok(response.kvs.iter().map(|kv| String::from_utf8_lossy(&kv.key).into_owned()).collect::<Vec<_>>().join(" "))
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = vec![
        row(
            "1.4 an empty key is refused",
            same("InvalidArgument: etcdserver: key is not provided"),
            |env| async move { Ok(env.ask_range(get("")).await) },
        ),
        row(
            "1.4 an empty key is refused with a range end too",
            same("InvalidArgument: etcdserver: key is not provided"),
            |env| async move { Ok(env.ask_range(range("", "\0")).await) },
        ),
        row("1.4 a missing key is an empty answer", same("r+0 count=0 []"), |env| async move {
            Ok(env.ask_range(get("a")).await)
        }),
        row("1.4 no range end reads one key", same("r+2 count=1 [a=1(c+1,m+1,v1)]"), |env| async move {
            env.puts("a=1 aa=2").await?;
            Ok(env.ask_range(get("a")).await)
        }),
        row("1.4 a range is half-open", same("r+3 count=2 [a=1(c+1,m+1,v1) b=2(c+2,m+2,v1)]"), |env| async move {
            env.puts("a=1 b=2 c=3").await?;
            Ok(env.ask_range(range("a", "c")).await)
        }),
        row(
            "1.4 a range end of \\0 reads every key from the first on",
            same("r+3 count=2 [b=2(c+2,m+2,v1) c=3(c+3,m+3,v1)]"),
            |env| async move {
                env.puts("a=1 b=2 c=3").await?;
                Ok(env.ask_range(range("b", "\0")).await)
            },
        ),
        row(
            "1.4 \\0 to \\0 reads everything",
            same("r+2 count=2 [\\0=0(c+2,m+2,v1) a=1(c+1,m+1,v1)]"),
            |env| async move {
                env.put("a", "1").await?;
                env.put("\0", "0").await?;
                Ok(env.ask_range(all()).await)
            },
        ),
        row("1.4 a range end below the key reads nothing", same("r+2 count=0 []"), |env| async move {
            env.puts("a=1 b=2").await?;
            Ok(env.ask_range(range("b", "a")).await)
        }),
        row("1.4 a range end equal to the key reads nothing", same("r+1 count=0 []"), |env| async move {
            env.put("a", "1").await?;
            Ok(env.ask_range(range("a", "a")).await)
        }),
        row("1.4 bytes outside of text are keys and values", same("1 [0, 255, 10] [254, 0]"), |env| async move {
            let (key, value) = (vec![0, 255, 10], vec![254, 0]);
            let request = PutRequest { key: key.clone().into(), value: value.into(), ..Default::default() };
            env.kv.clone().put(request).await?;
            let found =
                env.kv.clone().range(RangeRequest { key: key.into(), ..Default::default() }).await?.into_inner();
            Ok(format!("{} {:?} {:?}", found.count, found.kvs[0].key.to_vec(), found.kvs[0].value.to_vec()))
        }),
        row(
            "1.4 a limit cuts, says more, and counts all",
            same("r+3 count=3 more [a=1(c+1,m+1,v1) b=2(c+2,m+2,v1)]"),
            |env| async move {
                env.puts("a=1 b=2 c=3").await?;
                Ok(env.ask_range(RangeRequest { limit: 2, ..all() }).await)
            },
        ),
        row(
            "1.4 a limit of just all keys says no more",
            same("r+2 count=2 [a=1(c+1,m+1,v1) b=2(c+2,m+2,v1)]"),
            |env| async move {
                env.puts("a=1 b=2").await?;
                Ok(env.ask_range(RangeRequest { limit: 2, ..all() }).await)
            },
        ),
        row(
            "1.4 a negative limit is no limit",
            same("r+2 count=2 [a=1(c+1,m+1,v1) b=2(c+2,m+2,v1)]"),
            |env| async move {
                env.puts("a=1 b=2").await?;
                Ok(env.ask_range(RangeRequest { limit: -1, ..all() }).await)
            },
        ),
        row("1.4 count_only has no records", same("r+3 count=3 []"), |env| async move {
            env.puts("a=1 b=2 c=3").await?;
            Ok(env.ask_range(RangeRequest { count_only: true, ..all() }).await)
        }),
        row("1.4 count_only ignores the limit", same("r+3 count=3 []"), |env| async move {
            env.puts("a=1 b=2 c=3").await?;
            Ok(env.ask_range(RangeRequest { count_only: true, limit: 1, ..all() }).await)
        }),
        row("1.4 count_only at an old revision", same("r+3 count=2 []"), |env| async move {
            env.puts("a=1 b=2 c=3").await?;
            Ok(env.ask_range(RangeRequest { count_only: true, revision: env.at_revision(2), ..all() }).await)
        }),
        row("1.4 keys_only leaves values out", same("r+2 count=2 [a=(c+1,m+1,v1) b=(c+2,m+2,v1)]"), |env| async move {
            env.puts("a=1 b=2").await?;
            Ok(env.ask_range(RangeRequest { keys_only: true, ..all() }).await)
        }),
        row(
            "1.4 keys_only has no lease",
            differs("r+1 count=1 [a=(c+1,m+1,v1)]", "3.7: answered from the index", "r+1 count=1 [a=(c+1,m+1,v1,L1)]"),
            |env| async move {
                let lease = env.grant(1, 60).await?;
                env.kv.clone().put(PutRequest { lease, ..put("a", "1") }).await?;
                Ok(env.ask_range(RangeRequest { keys_only: true, ..all() }).await)
            },
        ),
        row(
            "1.4 keys_only sorted by value still has the lease",
            same("r+1 count=1 [a=(c+1,m+1,v1,L1)]"),
            |env| async move {
                let lease = env.grant(1, 60).await?;
                env.kv.clone().put(PutRequest { lease, ..put("a", "1") }).await?;
                let request = sorted(SortOrder::Ascend, SortTarget::Value);
                Ok(env.ask_range(RangeRequest { keys_only: true, ..request }).await)
            },
        ),
        row(
            "1.4 keys_only sorted by value is sorted by the values left out",
            same("r+2 count=2 [b=(c+2,m+2,v1) a=(c+1,m+1,v1)]"),
            |env| async move {
                env.puts("a=2 b=1").await?;
                let request = sorted(SortOrder::Ascend, SortTarget::Value);
                Ok(env.ask_range(RangeRequest { keys_only: true, ..request }).await)
            },
        ),
        row("1.4 an old revision shows what was", same("r+3 count=1 [a=1(c+1,m+1,v1)]"), |env| async move {
            env.puts("a=1 a=2").await?;
            env.delete("a").await?;
            Ok(env.ask_range(RangeRequest { revision: env.at_revision(1), ..all() }).await)
        }),
        row(
            "1.4 an old revision shows deleted keys only before their deletion",
            same("r+2 count=0 []"),
            |env| async move {
                env.put("a", "1").await?;
                env.delete("a").await?;
                Ok(env.ask_range(RangeRequest { revision: env.at_revision(2), ..all() }).await)
            },
        ),
        row("1.4 a negative revision is the latest", same("r+1 count=1 [a=1(c+1,m+1,v1)]"), |env| async move {
            env.put("a", "1").await?;
            Ok(env.ask_range(RangeRequest { revision: -1, ..all() }).await)
        }),
        row(
            "1.4 a future revision is refused",
            same("OutOfRange: etcdserver: mvcc: required revision is a future revision"),
            |env| async move { Ok(env.ask_range(RangeRequest { revision: env.at_revision(1), ..get("a") }).await) },
        ),
        row(
            "1.4 a revision below the compact revision is refused",
            same("OutOfRange: etcdserver: mvcc: required revision has been compacted"),
            |env| async move {
                env.puts("a=1 a=2 a=3").await?;
                env.compact(2).await?;
                Ok(env.ask_range(RangeRequest { revision: env.at_revision(1), ..get("a") }).await)
            },
        ),
        row("1.4 the compact revision itself is readable", same("r+3 count=1 [a=2(c+1,m+2,v2)]"), |env| async move {
            env.puts("a=1 a=2 a=3").await?;
            env.compact(2).await?;
            Ok(env.ask_range(RangeRequest { revision: env.at_revision(2), ..get("a") }).await)
        }),
        row(
            "1.4 an unknown sort order is refused",
            ours("InvalidArgument: etcdserver: invalid sort option", "3.4.25, 3.5.8"),
            |env| async move { Ok(env.ask_range(RangeRequest { sort_order: 7, ..all() }).await) },
        ),
        row(
            "1.4 an unknown sort target is refused",
            ours("InvalidArgument: etcdserver: invalid sort option", "3.4.25, 3.5.8"),
            |env| async move { Ok(env.ask_range(RangeRequest { sort_target: 9, ..all() }).await) },
        ),
        row("1.4 a sorted range is cut after sorting", same("r+6 count=3 more [a=9(c+2,m+2,v1)]"), |env| async move {
            three(&env).await?;
            Ok(env.ask_range(RangeRequest { limit: 1, ..sorted(SortOrder::Descend, SortTarget::Value) }).await)
        }),
        row(
            "1.4 min_mod_revision filters and count does not",
            same("r+6 count=3 [b=6(c+1,m+4,v2) c=2(c+3,m+6,v3)]"),
            |env| async move {
                three(&env).await?;
                Ok(env.ask_range(RangeRequest { min_mod_revision: env.at_revision(4), ..all() }).await)
            },
        ),
        row(
            "1.4 max_mod_revision filters and count does not",
            same("r+6 count=3 [a=9(c+2,m+2,v1) b=6(c+1,m+4,v2)]"),
            |env| async move {
                three(&env).await?;
                Ok(env.ask_range(RangeRequest { max_mod_revision: env.at_revision(4), ..all() }).await)
            },
        ),
        row(
            "1.4 min_create_revision filters and count does not",
            same("r+6 count=3 [a=9(c+2,m+2,v1) c=2(c+3,m+6,v3)]"),
            |env| async move {
                three(&env).await?;
                Ok(env.ask_range(RangeRequest { min_create_revision: env.at_revision(2), ..all() }).await)
            },
        ),
        row(
            "1.4 max_create_revision filters and count does not",
            same("r+6 count=3 [a=9(c+2,m+2,v1) b=6(c+1,m+4,v2)]"),
            |env| async move {
                three(&env).await?;
                Ok(env.ask_range(RangeRequest { max_create_revision: env.at_revision(2), ..all() }).await)
            },
        ),
        row("1.4 a filter is applied before the limit", same("r+6 count=3 more [b=6(c+1,m+4,v2)]"), |env| async move {
            three(&env).await?;
            Ok(env.ask_range(RangeRequest { min_mod_revision: env.at_revision(4), limit: 1, ..all() }).await)
        }),
        row(
            "1.4 a filter leaves no more when the rest is filtered out",
            same("r+6 count=3 [a=9(c+2,m+2,v1)]"),
            |env| async move {
                three(&env).await?;
                Ok(env.ask_range(RangeRequest { max_mod_revision: env.at_revision(2), limit: 1, ..all() }).await)
            },
        ),
        row("1.4 a serializable range answers alike", same("r+1 count=1 [a=1(c+1,m+1,v1)]"), |env| async move {
            env.put("a", "1").await?;
            Ok(env.ask_range(RangeRequest { serializable: true, ..all() }).await)
        }),
        row(
            "1.4 a page continues after the last key at the first page's revision",
            same("a b c d e"),
            |env| async move {
                env.puts("a=1 b=2 c=3 d=4 e=5").await?;
                let revision = env.at_revision(5);
                let (mut from, mut keys) = ("a".to_owned(), Vec::new());
                loop {
                    let page = RangeRequest { limit: 2, revision, ..range(&from, "\0") };
                    let page = env.kv.clone().range(page).await?.into_inner();
                    keys.extend(page.kvs.iter().map(|kv| String::from_utf8_lossy(&kv.key).into_owned()));
                    if !page.more {
                        return Ok(keys.join(" "));
                    }
                    from = format!("{}\0", keys[keys.len() - 1]);
                    env.put("bb", "late").await?;
                }
            },
        ),
    ];
    rows.extend(sort_rows());
    rows
}

fn sort_rows() -> Vec<Row> {
    use SortOrder::{Ascend, Descend, None as NoOrder};
    use SortTarget::{Create, Key, Mod, Value, Version};
    let table = [
        ("1.4 sort by key ascending", Ascend, Key, "a b c"),
        ("1.4 sort by key descending", Descend, Key, "c b a"),
        ("1.4 sort by key without order is the natural order", NoOrder, Key, "a b c"),
        ("1.4 sort by version ascending", Ascend, Version, "a b c"),
        ("1.4 sort by version descending", Descend, Version, "c b a"),
        ("1.4 sort by creation ascending", Ascend, Create, "b a c"),
        ("1.4 sort by creation descending", Descend, Create, "c a b"),
        ("1.4 sort by change ascending", Ascend, Mod, "a b c"),
        ("1.4 sort by change descending", Descend, Mod, "c b a"),
        ("1.4 sort by value ascending", Ascend, Value, "c b a"),
        ("1.4 sort by value descending", Descend, Value, "a b c"),
        ("1.4 sort by value without order is ascending", NoOrder, Value, "c b a"),
        ("1.4 sort by creation without order is ascending", NoOrder, Create, "b a c"),
    ];
    table
        .into_iter()
        .map(|(name, by, target, keys)| row(name, same(keys), move |env| order(env, sorted(by, target))))
        .collect()
}
