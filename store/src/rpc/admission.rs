//! Admission: whether a request that makes the state grow is let in.
//!
//! Promises: nothing that is refused here has been proposed. Above the quota the NOSPACE alarm is raised for this member,
//! once for all who find out at the same time. While it is active anywhere, what grows is refused here, without a log
//! entry: a full disk is not filled with refusals. Since another member may just have disarmed it, this member catches up
//! before it refuses for the alarm.
//! Does not: refuse for CORRUPT (apply does, as it does for an alarm that came between).
//! Source: etcd `server/etcdserver/api/v3rpc/quota.go`.

use fairlead_proto::served::etcdserverpb as pb;
use pb::alarm_request::AlarmAction;
use tonic::Status;

use super::Context;
use super::status::{NO_SPACE, REQUEST_TOO_LARGE};
use crate::apply::Command;

/// Lets a request in that will grow the state by about `cost` bytes; 0 is always let in.
///
/// # Errors
/// NoSpace where the quota, the disk or an alarm forbids it.
pub async fn growth(ctx: &Context, cost: i64) -> Result<(), Status> {
    if cost == 0 {
        return Ok(());
    }
    if !ctx.quota.admits(ctx.mvcc.sizes().total, cost) {
        raise_no_space(ctx).await;
        return Err(NO_SPACE.into());
    }
    if ctx.disk.low() {
        return Err(NO_SPACE.into());
    }
    if ctx.alarms.no_space() {
        ctx.consensus.read_barrier().await?;
        if ctx.alarms.no_space() {
            return Err(NO_SPACE.into());
        }
    }
    Ok(())
}

/// Lets a command in whose encoding is not too large.
///
/// # Errors
/// RequestTooLarge.
pub(super) fn size(ctx: &Context, command: &Command) -> Result<(), Status> {
    if command.body_len() > ctx.limits.request_bytes_max {
        return Err(REQUEST_TOO_LARGE.into());
    }
    Ok(())
}

/// Raises the alarm for this member, unless it is active or on its way. A failure is logged: the next request tries again.
async fn raise_no_space(ctx: &Context) {
    let member_id = ctx.consensus.status().member;
    let alarm = pb::AlarmType::Nospace;
    if ctx.alarms.is_active(member_id, alarm) {
        return;
    }
    let Ok(_raising) = ctx.raising_no_space().try_lock() else { return };
    let request = pb::AlarmRequest { member_id, action: AlarmAction::Activate as i32, alarm: alarm as i32 };
    match ctx.consensus.propose(Command::Alarm(request)).await {
        Ok(_) => tracing::warn!(
            member = format_args!("{member_id:x}"),
            size = ctx.mvcc.sizes().total,
            quota = ctx.quota.bytes(),
            "out of quota: alarm NOSPACE raised; compact, defragment, then disarm it"
        ),
        Err(error) => tracing::warn!(%error, "out of quota, and the alarm NOSPACE could not be raised"),
    }
}
