//! The scenarios.

use super::build::{Setting, crowd, everybody, lag, plan, schedule, snapshots_often, some};
use super::{How, Scenario};
use crate::fault::{Damage, Spec};
use crate::model::random::Random;
use crate::nemesis::{Menu, Role, expand};
use crate::run::Plan;
use crate::traffic::etcd::Kind;

/// A disk that ours fits on with its preallocated log, and etcd with its own.
const DISK_MIB: u32 = 1_024;

/// Milliseconds that each fdatasync is held where the floor of an acknowledgement is measured.
const HELD_MS: u64 = 300;

const fn planned(name: &'static str, about: &'static str, plan: fn(&Setting) -> Plan) -> Scenario {
    Scenario { name, about, how: How::Plan(plan) }
}

const fn not(name: &'static str, about: &'static str, reason: &'static str) -> Scenario {
    Scenario { name, about, how: How::Not(reason) }
}

/// Every scenario, the catalogue's first.
pub static ALL: &[Scenario] = &[
    planned("S-01", "a lone member acknowledges before its sync (etcd#14370)", ack_before_sync),
    planned("S-02", "the applied index is saved apart from the data; a crash between them (etcd#13766)", crashes),
    not(
        "S-03",
        "a crash during defragmentation rolls the revision back (etcd#14685)",
        "ours rewrites nothing when it is asked to defragment; etcd's needs crash points in its source",
    ),
    planned("S-04", "a crash between the batches of a compaction (etcd#17780)", crash_in_compaction),
    planned("S-05", "a read index answered although the leader has changed (etcd#20418 a)", reads_over_elections),
    planned("S-06", "a retried read index that an older answer satisfies (etcd#20418 b)", reads_over_delay),
    planned("S-07", "a member that cannot hear its peers serves stale reads (tikv#16069)", reads_of_the_deaf),
    planned("S-08", "a watch goes back in time after a snapshot install (etcd#15271)", watch_over_snapshot),
    planned("S-09", "a progress notification overtakes events (etcd#15220)", progress_flood),
    planned("S-10", "a slow watch loses events to a compaction (etcd#17529)", watches_and_compactions),
    planned("S-11", "the compacted revision's own tombstone is lost (etcd#18089, #19179)", tombstones),
    planned("S-12", "a watch from a future revision gets older events (etcd#20221)", future_watches),
    planned("S-13", "a deposed leader, stuck in a sync, revokes all leases (etcd#15247)", stuck_lessor),
    planned("S-14", "a renewal succeeds after the revoke (etcd 3.6.5)", renewals),
    planned("S-15", "a lock outlives its lease; a paused holder (etcd#11408, Jepsen)", paused_holders),
    planned("S-16", "a write that took effect is sent again (jetcd 2024, etcd#14890)", lost_answers),
    planned("S-17", "an old read inside a Txn over a compaction makes members differ (etcd#18667)", old_reads_in_txns),
    not(
        "S-18",
        "a member recovers from a snapshot without the auth state (etcd#14571)",
        "ours has no authentication yet; it comes with that issue",
    ),
    planned("S-19", "two snapshot installs close together, with compactions (etcd#18055, #20650)", two_snapshots),
    planned("S-20", "one follower cannot hear the leader, the others can (Cloudflare 2020)", half_dead_switch),
    planned("S-21", "an uncommitted tail is kept after an election (ZooKeeper-2832)", uncommitted_tail),
    planned("S-22", "an acknowledgement before a follower's log is durable (ZooKeeper-4646)", power_cut_of_a_quorum),
    planned("S-23", "all members lose power at one instant", power_cut_of_all),
    planned("S-24", "a failed fsync is taken for a late success (ATC'20)", failed_sync),
    planned("S-25", "the leader's disk is full, then two disks are (etcd#3068)", full_disks),
    planned("S-26", "bits rot in a minority's log while it is down", bit_rot),
    not(
        "S-27",
        "the raft library's own: commits without a quorum, purges under replication, stranded responders",
        "they need orders of events that only simulation can force: they are seeds there",
    ),
    not(
        "S-28",
        "a wiped member returns under its old id",
        "the harness gives no member's address to another process; the store's tests start one on a wiped folder",
    ),
    planned("S-29", "a restarted leader leads on with a state that was not synced", leader_power_cut),
    planned("mixed", "faults drawn from the seed, one to three at a time, under all traffic", mixed),
    planned("mixed-long", "as mixed, ninety seconds", mixed_long),
    planned("short", "a kill and a partition, ten seconds: whether the suite itself works", short),
    planned("failover", "each fault of the leader, five seconds each", failover),
    planned("no-space", "the quota is used up, and space given back", no_space),
    planned("clocks", "wall clocks jump by an hour", clocks),
];

