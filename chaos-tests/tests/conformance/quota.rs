//! Contract 1.7: quota and the NOSPACE alarm, on a member with a quota of 16 MiB.

use bytes::Bytes;
use fairlead_proto::etcd::etcdserverpb::*;

use crate::env::Env;
use crate::request::*;
use crate::show::failed;
use crate::table::{Table, row, same};

const NO_SPACE: &str = "ResourceExhausted: etcdserver: mvcc: database space exceeded";

/// Puts 1 MB at a time until one is refused, and returns the refusal. etcd learns its size only as it commits, so that many
/// more than sixteen may fit.
async fn fill(env: &Env) -> anyhow::Result<String> {
    for number in 0..100 {
        let put = PutRequest { value: Bytes::from(vec![b'x'; 1_000_000]), ..put(&format!("fill{number:02}"), "") };
        if let Err(status) = env.kv.clone().put(put).await {
            return Ok(failed(&status));
        }
    }
    anyhow::bail!("100 MB fit")
}

async fn alarms(env: &Env) -> anyhow::Result<String> {
    let request = AlarmRequest { action: alarm_request::AlarmAction::Get.into(), member_id: 0, alarm: 0 };
    let raised = env.maintenance.clone().alarm(request).await?.into_inner().alarms;
    Ok(raised.iter().map(|alarm| alarm.alarm().as_str_name()).collect::<Vec<_>>().join(" "))
}

/// Empties the store, gives the space back and lowers the alarm.
async fn clear(env: &Env) -> anyhow::Result<()> {
    let deleted = env.kv.clone().delete_range(delete_range("\0", "\0")).await?.into_inner();
    let revision = deleted.header.unwrap_or_default().revision;
    env.kv.clone().compact(CompactionRequest { revision, physical: true }).await?;
    env.maintenance.clone().defragment(DefragmentRequest {}).await?;
    let request = AlarmRequest {
        action: alarm_request::AlarmAction::Deactivate.into(),
        member_id: env.show.member_id,
        alarm: AlarmType::Nospace.into(),
    };
    env.maintenance.clone().alarm(request).await?;
    Ok(())
}

pub(crate) fn table() -> Table {
    let rows = vec![
        row(
            "1.7 a full store refuses a put and raises the alarm",
            same(format!("{NO_SPACE}, NOSPACE")),
            |env| async move {
                let refused = fill(&env).await?;
                Ok(format!("{refused}, {}", alarms(&env).await?))
            },
        ),
        row("1.7 with the alarm up a small put is refused", same(NO_SPACE), |env| async move {
            fill(&env).await?;
            Ok(env.ask_put(put("a", "1")).await)
        }),
        row("1.7 with the alarm up a grant is refused", same(NO_SPACE), |env| async move {
            fill(&env).await?;
            Ok(match env.lease.clone().lease_grant(LeaseGrantRequest { ttl: 60, id: 0 }).await {
                Ok(_) => "granted".to_owned(),
                Err(status) => failed(&status),
            })
        }),
        row("1.7 with the alarm up a transaction with a put is refused", same(NO_SPACE), |env| async move {
            fill(&env).await?;
            Ok(env.ask_txn(then(vec![op_put("a", "1")])).await)
        }),
        row(
            "1.7 with the alarm up a transaction with a put in the branch not taken is refused",
            same(NO_SPACE),
            |env| async move {
                fill(&env).await?;
                Ok(env.ask_txn(txn(vec![], vec![op_delete("a", "")], vec![op_put("a", "1")])).await)
            },
        ),
        row("1.7 with the alarm up reads and deletes pass", same("count=1, deleted=1, then"), |env| async move {
            fill(&env).await?;
            let found = env.kv.clone().range(RangeRequest { count_only: true, ..get("fill00") }).await?.into_inner();
            let deleted = env.kv.clone().delete_range(delete_range("fill00", "")).await?.into_inner();
            let chosen = env.kv.clone().txn(then(vec![op_delete("fill01", "")])).await?.into_inner();
            Ok(format!(
                "count={}, deleted={}, {}",
                found.count,
                deleted.deleted,
                if chosen.succeeded { "then" } else { "else" }
            ))
        }),
        row("1.7 with the alarm up a revoke and a compaction pass", same("revoked, compacted"), |env| async move {
            let id = env.grant(1, 60).await?;
            fill(&env).await?;
            env.lease.clone().lease_revoke(LeaseRevokeRequest { id }).await?;
            env.compact(1).await?;
            Ok("revoked, compacted".to_owned())
        }),
        row("1.7 the alarm is in the status's errors", same("one naming NOSPACE"), |env| async move {
            fill(&env).await?;
            let errors = env.maintenance.clone().status(StatusRequest {}).await?.into_inner().errors;
            anyhow::ensure!(errors.len() == 1 && errors[0].contains("alarm:NOSPACE"), "{errors:?}");
            Ok("one naming NOSPACE".to_owned())
        }),
        row("1.7 deleting does not lower the alarm, disarming does", same("NOSPACE, , r+1"), |env| async move {
            fill(&env).await?;
            env.kv.clone().delete_range(delete_range("\0", "\0")).await?;
            let still = alarms(&env).await?;
            clear(&env).await?;
            let lowered = alarms(&env).await?;
            let revision = env.kv.clone().range(get("x")).await?.into_inner().header.unwrap_or_default().revision;
            let put = env.kv.clone().put(put("a", "1")).await?.into_inner().header.unwrap_or_default().revision;
            Ok(format!("{still}, {lowered}, r{:+}", put - revision))
        }),
    ];
    let rows = rows.into_iter().map(|row| row.before(|env| async move { clear(&env).await })).collect();
    Table { title: "quota", members: 1, args: &["--quota-backend-bytes=16777216"], rows }
}
