//! Contract 1.14: codes and texts that no other section's rows show, and what the server does without a leader.

use std::time::Duration;

use fairlead_proto::etcd::etcdserverpb::*;
use tokio::time::{Instant, sleep};
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};

use crate::env::Env;
use crate::request::*;
use crate::show::failed;
use crate::table::{Row, Table, differs, ours, row, same};
use crate::watching::{Watching, watch};

/// How long a member may take to notice that it has lost its peers.
const NOTICED_WITHIN: Duration = Duration::from_secs(10);

fn shown<T>(answer: Result<T, Status>) -> String {
    match answer {
        Ok(_) => "accepted".to_owned(),
        Err(status) => failed(&status),
    }
}

fn has_leader<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
    request
}

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row(
            "1.14 only the leader moves leadership",
            same("FailedPrecondition: etcdserver: not leader"),
            |env| async move {
                let leader = env.cluster.wait_leader(Duration::from_secs(5)).await?;
                let follower =
                    env.cluster.members().iter().find(|member| member.name() != leader).expect("three members");
                let follower = env.on(follower.name()).await?;
                let target_id = follower.show.member_id;
                Ok(shown(follower.maintenance.clone().move_leader(MoveLeaderRequest { target_id }).await))
            },
        ),
        row(
            "1.14 an unknown target of leadership is refused",
            same("FailedPrecondition: etcdserver: bad leader transferee"),
            |env| async move {
                let leader = env.cluster.wait_leader(Duration::from_secs(5)).await?;
                let leader = env.on(&leader).await?;
                Ok(shown(leader.maintenance.clone().move_leader(MoveLeaderRequest { target_id: 12345 }).await))
            },
        ),
        row("1.14 an unknown method is not implemented", same("Unimplemented"), |env| async move {
            let mut client = tonic::client::Grpc::new(env.channel.clone());
            client.ready().await?;
            let path = "/etcdserverpb.KV/None".parse()?;
            let codec = tonic_prost::ProstCodec::<PutRequest, PutResponse>::default();
            let answer = client.unary(Request::new(put("a", "1")), path, codec).await;
            Ok(answer.err().map_or("accepted".to_owned(), |status| format!("{:?}", status.code())))
        }),
        row(
            "1.14 authentication is off",
            same("FailedPrecondition: etcdserver: authentication is not enabled"),
            |env| async move {
                let request = AuthenticateRequest { name: "root".into(), password: "x".into() };
                Ok(shown(auth_client::AuthClient::new(env.channel.clone()).authenticate(request).await))
            },
        ),
        row("1.14 a request with hasleader is served while there is a leader", same("accepted"), |env| async move {
            Ok(shown(env.kv.clone().range(has_leader(get("a"))).await))
        }),
        row("1.14 a request with a client's api version is served", same("accepted"), |env| async move {
            let mut request = Request::new(get("a"));
            request.metadata_mut().insert("client-api-version", MetadataValue::from_static("3.5"));
            Ok(shown(env.kv.clone().range(request).await))
        }),
        row(
            "1.14 a client's api version that is not UTF-8 is refused",
            ours(
                "InvalidArgument: etcdserver: invalid client api version",
                "3.5; 3.4's transport drops the connection",
            ),
            |env| async move {
                let mut request = Request::new(get("a"));
                request.metadata_mut().insert("client-api-version", MetadataValue::try_from(&[0xff, 0xfe][..])?);
                Ok(shown(env.kv.clone().range(request).await))
            },
        ),
        row(
            "1.14 a corrupt alarm stops what is applied and lets reads pass",
            same(
                "put DataLoss: etcdserver: corrupt cluster, delete DataLoss: etcdserver: corrupt cluster, grant DataLoss: etcdserver: corrupt cluster, compact DataLoss: etcdserver: corrupt cluster, range accepted, alarm CORRUPT",
            ),
            |env| async move {
                let alarm = |action: alarm_request::AlarmAction| AlarmRequest {
                    action: action.into(),
                    member_id: env.show.member_id,
                    alarm: AlarmType::Corrupt.into(),
                };
                env.put("a", "1").await?;
                env.maintenance.clone().alarm(alarm(alarm_request::AlarmAction::Activate)).await?;
                let answers = format!(
                    "put {}, delete {}, grant {}, compact {}, range {}",
                    shown(env.kv.clone().put(put("a", "2")).await),
                    shown(env.kv.clone().delete_range(delete_range("a", "")).await),
                    shown(env.lease.clone().lease_grant(LeaseGrantRequest { ttl: 60, id: 0 }).await),
                    env.ask_compact(env.at_revision(1)).await,
                    shown(env.kv.clone().range(get("a")).await),
                );
                let raised = env.maintenance.clone().alarm(alarm(alarm_request::AlarmAction::Get)).await?.into_inner();
                env.maintenance.clone().alarm(alarm(alarm_request::AlarmAction::Deactivate)).await?;
                let names: Vec<_> = raised.alarms.iter().map(|alarm| alarm.alarm().as_str_name()).collect();
                Ok(format!("{answers}, alarm {}", names.join(" ")))
            },
        ),
    ]
}

