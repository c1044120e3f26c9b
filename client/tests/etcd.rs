//! The client against a real etcd: every call, a watch whose connections are cut, kept leases, fail-over, TLS.

#![allow(clippy::unwrap_used, reason = "the helpers below are part of tests")]

mod support;

use std::time::Duration;

use fairlead_client::etcd::{Channel, Client, Error, Identity, Lost, Options, Tls, TlsOptions, Update, Watch, kv, pb};
use support::{Member, Proxy, free_address, options, within};
use tonic::Code;

fn revision(header: Option<pb::ResponseHeader>) -> i64 {
    header.expect("etcd always sends one").revision
}

#[tokio::test]
async fn keys_are_put_read_deleted_and_compacted() {
    let member = Member::start().await;
    let client = member.client();
    for (key, value) in [("a/1", "x"), ("a/2", "y"), ("b", "z")] {
        client.put(kv::put(key, value)).await.unwrap();
    }
    let all = client.range(kv::prefix("a/")).await.unwrap();
    assert_eq!(all.kvs.iter().map(|kv| &kv.value[..]).collect::<Vec<_>>(), [b"x", b"y"]);
    assert_eq!(client.range(kv::prefix("")).await.unwrap().count, 3);

    let compare = pb::Compare {
        key: "b".into(),
        target: pb::compare::CompareTarget::Version as i32,
        target_union: Some(pb::compare::TargetUnion::Version(1)),
        ..Default::default()
    };
    let put = pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(kv::put("b", "zz"))) };
    let txn = pb::TxnRequest { compare: vec![compare], success: vec![put], ..Default::default() };
    assert!(client.txn(txn.clone()).await.unwrap().succeeded);
    assert!(!client.txn(txn).await.unwrap().succeeded);

    let deleted = client.delete_range(kv::delete_prefix("a/")).await.unwrap();
    assert_eq!(deleted.deleted, 2);
    let compact = pb::CompactionRequest { revision: revision(deleted.header), physical: true };
    client.compact(compact).await.unwrap();
    let error = client.compact(compact).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { code: Code::OutOfRange, .. }), "{error}");
    assert_eq!(error.message(), "etcdserver: mvcc: required revision has been compacted");
    let error = client.range(pb::RangeRequest { revision: 2, ..kv::key("b") }).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::OutOfRange));
}

#[tokio::test]
async fn a_range_comes_in_parts_or_the_member_is_too_old_for_it() {
    let member = Member::start().await;
    let client = member.client();
    for key in 0..50 {
        client.put(kv::put(format!("a/{key}"), "x")).await.unwrap();
    }
    match client.range_stream(kv::prefix("a/")).await {
        Ok(mut parts) => {
            let mut keys = 0;
            while let Some(part) = parts.next().await.unwrap() {
                keys += part.kvs.len();
            }
            assert_eq!(keys, 50);
        }
        Err(error) => assert_eq!(error.code(), Some(Code::Unimplemented), "{error}"),
    }
}

#[tokio::test]
async fn a_member_says_how_it_is() {
    let member = Member::start().await;
    let client = member.client();
    client.put(kv::put("a", "1")).await.unwrap();
    let members = client.member_list(false).await.unwrap().members;
    assert_eq!(members.len(), 1);
    let status = client.status().await.unwrap();
    assert_eq!(status.leader, members[0].id);
    assert_ne!(client.hash_kv(0).await.unwrap().hash, 0);
    assert!(client.alarm(pb::AlarmRequest::default()).await.unwrap().alarms.is_empty());
    let error = client.move_leader(7).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. } | Error::OutcomeUnknown { .. }), "{error}");

    let mut snapshot = client.snapshot().await.unwrap();
    let mut bytes = 0;
    while let Some(part) = snapshot.next().await.unwrap() {
        bytes += part.blob.len();
    }
    assert!(bytes > 32);
}

/// The values put under `a`, in order, as a watch delivers them.
async fn values(watch: &mut Watch, count: usize) -> Vec<i64> {
    let mut values = Vec::new();
    while values.len() < count {
        if let Update::Events { events, .. } = watch.next().await.unwrap() {
            let value = |kv: &[u8]| std::str::from_utf8(kv).unwrap().parse::<i64>().unwrap();
            values.extend(events.iter().map(|event| value(&event.kv.as_ref().unwrap().value)));
        }
    }
    values
}

