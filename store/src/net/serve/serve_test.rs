//! Listeners and connections without certificates: bounds, garbage, drain, errors.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use crate::config::{Tls, Url};
use crate::net::fixture::{Authority, Leaf, Served, get_path};
use crate::net::{Connector, Listener, tls};

async fn dial(served: &Served) -> TcpStream {
    TcpStream::connect(served.address).await.unwrap()
}

#[tokio::test]
async fn http_1_is_served_and_the_connection_is_counted() {
    let served = Served::start(None, |_| {});
    let answer = get_path(dial(&served).await, "/").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("nobody"), "{answer}");
    served.connections(0).await;
    served.stop().await;
}

#[tokio::test]
async fn http_2_is_served_without_an_upgrade_through_a_lazy_channel() {
    let served = Served::start(None, |_| {});
    let channel = Connector::new(&Tls::default(), &[]).unwrap().channel(&served.url("http"));
    let request = http::Request::get("http://x/").body(tonic::body::Body::empty()).unwrap();
    let mut channel = channel;
    std::future::poll_fn(|cx| tower::Service::poll_ready(&mut channel, cx)).await.unwrap();
    let response = tower::Service::call(&mut channel, request).await.unwrap();
    assert_eq!((response.status(), response.version()), (http::StatusCode::OK, http::Version::HTTP_2));
    served.stop().await;
}

#[tokio::test]
async fn garbage_ends_its_own_connection_only() {
    let served = Served::start(None, |_| {});
    let mut idle = dial(&served).await;
    for garbage in
        [&b"\x00\x01\x02\x03\xff\xfe\r\n\r\n"[..], b"\x16\x03\x01\x00\x05hello", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"]
    {
        let mut stream = dial(&served).await;
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        let ended =
            tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await.expect("it is closed");
        assert!(ended.is_ok() || ended.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    }
    idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    idle.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("nobody"));
    served.stop().await;
}

#[tokio::test]
async fn a_full_listener_serves_again_when_a_connection_ends() {
    let served = Served::start(None, |options| options.limits.connections_max = 1);
    let first = dial(&served).await;
    served.connections(1).await;
    let second = dial(&served).await; // in the kernel's backlog
    let waiting = tokio::spawn(get_path(second, "/"));
    assert!(
        tokio::time::timeout(Duration::from_millis(100), async {
            while !waiting.is_finished() {
                tokio::task::yield_now().await
            }
        })
        .await
        .is_err()
    );
    drop(first);
    assert!(waiting.await.unwrap().unwrap().ends_with("nobody"));
    served.stop().await;
}

#[tokio::test]
async fn a_silent_connection_is_closed_in_time() {
    let served = Served::start(None, |options| options.limits.first_byte_seconds_max = 1);
    let mut stream = dial(&served).await;
    let mut rest = Vec::new();
    let read =
        tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await.expect("it is closed");
    assert!(read.is_ok() || read.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    served.stop().await;
}

#[tokio::test]
async fn shutdown_cuts_what_does_not_drain_and_frees_the_port() {
    let served = Served::start(None, |options| options.drain = Duration::from_millis(50));
    let idle = dial(&served).await;
    let mut hanging = dial(&served).await;
    hanging.write_all(b"GET /hang HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    served.connections(2).await;
    let address = served.address;
    served.stop().await;
    let mut rest = Vec::new();
    drop(hanging.read_to_end(&mut rest).await);
    assert_eq!(rest, b"", "no answer was made up");
    drop(idle);
    let again = Url::parse(&format!("http://{address}")).unwrap();
    Listener::bind("--listen-client-urls", &[again], false).unwrap();
}

#[tokio::test]
async fn a_port_in_use_says_what_why_and_what_to_try() {
    let served = Served::start(None, |_| {});
    let error = Listener::bind("--listen-client-urls", &[served.url("http")], false).unwrap_err().to_string();
    let port = served.address.port();
    assert!(error.contains(&format!("cannot listen on http://127.0.0.1:{port}")), "{error}");
    assert!(
        error.contains("why: Address already in use") && error.contains(&format!("ss -ltnp sport = :{port}")),
        "{error}"
    );
    let elsewhere = Url::parse("http://192.0.2.1:1").unwrap();
    let error = Listener::bind("--listen-peer-urls", &[elsewhere], false).unwrap_err().to_string();
    assert!(error.contains("an IP of this machine in --listen-peer-urls"), "{error}");
    served.stop().await;
}

#[tokio::test]
async fn a_unix_socket_is_served_replaced_when_abandoned_and_removed_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap()); // left behind by a crash
    let url = format!("unix://{}", path.display());
    let served = Served::start_on(&url, None, |_| {});
    let answer = get_path(UnixStream::connect(&path).await.unwrap(), "/").await.unwrap();
    assert!(answer.ends_with("nobody"), "{answer}");
    let error = Listener::bind("--listen-client-urls", &[Url::parse(&url).unwrap()], false).unwrap_err().to_string();
    assert!(error.contains("in use"), "a socket in use is left alone: {error}");
    served.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn plain_and_tls_share_a_port_when_both_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca");
    let (cert_file, key_file) = authority.issue(folder.path(), "server", &Leaf::local("server", 1));
    let settings = Tls { cert_file: Some(cert_file), key_file: Some(key_file), ..Tls::default() };
    let server = tls::Server::new(&settings, tls::Side::Client, folder.path(), &[]).unwrap();
    // Port 0 in both: one `host:port`, so one socket.
    let served = Served::start_on("http://127.0.0.1:0,https://127.0.0.1:0", Some(server), |_| {});
    assert!(get_path(dial(&served).await, "/").await.unwrap().ends_with("nobody"));
    let ca = authority.write(&folder.path().join("ca.pem"));
    let client = tls::Client::new(&Tls { trusted_ca_file: Some(ca), ..Tls::default() }).unwrap();
    let stream = client.connect("127.0.0.1", dial(&served).await).await;
    assert!(stream.is_ok(), "{:?}", stream.err());
    served.stop().await;
}

#[tokio::test]
async fn a_dialled_member_that_is_not_there_is_named_in_the_error() {
    let folder = tempfile::tempdir().unwrap();
    let url = Url::parse(&format!("unix://{}/none.sock", folder.path().display())).unwrap();
    let mut dial = Connector::new(&Tls::default(), &[]).unwrap().dial(&url);
    let error = tower::Service::call(&mut dial, http::Uri::from_static("http://x")).await.err().unwrap();
    assert_eq!(error.to_string(), format!("cannot connect to {url}"));
}
