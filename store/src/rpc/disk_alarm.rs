//! The alarm that follows the disk.
//!
//! Promises: while the disk is low, the NOSPACE alarm of this member is active, so that no other member lets grow what
//! this one must store; it is taken back when there is room again, but only if it was raised here for the disk and the
//! quota is not the reason too: what a person must decide stays a person's.
//! Does not: ask the disk (`disk` does), or refuse anything (`admission` and apply do).

use std::time::Duration;

use fairlead_proto::served::etcdserverpb as pb;
use pb::alarm_request::AlarmAction;
use tokio::sync::watch;

use super::Context;
use crate::apply::Command;

/// How long a proposal that failed waits for another leader before it is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Runs until the context's shutdown. Somebody else asks the disk ([`crate::disk::run`]).
pub async fn run(ctx: Context) {
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::Reserve;
    use crate::quota::Quota;
    use crate::raft::Unserved;
    use crate::rpc::testing::{MEMBER, context_with, settle};

    const NOSPACE: pb::AlarmType = pb::AlarmType::Nospace;

    #[tokio::test]
    async fn the_alarm_follows_the_disk_also_when_the_first_try_fails() {
        let (ctx, single) = context_with(|parts| parts.disk = Reserve::new(Path::new("/"), 100));
        let service = tokio::spawn(run(ctx.clone()));
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
        tokio::spawn(run(ctx.clone()));
        ctx.disk.judge(50, 10_000);
        settle().await;
        assert!(ctx.alarms.is_active(MEMBER, NOSPACE));
        ctx.disk.judge(500, 10_000);
        settle().await;
        assert!(ctx.alarms.is_active(MEMBER, NOSPACE));
        ctx.shutdown.cancel();
    }
}