/// Cuts the row's member off and waits until it knows no leader.
async fn isolate(env: &Env) -> anyhow::Result<()> {
    env.cluster.partition(&[&[env.member.as_str()]])?;
    let cut = Instant::now();
    while env.maintenance.clone().status(StatusRequest {}).await?.into_inner().leader != 0 {
        anyhow::ensure!(cut.elapsed() < NOTICED_WITHIN, "{} still sees a leader", env.member);
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Waits until a member follows a leader other than `lost`.
async fn follows_another(env: &Env, lost: u64) -> anyhow::Result<()> {
    let cut = Instant::now();
    loop {
        let leader = env.maintenance.clone().status(StatusRequest {}).await?.into_inner().leader;
        if leader != 0 && leader != lost {
            return Ok(());
        }
        anyhow::ensure!(cut.elapsed() < NOTICED_WITHIN, "{} follows {leader:x}", env.member);
        sleep(Duration::from_millis(20)).await;
    }
}

/// Rows that change limits or cut members off, on a cluster of their own.
pub(crate) fn limits() -> Table {
    let rows = vec![
        row(
            "1.14 --max-txn-ops is obeyed",
            same(
                "r+0 then {range r+0 count=0 []; range r+0 count=0 []}, InvalidArgument: etcdserver: too many operations in txn request",
            ),
            |env| async move {
                let two = env.ask_txn(then(vec![op_get("a"), op_get("b")])).await;
                Ok(format!("{two}, {}", env.ask_txn(then(vec![op_get("a"), op_get("b"), op_get("c")])).await))
            },
        ),
        row(
            "1.14 --max-request-bytes is obeyed",
            same("r+1, InvalidArgument: etcdserver: request is too large"),
            |env| async move {
                let small = env.ask_put(put("a", &"x".repeat(900))).await;
                Ok(format!("{small}, {}", env.ask_put(put("a", &"x".repeat(1100))).await))
            },
        ),
        row(
            "1.14 without a leader a request with hasleader is refused at once",
            same("Unavailable: etcdserver: no leader"),
            |env| async move {
                isolate(&env).await?;
                let asked = Instant::now();
                let answer = shown(env.kv.clone().range(has_leader(get("a"))).await);
                anyhow::ensure!(asked.elapsed() < Duration::from_secs(1), "refused after {:?}", asked.elapsed());
                Ok(answer)
            },
        ),
        row(
            "1.14 without a leader a linearizable range times out",
            same("Unavailable: etcdserver: request timed out"),
            |env| async move {
                isolate(&env).await?;
                Ok(shown(env.kv.clone().range(get("a")).await))
            },
        ),
        row(
            "1.14 without a leader a put times out",
            differs("DeadlineExceeded: context deadline exceeded", "3.5", "Unknown: context deadline exceeded"),
            |env| async move {
                isolate(&env).await?;
                Ok(shown(env.kv.clone().put(put("a", "1")).await))
            },
        ),
        row(
            "1.14 without a leader a serializable range is served",
            same("r+1 count=1 [a=1(c+1,m+1,v1)]"),
            |env| async move {
                env.put("a", "1").await?;
                isolate(&env).await?;
                Ok(env.ask_range(RangeRequest { serializable: true, ..get("a") }).await)
            },
        ),
        row("1.14 without a leader a status says so", same("etcdserver: no leader"), |env| async move {
            isolate(&env).await?;
            Ok(env.maintenance.clone().status(StatusRequest {}).await?.into_inner().errors.join(", "))
        }),
        row(
            "1.14 without a leader a watch with hasleader ends",
            same("Unavailable: etcdserver: no leader"),
            |env| async move {
                let mut stream = Watching::open_with(&env, |request| {
                    request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
                });
                stream.created(watch("a", "")).await?;
                isolate(&env).await?;
                stream.next().await
            },
        ),
        row(
            "1.14 without a leader a watch without hasleader stays and goes on after the heal",
            same("PUT a=1(c+1,m+1,v1)"),
            |env| async move {
                let mut stream = Watching::open(&env);
                stream.created(watch("a", "")).await?;
                let elsewhere = env.elsewhere().await?;
                isolate(&env).await?;
                follows_another(&elsewhere, env.show.member_id).await?;
                elsewhere.put("a", "1").await?;
                stream.quiet().await?;
                env.cluster.heal();
                stream.events(1).await
            },
        ),
        row(
            "1.10 periodic progress comes to those who asked, when nothing else did",
            same("w0 r+1"),
            |env| async move {
                let mut stream = Watching::open(&env);
                stream.created(WatchCreateRequest { progress_notify: true, ..watch("b", "") }).await?;
                stream.created(watch("b", "")).await?;
                env.put("a", "1").await?;
                loop {
                    let progress = stream.next().await?;
                    // A tick may have fallen between the watch and the put.
                    if progress != "w0 r+0" {
                        return Ok(progress);
                    }
                }
            },
        ),
    ];
    let args = &["--max-txn-ops=2", "--max-request-bytes=1000", "--experimental-watch-progress-notify-interval=1s"];
    Table { title: "limits", members: 3, args, rows }
}
