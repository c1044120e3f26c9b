//! Two small services beside the calls: alarms that follow the disk, and leader changes counted.
//!
//! Promises: while the disk is low, the NOSPACE alarm of this member is active, so that no other member lets grow what
//! this one must store; it is taken back when there is room again, but only if it was raised here for the disk and the
//! quota is not the reason too: what a person must decide stays a person's.
//! Source of the counter: etcd `server/etcdserver/server.go` (`etcd_server_leader_changes_seen_total`).

use std::time::Duration;

use fairlead_proto::served::etcdserverpb as pb;
use pb::alarm_request::AlarmAction;
use tokio::sync::watch;

use super::Context;
use crate::apply::Command;
use crate::disk;

/// How long a proposal that failed waits for another leader before it is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Runs both, and asks the disk, until the context's shutdown.
pub async fn run(ctx: Context) {
    tokio::join!(
        disk::run(ctx.disk.clone(), ctx.shutdown.clone()),
        alarm_with_the_disk(ctx.clone()),
        count_leader_changes(ctx.clone()),
    );
}

async fn alarm_with_the_disk(ctx: Context) {
    let mut low = ctx.disk.subscribe();
    let mut leader = ctx.consensus.watch_leader();
    let mut raised = false;
    loop {
        let wanted = *low.borrow_and_update();
        let settled = wanted == raised || set(&ctx, wanted).await;
        if settled {
            raised = wanted;
        }
        let retry = async {
            if settled {
                std::future::pending().await
            } else {
                changed_or_timeout(&mut leader).await;
            }
        };
        tokio::select! {
            biased;
            () = ctx.shutdown.cancelled() => return,
            changed = low.changed() => if changed.is_err() { return },
            () = retry => {}
        }
    }
}

async fn changed_or_timeout<T>(watched: &mut watch::Receiver<T>) {
    if let Ok(Err(_)) = tokio::time::timeout(RETRY, watched.changed()).await {
        // The raft room is gone: the member is stopping, and so will this.
        std::future::pending::<()>().await;
    }
}

/// Raises or clears this member's alarm; whether that is settled.
async fn set(ctx: &Context, raise: bool) -> bool {
    let member_id = ctx.consensus.status().member;
    let alarm = pb::AlarmType::Nospace;
    if raise == ctx.alarms.is_active(member_id, alarm) {
        return true;
    }
    if !raise && ctx.quota.exceeded(ctx.mvcc.sizes().total) {
        return true;
    }
    let action = if raise { AlarmAction::Activate } else { AlarmAction::Deactivate };
    let request = pb::AlarmRequest { member_id, action: action as i32, alarm: alarm as i32 };
    match ctx.propose(Command::Alarm(request)).await {
        Ok(_) if raise => tracing::warn!("alarm NOSPACE raised: this member's disk is nearly full"),
        Ok(_) => tracing::info!("alarm NOSPACE cleared: this member's disk has room again"),
        Err(status) => {
            tracing::warn!(%status, raise, "the alarm NOSPACE could not be changed yet");
            return false;
        }
    }
    true
}

async fn count_leader_changes(ctx: Context) {
    let mut leader = ctx.consensus.watch_leader();
    let mut last = None;
    loop {
        let now = *leader.borrow_and_update();
        if now.is_some() && now != last {
            ctx.metrics.server.leader_changes_seen_total.inc();
            last = now;
        }
        tokio::select! {
            biased;
            () = ctx.shutdown.cancelled() => return,
            changed = leader.changed() => if changed.is_err() { return },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::Reserve;
    use crate::quota::Quota;
    use crate::raft::Unserved;
    use crate::rpc::testing::{MEMBER, context, context_with, settle};

    const NOSPACE: pb::AlarmType = pb::AlarmType::Nospace;

    #[tokio::test]
    async fn the_alarm_follows_the_disk_also_when_the_first_try_fails() {
        let (ctx, single) = context_with(|parts| parts.disk = Reserve::new(Path::new("/"), 100));
        let service = tokio::spawn(alarm_with_the_disk(ctx.clone()));
        single.refuse(Some(Unserved::Timeout));
        ctx.disk.judge(50, 10_000);
        settle().await;
        assert!(!ctx.alarms.is_active(MEMBER, NOSPACE));
        single.refuse(None);
        single.set_status(|status| status.leader = Some(9));
        settle().await;
        assert!(ctx.alarms.is_active(MEMBER, NOSPACE));
        ctx.disk.judge(500, 10_000);
        settle().await;
        assert!(!ctx.alarms.is_active(MEMBER, NOSPACE));
        ctx.shutdown.cancel();
        service.await.unwrap();
    }

    #[tokio::test]
    async fn an_alarm_that_the_quota_needs_too_stays() {
        let (ctx, _) = context_with(|parts| {
            parts.disk = Reserve::new(Path::new("/"), 100);
            parts.quota = Quota::from_flag(1);
        });
        tokio::spawn(alarm_with_the_disk(ctx.clone()));
        ctx.disk.judge(50, 10_000);
        settle().await;
        assert!(ctx.alarms.is_active(MEMBER, NOSPACE));
        ctx.disk.judge(500, 10_000);
        settle().await;
        assert!(ctx.alarms.is_active(MEMBER, NOSPACE));
        ctx.shutdown.cancel();
    }

    #[tokio::test]
    async fn a_leader_that_comes_back_is_no_change_and_another_one_is() {
        let (ctx, single) = context();
        tokio::spawn(count_leader_changes(ctx.clone()));
        let mut seen = Vec::new();
        for leader in [Some(MEMBER), None, Some(MEMBER), Some(9), None, Some(7)] {
            single.set_status(|status| status.leader = leader);
            settle().await;
            seen.push(ctx.metrics.server.leader_changes_seen_total.get());
        }
        assert_eq!(seen, [1, 1, 1, 2, 2, 3]);
        ctx.shutdown.cancel();
    }
}