#[tokio::test]
async fn a_watch_has_no_gap_and_no_repeat_while_its_connections_are_cut() {
    const PUTS: i64 = 400;
    const CUT_EVERY: i64 = 20;
    let member = Member::start().await;
    let (first, second) = (Proxy::start(member.address).await, Proxy::start(member.address).await);
    let through = Client::connect([first.url(), second.url()], options()).unwrap();
    let mut watch = through.watch(kv::watch_key("a"));
    watch.open().await.unwrap();

    let direct = member.client();
    let writing = async {
        for value in 0..PUTS {
            direct.put(kv::put("a", value.to_string())).await.unwrap();
            if value % CUT_EVERY == 0 {
                first.cut();
                second.cut();
            }
        }
    };
    let (seen, ()) = tokio::join!(values(&mut watch, PUTS as usize), writing);
    assert_eq!(seen, (0..PUTS).collect::<Vec<_>>());
    assert!(watch.resumes() > 0);
}

#[tokio::test]
async fn a_watch_outlives_the_death_of_its_member_and_says_when_history_is_gone() {
    let mut member = Member::start().await;
    let client = member.client();
    let mut watch = client.watch(kv::watch_key("a").with_previous());
    watch.open().await.unwrap();
    client.put(kv::put("a", "0")).await.unwrap();
    assert_eq!(values(&mut watch, 1).await, [0]);
    member.kill();
    member.restart().await;
    within("a put succeeds", async || client.put(kv::put("a", "1")).await.is_ok()).await;
    assert_eq!(values(&mut watch, 1).await, [1]);

    let next = watch.next_revision();
    let put = client.put(kv::put("a", "2")).await.unwrap();
    let newest = revision(client.put(kv::put("a", "3")).await.unwrap().header);
    client.compact(pb::CompactionRequest { revision: newest, physical: true }).await.unwrap();
    assert!(next < newest && revision(put.header) >= next);
    let mut late = client.watch(kv::watch_key("a").from(next));
    let error = late.next().await.unwrap_err();
    assert!(matches!(error, Error::Compacted { compact_revision } if compact_revision == newest), "{error}");
}

#[tokio::test]
async fn progress_comes_when_asked_for_and_a_dropped_watch_is_gone_at_the_server() {
    let member = Member::start().await;
    let client = member.client();
    let put = revision(client.put(kv::put("a", "1")).await.unwrap().header);
    let mut watch = client.watch(kv::watch_key("a"));
    // etcd says nothing about progress until it has looked after the new watch once.
    let progress = async {
        loop {
            watch.request_progress().await.unwrap();
            if let Ok(update) = tokio::time::timeout(Duration::from_millis(200), watch.next()).await {
                break update.unwrap();
            }
        }
    };
    assert_eq!(progress.await, Update::Progress { revision: put });

    const WATCHERS: &str = "etcd_debugging_mvcc_watcher_total";
    assert_eq!(member.metric(WATCHERS).await, Some(1.0));
    drop(watch);
    within("no watcher is left", async || member.metric(WATCHERS).await == Some(0.0)).await;
}

#[tokio::test]
async fn a_large_revision_comes_whole() {
    let member = Member::start().await;
    let client = member.client();
    let mut watch = client.watch(kv::watch_prefix("big/"));
    watch.open().await.unwrap();
    // Each event has a previous value as large as itself, so etcd must send the Txn's events in fragments.
    let big = bytes::Bytes::from(vec![b'x'; 350_000]);
    let put = |key: i32| pb::RequestOp {
        request: Some(pb::request_op::Request::RequestPut(kv::put(format!("big/{key}"), big.clone()))),
    };
    let txn = pb::TxnRequest { success: (0..4).map(put).collect(), ..Default::default() };
    for _ in 0..2 {
        client.txn(txn.clone()).await.unwrap();
    }
    let mut with_previous = client.watch(kv::watch_prefix("big/").from(2).with_previous());
    let Update::Events { events, .. } = with_previous.next().await.unwrap() else { panic!("progress") };
    let of =
        |revision: i64| events.iter().filter(|e| e.kv.as_ref().is_some_and(|kv| kv.mod_revision == revision)).count();
    assert_eq!((of(2), of(3)), (4, 4));
}

#[tokio::test]
async fn a_lease_lives_while_it_is_kept_and_its_owner_learns_when_it_is_not() {
    let mut member = Member::start().await;
    let client = member.client();
    let lease = client.lease_grant(2, 0).await.unwrap();
    client.put(pb::PutRequest { lease: lease.id, ..kv::put("a", "1") }).await.unwrap();
    let mut kept = client.keep_alive(lease.id).await.unwrap();
    let ttl = Duration::from_secs(lease.ttl.cast_unsigned());
    assert!(tokio::time::timeout(ttl * 2, kept.lost()).await.is_err());
    assert_eq!(client.range(kv::key("a")).await.unwrap().count, 1);
    assert_eq!(client.lease_time_to_live(lease.id, true).await.unwrap().keys, ["a"]);
    assert_eq!(client.leases().await.unwrap().leases.len(), 1);

    client.lease_revoke(lease.id).await.unwrap();
    assert_eq!(kept.lost().await, Lost::Gone);
    let error = client.lease_revoke(lease.id).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Some(Code::NotFound), "etcdserver: requested lease not found"));

    let lease = client.lease_grant(2, 0).await.unwrap();
    let mut kept = client.keep_alive(lease.id).await.unwrap();
    member.kill();
    let until = kept.until().expect("it was renewed just now");
    assert_eq!(kept.lost().await, Lost::Expired);
    assert!(tokio::time::Instant::now() < until + Duration::from_millis(200));
}

