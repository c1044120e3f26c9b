//! Keys and values: the six KV calls, and constructors for the common requests.
//!
//! Does not: retry a write, resume a [`RangeStream`].

use bytes::Bytes;
use tonic::Streaming;

use fairlead_proto::etcd::etcdserverpb::kv_client::KvClient;

use super::error::{Effect, Error};
use super::pb::request_op::Request;
use super::watch::WatchOptions;
use super::{Channel, Client, pb};

/// One key, as it is now.
pub fn key(key: impl Into<Bytes>) -> pb::RangeRequest {
    pb::RangeRequest { key: key.into(), ..Default::default() }
}

/// All keys that begin with `prefix`, as they are now.
pub fn prefix(prefix: impl Into<Bytes>) -> pb::RangeRequest {
    let (key, range_end) = span(prefix.into());
    pb::RangeRequest { key, range_end, ..Default::default() }
}

/// Sets `key` to `value`.
pub fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> pb::PutRequest {
    pb::PutRequest { key: key.into(), value: value.into(), ..Default::default() }
}

/// Deletes one key.
pub fn delete(key: impl Into<Bytes>) -> pb::DeleteRangeRequest {
    pb::DeleteRangeRequest { key: key.into(), ..Default::default() }
}

/// Deletes all keys that begin with `prefix`.
pub fn delete_prefix(prefix: impl Into<Bytes>) -> pb::DeleteRangeRequest {
    let (key, range_end) = span(prefix.into());
    pb::DeleteRangeRequest { key, range_end, ..Default::default() }
}

/// Watches one key.
pub fn watch_key(key: impl Into<Bytes>) -> WatchOptions {
    WatchOptions::new(pb::WatchCreateRequest { key: key.into(), ..Default::default() })
}

/// Watches all keys that begin with `prefix`.
pub fn watch_prefix(prefix: impl Into<Bytes>) -> WatchOptions {
    let (key, range_end) = span(prefix.into());
    WatchOptions::new(pb::WatchCreateRequest { key, range_end, ..Default::default() })
}

/// The first key after all those that begin with `prefix`; `"\0"`, which stands for "no end", when there is none.
pub fn prefix_end(prefix: &[u8]) -> Bytes {
    match prefix.iter().rposition(|byte| *byte != 0xff) {
        None => Bytes::from_static(b"\0"),
        Some(last) => {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            end.into()
        }
    }
}

/// Key and range end for a prefix; etcd wants "\0" where the empty prefix begins.
fn span(prefix: Bytes) -> (Bytes, Bytes) {
    let end = prefix_end(&prefix);
    if prefix.is_empty() { (Bytes::from_static(b"\0"), end) } else { (prefix, end) }
}

fn stub(channel: Channel) -> KvClient<Channel> {
    KvClient::new(channel).max_decoding_message_size(usize::MAX)
}

impl Client {
    /// Reads keys.
    ///
    /// # Errors
    /// [`Error::Refused`] with etcd's code and text, or that no end-point has answered.
    pub async fn range(&self, request: pb::RangeRequest) -> Result<pb::RangeResponse, Error> {
        self.call(Effect::Read, request, |channel, request| async move { stub(channel).range(request).await }).await
    }

    /// Reads keys in parts, all at one revision. Fails over only until it is open. etcd has this from 3.7 on.
    ///
    /// # Errors
    /// As for [`Client::range`]; `Unimplemented` from an older member.
    pub async fn range_stream(&self, request: pb::RangeRequest) -> Result<RangeStream, Error> {
        let open = |channel, request| async move { stub(channel).range_stream(request).await };
        Ok(RangeStream { parts: self.call(Effect::Read, request, open).await? })
    }

    /// Sets a key.
    ///
    /// # Errors
    /// Sorted by whether the write may have taken effect: see [`Error`].
    pub async fn put(&self, request: pb::PutRequest) -> Result<pb::PutResponse, Error> {
        self.call(Effect::Write, request, |channel, request| async move { stub(channel).put(request).await }).await
    }

    /// Deletes keys.
    ///
    /// # Errors
    /// As for [`Client::put`].
    pub async fn delete_range(&self, request: pb::DeleteRangeRequest) -> Result<pb::DeleteRangeResponse, Error> {
        let send = |channel, request| async move { stub(channel).delete_range(request).await };
        self.call(Effect::Write, request, send).await
    }

    /// Compares, then does one of two lists of operations, all at one revision.
    ///
    /// # Errors
    /// As for [`Client::put`]; one that can only read is a read.
    pub async fn txn(&self, request: pb::TxnRequest) -> Result<pb::TxnResponse, Error> {
        let effect = if is_read_only(&request) { Effect::Read } else { Effect::Write };
        self.call(effect, request, |channel, request| async move { stub(channel).txn(request).await }).await
    }

    /// Gives up the history below a revision.
    ///
    /// # Errors
    /// As for [`Client::put`].
    pub async fn compact(&self, request: pb::CompactionRequest) -> Result<pb::CompactionResponse, Error> {
        self.call(Effect::Write, request, |channel, request| async move { stub(channel).compact(request).await }).await
    }
}

fn is_read_only(txn: &pb::TxnRequest) -> bool {
    txn.success.iter().chain(&txn.failure).all(|op| match &op.request {
        None | Some(Request::RequestRange(_)) => true,
        Some(Request::RequestTxn(nested)) => is_read_only(nested),
        Some(Request::RequestPut(_) | Request::RequestDeleteRange(_)) => false,
    })
}

/// The parts of a range, in key order; header, count and `more` come with the last one.
#[derive(Debug)]
pub struct RangeStream {
    parts: Streaming<pb::RangeStreamResponse>,
}

impl RangeStream {
    /// The next part; `None` after the last one.
    ///
    /// # Errors
    /// [`Error::Refused`] when its revision has been compacted meanwhile, or that the connection was lost.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> Result<Option<pb::RangeResponse>, Error> {
        let part = self.parts.message().await;
        let part = part.map_err(|status| Error::from_status(Effect::Read, "range stream", status))?;
        Ok(part.map(|part| part.range_response.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_its_successor() {
        for (prefix, end) in [(&b"a"[..], &b"b"[..]), (b"a\xff", b"b"), (b"\xff\xff", b"\0"), (b"", b"\0")] {
            assert_eq!(prefix_end(prefix), end);
        }
        assert_eq!(super::prefix("").key, "\0");
    }

    #[test]
    fn a_txn_is_a_read_only_if_neither_branch_can_write() {
        let op = |request| pb::RequestOp { request: Some(request) };
        let read = pb::TxnRequest { success: vec![op(Request::RequestRange(key("a")))], ..Default::default() };
        assert!(is_read_only(&read));
        let write = pb::TxnRequest { failure: vec![op(Request::RequestPut(put("a", "")))], ..Default::default() };
        assert!(!is_read_only(&write));
        for (inner, expected) in [(read, true), (write, false)] {
            let nested = pb::TxnRequest { success: vec![op(Request::RequestTxn(inner))], ..Default::default() };
            assert_eq!(is_read_only(&nested), expected);
        }
    }
}
