//! A kept lease against members that renew, are silent, or do not know it; time is paused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use fairlead_proto::served::etcdserverpb as served;
use fairlead_proto::served::etcdserverpb::lease_server::{Lease as Served, LeaseServer};
use tokio_stream::StreamExt;
use tonic::{Request, Response};

use super::*;
use crate::etcd::Options;

const TTL: u64 = 9;
/// A fake's mood; 0 is to renew.
const IS_SILENT: u8 = 1;
const KNOWS_NO_LEASE: u8 = 2;

#[derive(Clone, Default)]
struct Fake {
    mood: Arc<AtomicU8>,
    renewals: Arc<AtomicUsize>,
}

#[tonic::async_trait]
impl Served for Fake {
    type LeaseKeepAliveStream =
        std::pin::Pin<Box<dyn Stream<Item = Result<served::LeaseKeepAliveResponse, Status>> + Send>>;

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<served::LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let fake = self.clone();
        let answers = request.into_inner().filter_map(move |request| {
            let id = request.map(|request| request.id);
            let answer = |ttl| Some(id.map(|id| served::LeaseKeepAliveResponse { id, ttl, ..Default::default() }));
            match fake.mood.load(Ordering::Relaxed) {
                IS_SILENT => None,
                KNOWS_NO_LEASE => answer(0),
                _ => {
                    fake.renewals.fetch_add(1, Ordering::Relaxed);
                    answer(TTL.cast_signed())
                }
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }
    async fn lease_grant(
        &self,
        _: Request<served::LeaseGrantRequest>,
    ) -> Result<Response<served::LeaseGrantResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }
    async fn lease_revoke(
        &self,
        _: Request<served::LeaseRevokeRequest>,
    ) -> Result<Response<served::LeaseRevokeResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }
    async fn lease_time_to_live(
        &self,
        _: Request<served::LeaseTimeToLiveRequest>,
    ) -> Result<Response<served::LeaseTimeToLiveResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }
    async fn lease_leases(
        &self,
        _: Request<served::LeaseLeasesRequest>,
    ) -> Result<Response<served::LeaseLeasesResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }
}

fn members<const N: usize>() -> ([Fake; N], Client) {
    let fakes: [Fake; N] = std::array::from_fn(|_| Fake::default());
    let channels: Vec<_> = fakes.iter().enumerate().collect();
    let channels =
        channels.into_iter().map(|(at, fake)| (format!("n{at}"), Channel::service(LeaseServer::new(fake.clone()))));
    let client = Client::over(channels, Options::default()).unwrap();
    (fakes, client)
}

fn ttl() -> Duration {
    Duration::from_secs(TTL)
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_at_a_third_of_its_ttl() {
    let ([member], client) = members();
    let mut kept = client.keep_alive(7).await.unwrap();
    let renewals = tokio::time::timeout(ttl() * 10, kept.lost())
        .await
        .map_or(member.renewals.load(Ordering::Relaxed), |lost| panic!("{lost}"));
    assert!((30..=31).contains(&renewals), "{renewals}");
    assert!(kept.until().is_some_and(|until| until > Instant::now() + ttl() / 2));
    assert_eq!(kept.lease(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_silent_member_is_left_for_another_in_time() {
    let ([first, second], client) = members();
    let mut kept = client.keep_alive(7).await.unwrap();
    first.mood.store(IS_SILENT, Ordering::Relaxed);
    assert!(tokio::time::timeout(ttl() * 10, kept.lost()).await.is_err());
    assert!(second.renewals.load(Ordering::Relaxed) >= 28);
}

#[tokio::test(start_paused = true)]
async fn the_owner_learns_by_its_own_clock_that_a_lease_is_lost() {
    let ([member], client) = members();
    let mut kept = client.keep_alive(7).await.unwrap();
    let until = kept.until().unwrap();
    member.mood.store(IS_SILENT, Ordering::Relaxed);
    assert_eq!(kept.lost().await, Lost::Expired);
    let late = Instant::now() - until;
    assert!(late < Duration::from_millis(10), "{late:?} late");
    assert_eq!(kept.until(), None);
    assert_eq!(kept.lost().await, Lost::Expired);
}

#[tokio::test(start_paused = true)]
async fn the_owner_learns_that_a_lease_was_revoked() {
    let ([member], client) = members();
    let mut kept = client.keep_alive(7).await.unwrap();
    member.mood.store(KNOWS_NO_LEASE, Ordering::Relaxed);
    assert_eq!(kept.lost().await, Lost::Gone);
    let error = client.keep_alive(7).await.unwrap_err();
    assert!(matches!(error, Error::LeaseNotFound { lease: 7 }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_handle_renews_no_more() {
    let ([member], client) = members();
    drop(client.keep_alive(7).await.unwrap());
    let before = member.renewals.load(Ordering::Relaxed);
    tokio::time::sleep(ttl() * 3).await;
    assert_eq!(member.renewals.load(Ordering::Relaxed), before);
}
