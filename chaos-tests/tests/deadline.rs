//! A client's deadline without a quorum: the member gives the call up then, and not when its own patience ends (7 s).

use std::time::{Duration, Instant};

use fairlead_chaos_tests::cluster::process::{Cluster, Config, Target};
use fairlead_chaos_tests::page::Page;
use fairlead_proto::etcd::etcdserverpb as pb;
use pb::kv_client::KvClient;
use pb::watch_client::WatchClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_stream::StreamExt;
use tonic::transport::Endpoint;
use tonic::{Code, Request};

const TIME: Duration = Duration::from_millis(700);

/// Well below the member's own patience.
const SOON: Duration = Duration::from_secs(4);

fn until<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(TIME);
    request
}

/// The head of the answer to a put by a client that keeps no clock itself, so that only the member can end the call.
///
/// gRPC over HTTP/1.1: nobody asks that way, but what fails before any message is all in the head.
async fn put_without_a_clock(url: &str) -> anyhow::Result<String> {
    let address = url.trim_start_matches("http://");
    let message = b"\x0a\x01k\x12\x01v";
    let mut frame = vec![0];
    frame.extend((message.len() as u32).to_be_bytes());
    frame.extend(message);
    let head = format!(
        "POST /etcdserverpb.KV/Put HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/grpc\r\nTE: trailers\r\n\
         grpc-timeout: {}m\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        TIME.as_millis(),
        frame.len()
    );
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&[head.as_bytes(), &frame].concat()).await?;
    let mut answer = Vec::new();
    tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await??;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_without_a_quorum_ends_at_its_clients_deadline() -> anyhow::Result<()> {
    let cluster = Cluster::start(Config::new(Target::fairlead()?)).await?;
    let leader = cluster.wait_leader(SOON).await?;
    for member in cluster.members().iter().filter(|member| member.name() != leader) {
        member.pause()?;
    }
    let stopped = Instant::now();
    let url = cluster.member(&leader)?.client_url();
    let channel = Endpoint::from_shared(url.clone())?.connect().await?;

    let put = pb::PutRequest { key: "k".into(), ..Default::default() };
    let mut kv = KvClient::new(channel.clone());
    let (asked, late) = loop {
        let asked = Instant::now();
        // The others take a moment to stop.
        if let Err(late) = kv.put(until(put.clone())).await {
            break (asked, late);
        }
        anyhow::ensure!(stopped.elapsed() < SOON, "puts succeed without a quorum");
    };
    assert!(matches!(late.code(), Code::DeadlineExceeded | Code::Cancelled), "{late}");
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());

    let asked = Instant::now();
    let answer = put_without_a_clock(&url).await?;
    let took = asked.elapsed();
    assert!((TIME..SOON).contains(&took), "{took:?}: {answer}");
    assert!(answer.contains("grpc-status: 4\r\n"), "{answer}");
    assert!(answer.replace("%20", " ").contains("grpc-message: context deadline exceeded\r\n"), "{answer}");

    let create = pb::WatchCreateRequest { key: "k".into(), ..Default::default() };
    let create = pb::WatchRequest { request_union: Some(pb::watch_request::RequestUnion::CreateRequest(create)) };
    let requests = tokio_stream::once(create).chain(tokio_stream::pending());
    let asked = Instant::now();
    let mut watch = WatchClient::new(channel).watch(until(requests)).await?.into_inner();
    assert!(watch.message().await?.is_some_and(|response| response.created));
    let late = tokio::time::timeout(SOON, watch.message()).await?.expect_err("the stream has a deadline");
    assert_eq!((late.code(), late.message()), (Code::DeadlineExceeded, "context deadline exceeded"));
    assert!(asked.elapsed() >= TIME, "{:?}", asked.elapsed());

    let page = Page::of(&url).await?;
    let handled = |method| {
        let labels = [("grpc_method", method), ("grpc_code", "DeadlineExceeded")];
        page.sum_where("grpc_server_handled_total", &labels)
    };
    assert!(handled("Put") >= 1.0 && handled("Watch") == 1.0, "{} {}", handled("Put"), handled("Watch"));
    assert_eq!(page.sum("etcd_server_proposals_pending"), 0.0, "nobody waits any more");
    assert_eq!(page.sum("etcd_server_proposals_failed_total"), 2.0);
    assert_eq!(page.sum("etcd_debugging_mvcc_watcher_total"), 0.0);
    for member in cluster.members().iter().filter(|member| member.name() != leader) {
        member.resume()?;
    }
    Ok(cluster.shutdown().await?)
}