fn ack_before_sync(setting: &Setting) -> Plan {
    let faults = schedule([
        (500, 5_000, Role::All, Spec::SlowFsync { delay_ms: HELD_MS }),
        (3_500, 200, Role::All, Spec::PowerCut),
    ]);
    let mut plan = plan("S-01", setting, vec![crowd(Kind::Unique, 4, 5)], faults);
    // The tracer goes with the member that loses power; what it held until then counts.
    plan.schedule[0].for_ms = 2_500;
    plan.members = 1;
    plan.disk_mib = Some(DISK_MIB);
    plan.request_ms = 4_000;
    plan
}

fn crashes(setting: &Setting) -> Plan {
    let mut random = Random::new(setting.seed);
    let rows = (0..12).map(|round| {
        let on = [Role::Leader, Role::Follower(0), Role::Follower(1)][random.below(3) as usize];
        (500 + round * 1_600, random.between(200, 900), on, Spec::Kill)
    });
    let mut plan = plan("S-02", setting, some(), schedule(rows));
    plan.flags = snapshots_often(setting);
    plan
}

fn crash_in_compaction(setting: &Setting) -> Plan {
    let mut rows = vec![(200, 14_000, Role::All, Spec::Compact { every_ms: 100 })];
    rows.extend((0..6).map(|round| (1_500 + round * 2_000, 500, Role::Follower(round as u8), Spec::Kill)));
    plan("S-04", setting, some(), schedule(rows))
}

fn reads_over_elections(setting: &Setting) -> Plan {
    let mut random = Random::new(setting.seed);
    let mut rows = vec![(0, 12_000, Role::All, Spec::Transfer { every_ms: 700 })];
    rows.extend((0..5).map(|round| (500 + round * 2_300, random.between(300, 3_000), Role::Leader, Spec::Pause)));
    plan("S-05", setting, some(), schedule(rows))
}

fn reads_over_delay(setting: &Setting) -> Plan {
    let rows = [
        (500, 6_000, Role::Leader, Spec::Delay { ms: 350, jitter_ms: 0 }),
        (8_000, 5_000, Role::Follower(0), Spec::Delay { ms: 300, jitter_ms: 300 }),
    ];
    let mut plan = plan("S-06", setting, some(), schedule(rows));
    plan.request_ms = 2_500;
    plan
}

fn reads_of_the_deaf(setting: &Setting) -> Plan {
    let rows = [
        (500, 4_000, Role::Leader, Spec::Deaf),
        (7_000, 4_000, Role::Leader, Spec::Mute),
        (13_000, 3_000, Role::Leader, Spec::Pause),
    ];
    plan("S-07", setting, some(), schedule(rows))
}

fn watch_over_snapshot(setting: &Setting) -> Plan {
    let mut plan = plan("S-08", setting, some(), schedule([(500, 0, Role::Follower(0), lag(setting))]));
    plan.flags = snapshots_often(setting);
    plan
}

fn progress_flood(setting: &Setting) -> Plan {
    let crowds = vec![crowd(Kind::Register, 8, 5), crowd(Kind::Watch, 20, 10)];
    let rows = [(500, 4_000, Role::Follower(0), Spec::Delay { ms: 20, jitter_ms: 60 })];
    plan("S-09", setting, crowds, schedule(rows))
}

fn watches_and_compactions(setting: &Setting) -> Plan {
    let crowds = vec![crowd(Kind::Register, 8, 5), crowd(Kind::Watch, 12, 20)];
    let rows = [
        (0, 9_000, Role::All, Spec::Compact { every_ms: 200 }),
        (1_000, 3_000, Role::Follower(0), Spec::Bandwidth { bytes_per_second: 40_000 }),
        (5_000, 2_000, Role::Follower(1), Spec::Pause),
    ];
    plan("S-10", setting, crowds, schedule(rows))
}

fn tombstones(setting: &Setting) -> Plan {
    let crowds = vec![crowd(Kind::Compact, 4, 50), crowd(Kind::Register, 4, 20), crowd(Kind::Watch, 8, 20)];
    plan("S-11", setting, crowds, schedule([(3_000, 1_500, Role::Leader, Spec::Kill)]))
}