#[tokio::test]
async fn calls_go_on_while_one_end_point_refuses_connections() {
    let member = Member::start().await;
    let nobody = format!("http://{}", free_address());
    let client = Client::connect([nobody, member.url()], options()).unwrap();
    for _ in 0..4 {
        client.put(kv::put("a", "1")).await.unwrap();
        client.range(kv::key("a")).await.unwrap();
    }
    assert_eq!(client.range(kv::key("a")).await.unwrap().kvs[0].version, 4);
}

#[tokio::test]
async fn a_killed_member_leaves_writes_unreachable_or_unknown_and_nothing_is_written_twice() {
    let mut member = Member::start().await;
    let client = member.client();
    let mut acknowledged = 0;
    for _ in 0..20 {
        client.put(kv::put("a", "1")).await.unwrap();
        acknowledged += 1;
    }
    member.kill();
    let error = client.put(kv::put("a", "1")).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. } | Error::OutcomeUnknown { .. }), "{error}");
    let error = client.put(kv::put("a", "1")).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    member.restart().await;
    within("a read succeeds", async || client.range(kv::key("a")).await.is_ok()).await;
    assert_eq!(client.range(kv::key("a")).await.unwrap().kvs[0].version, acknowledged);
}

#[tokio::test]
async fn a_channel_can_be_a_pipe_in_the_process() {
    let member = Member::start().await;
    let address = member.address;
    let pipe = move || async move {
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        let mut outward = tokio::net::TcpStream::connect(address).await?;
        tokio::spawn(async move { tokio::io::copy_bidirectional(&mut far, &mut outward).await });
        Ok(near)
    };
    let channel = Channel::connector("http://in-process".parse().unwrap(), Default::default(), pipe);
    let client = Client::over([("pipe".to_owned(), channel)], options()).unwrap();
    client.put(kv::put("a", "1")).await.unwrap();
    assert_eq!(client.range(kv::key("a")).await.unwrap().count, 1);
}

struct Certificates {
    ca: rcgen::Certificate,
    server: rcgen::CertifiedKey<rcgen::KeyPair>,
    client: rcgen::CertifiedKey<rcgen::KeyPair>,
}

fn certificates() -> Certificates {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(params, ca_key);
    let leaf = |name: &str| {
        let signing_key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages =
            vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth, rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let cert = params.signed_by(&signing_key, &issuer).unwrap();
        rcgen::CertifiedKey { cert, signing_key }
    };
    Certificates { server: leaf("127.0.0.1"), client: leaf("someone"), ca }
}

#[tokio::test]
async fn tls_shows_a_client_certificate_and_trusts_only_the_given_ca() {
    let certificates = certificates();
    let files = tempfile::tempdir().unwrap();
    let write = |name: &str, pem: String| {
        let path = files.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path.display().to_string()
    };
    let ca = write("ca.pem", certificates.ca.pem());
    let cert = write("cert.pem", certificates.server.cert.pem());
    let key = write("key.pem", certificates.server.signing_key.serialize_pem());
    let flags = ["--trusted-ca-file", &ca, "--cert-file", &cert, "--key-file", &key, "--client-cert-auth"];
    let member = Member::start_with("https", free_address(), &flags).await;

    let identity = Identity {
        certificate: certificates.client.cert.pem().into_bytes(),
        key: certificates.client.signing_key.serialize_pem().into_bytes(),
    };
    let connect = |ca: String, identity: Option<Identity>| {
        let tls = Tls::new(&TlsOptions { ca: ca.into_bytes(), identity, server_name: None }).unwrap();
        Client::connect([format!("https://{}", member.address)], Options { tls: Some(tls), ..options() }).unwrap()
    };
    let client = connect(certificates.ca.pem(), Some(identity.clone()));
    within("etcd serves TLS", async || client.put(kv::put("a", "1")).await.is_ok()).await;

    let stranger = connect(self::certificates().ca.pem(), Some(identity));
    let error = stranger.put(kv::put("a", "2")).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    let nameless = connect(certificates.ca.pem(), None);
    assert!(nameless.put(kv::put("a", "2")).await.is_err());
    assert_eq!(client.range(kv::key("a")).await.unwrap().kvs[0].value, "1");

    let error = Tls::new(&TlsOptions { ca: b"nonsense".to_vec(), ..Default::default() }).unwrap_err();
    assert_eq!(error.to_string(), "tls: ca");
}