fn future_watches(setting: &Setting) -> Plan {
    let crowds = vec![crowd(Kind::Register, 5, 25), crowd(Kind::Watch, 16, 20)];
    let mut plan = plan("S-12", setting, crowds, schedule([(500, 0, Role::Follower(1), lag(setting))]));
    plan.flags = snapshots_often(setting);
    plan
}

fn stuck_lessor(setting: &Setting) -> Plan {
    let crowds = vec![crowd(Kind::Lease, 24, 30), crowd(Kind::Register, 4, 25)];
    let rows =
        [(1_000, 8_000, Role::Leader, Spec::SlowFsync { delay_ms: 4_000 }), (12_000, 4_000, Role::Leader, Spec::Pause)];
    plan("S-13", setting, crowds, schedule(rows))
}

fn renewals(setting: &Setting) -> Plan {
    let crowds = vec![crowd(Kind::Lease, 20, 10), crowd(Kind::Register, 3, 25)];
    let rows =
        [(500, 5_000, Role::All, Spec::Transfer { every_ms: 800 }), (6_500, 2_500, Role::Leader, Spec::Partition)];
    plan("S-14", setting, crowds, schedule(rows))
}

fn paused_holders(setting: &Setting) -> Plan {
    let crowds = vec![crowd(Kind::Lock, 8, 20), crowd(Kind::Election, 4, 20), crowd(Kind::Register, 3, 25)];
    let rows = [(1_000, 6_000, Role::Leader, Spec::Pause), (9_000, 6_000, Role::Follower(0), Spec::Pause)];
    plan("S-15", setting, crowds, schedule(rows))
}

fn lost_answers(setting: &Setting) -> Plan {
    let rows = [
        (500, 3_000, Role::Follower(0), Spec::HalfOpen),
        (5_000, 1_500, Role::Leader, Spec::Reset),
        (8_000, 3_000, Role::Leader, Spec::HalfOpen),
    ];
    plan("S-16", setting, some(), schedule(rows))
}

fn old_reads_in_txns(setting: &Setting) -> Plan {
    let crowds = vec![crowd(Kind::OldTxn, 10, 10), crowd(Kind::Compact, 2, 100), crowd(Kind::Watch, 2, 50)];
    plan("S-17", setting, crowds, schedule([(2_000, 1_000, Role::Follower(0), Spec::Pause)]))
}

fn two_snapshots(setting: &Setting) -> Plan {
    let rows = [
        (200, 0, Role::Follower(0), lag(setting)),
        (300, 0, Role::Follower(0), lag(setting)),
        (0, 8_000, Role::All, Spec::Compact { every_ms: 200 }),
    ];
    let mut plan = plan("S-19", setting, some(), schedule(rows));
    plan.flags = snapshots_often(setting);
    plan
}

fn half_dead_switch(setting: &Setting) -> Plan {
    plan("S-20", setting, some(), schedule([(1_000, 20_000, Role::Leader, Spec::Ring)]))
}

fn uncommitted_tail(setting: &Setting) -> Plan {
    let rows = (0..3).flat_map(|round| {
        let at = 500 + round * 8_000;
        [(at, 3_500, Role::Leader, Spec::Partition), (at + 2_000, 400, Role::All, Spec::Kill)]
    });
    plan("S-21", setting, some(), schedule(rows))
}

fn power_cut_of_a_quorum(setting: &Setting) -> Plan {
    let mut crowds = some();
    crowds.push(crowd(Kind::Unique, 4, 10));
    crowds.push(crowd(Kind::Lease, 4, 20));
    let rows = (0..3).flat_map(|round| {
        let at = 500 + round * 6_000;
        [(at, 900, Role::Follower(0), Spec::Kill), (at + 1_100, 300, Role::Majority, Spec::PowerCut)]
    });
    let mut plan = plan("S-22", setting, crowds, schedule(rows));
    plan.disk_mib = Some(DISK_MIB);
    plan
}

fn power_cut_of_all(setting: &Setting) -> Plan {
    let mut crowds = some();
    crowds.push(crowd(Kind::Unique, 6, 5));
    let rows = (0..4).map(|round| (1_000 + round * 5_000, 200, Role::All, Spec::PowerCut));
    let mut plan = plan("S-23", setting, crowds, schedule(rows));
    plan.disk_mib = Some(DISK_MIB);
    plan
}

fn failed_sync(setting: &Setting) -> Plan {
    let mut crowds = some();
    crowds.push(crowd(Kind::Unique, 4, 10));
    let rows = [
        (500, 1_000, Role::Leader, Spec::FailFsync),
        (6_000, 1_000, Role::Follower(0), Spec::FailFsync),
        (12_000, 200, Role::All, Spec::PowerCut),
    ];
    let mut plan = plan("S-24", setting, crowds, schedule(rows));
    plan.disk_mib = Some(DISK_MIB);
    plan
}

fn full_disks(setting: &Setting) -> Plan {
    let rows = [(1_000, 5_000, Role::Leader, Spec::DiskFull), (10_000, 4_000, Role::Majority, Spec::DiskFull)];
    let mut plan = plan("S-25", setting, some(), schedule(rows));
    plan.disk_mib = Some(DISK_MIB);
    plan.flags = snapshots_often(setting);
    plan
}

fn bit_rot(setting: &Setting) -> Plan {
    let rows = [
        (1_000, 1_000, Role::Follower(0), Spec::Corrupt { damage: Damage::Flip }),
        (6_000, 1_000, Role::Leader, Spec::Corrupt { damage: Damage::Torn }),
    ];
    plan("S-26", setting, some(), schedule(rows))
}

fn leader_power_cut(setting: &Setting) -> Plan {
    let rows = (0..4).map(|round| (1_000 + round * 4_500, 0, Role::Leader, Spec::PowerCut));
    let mut plan = plan("S-29", setting, some(), schedule(rows));
    plan.disk_mib = Some(DISK_MIB);
    plan
}

/// Everything that needs no rights beyond tracing.
fn menu(setting: &Setting, length_ms: u64) -> Menu {
    let faults = vec![
        (4, Spec::Kill),
        (2, Spec::Terminate),
        (4, Spec::Pause),
        (4, Spec::Partition),
        (2, Spec::Deaf),
        (2, Spec::Mute),
        (2, Spec::Ring),
        (2, Spec::HalfOpen),
        (2, Spec::Delay { ms: 30, jitter_ms: 120 }),
        (2, Spec::Reset),
        (1, Spec::Bandwidth { bytes_per_second: 60_000 }),
        (2, Spec::SlowFsync { delay_ms: 150 }),
        (2, Spec::Transfer { every_ms: 600 }),
        (2, Spec::Compact { every_ms: 200 }),
        (u64::from(setting.ours), lag(setting)),
    ];
    // Election, lease, watch.
    Menu { faults, timeouts_ms: vec![1_000, 2_000, 500], overlap_max: 3, length_ms }
}

fn mix(name: &str, setting: &Setting, length_ms: u64) -> Plan {
    let mut plan = plan(name, setting, everybody(setting), expand(setting.seed, &menu(setting, length_ms)));
    plan.flags = snapshots_often(setting);
    plan
}

fn mixed(setting: &Setting) -> Plan {
    mix("mixed", setting, 25_000)
}

fn mixed_long(setting: &Setting) -> Plan {
    mix("mixed-long", setting, 90_000)
}

fn short(setting: &Setting) -> Plan {
    let rows = [(300, 900, Role::Leader, Spec::Kill), (3_000, 1_200, Role::Follower(0), Spec::Partition)];
    let mut plan = plan("short", setting, everybody(setting), schedule(rows));
    plan.warm_up_ms = 1_500;
    plan.liveness_ms = 2_000;
    plan
}

fn failover(setting: &Setting) -> Plan {
    let faults = [Spec::Kill, Spec::Pause, Spec::Partition, Spec::Deaf, Spec::Mute];
    let rows = (0..).zip(faults).map(|(round, fault)| (500 + round * 9_000, 5_000, Role::Leader, fault));
    plan("failover", setting, some(), schedule(rows))
}

fn no_space(setting: &Setting) -> Plan {
    let rows = [(500, 1_000, Role::All, Spec::NoSpace { bytes: 64 << 20 })];
    let mut plan = plan("no-space", setting, some(), schedule(rows));
    plan.flags = vec!["--quota-backend-bytes=16777216".to_owned()];
    plan
}

fn clocks(setting: &Setting) -> Plan {
    let mut crowds = some();
    crowds.push(crowd(Kind::Lease, 6, 30));
    let rows = [
        (500, 4_000, Role::Leader, Spec::ClockJump { seconds: 3_600 }),
        (6_000, 4_000, Role::Follower(0), Spec::ClockJump { seconds: -3_600 }),
    ];
    let mut plan = plan("clocks", setting, crowds, schedule(rows));
    plan.clocks = true;
    plan
}
