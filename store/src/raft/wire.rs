//! Raft's records as bytes: what stands in the log, in the state's meta family and in peers' frames.
//!
//! ```text
//! log id      flag u8 (0 none) | term u64 | index u64          vote    term u64 | node u64 | committed u8
//! entry body  0 blank | 1… a batch of commands (its own form, first byte 1) | 254 membership
//! membership  configs u32, each: ids u32, id u64 …  | nodes u32, each: id u64, urls u32, url (length u32, bytes) …
//! ```
//! Integers are big-endian. Promises: decoding never panics and never allocates by an unchecked length; an entry's bytes
//! are slices of the frame. Does not: carry a checksum (the log and the transport have theirs).

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use openraft::entry::RaftEntry;
use openraft::vote::RaftLeaderId;

use super::types::{
    AppendRequest, AppendResponse, Entry, EntryPayload, LeaderId, LogId, Membership, Payload, Peer, StoredMembership,
    StreamAppendError, StreamAppendResult, TransferError, TransferRequest, TransferResponse, Vote, VoteRequest,
    VoteResponse, log_id, term_of,
};

const BLANK: u8 = 0;
const MEMBERSHIP: u8 = 254;

/// Bytes that are no record of this form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// Ends too early, or a length runs past the end.
    #[error("raft record is truncated")]
    Truncated,
    /// A tag that this binary does not know.
    #[error("raft record has unknown tag {0}")]
    Tag(u8),
    /// A membership that openraft refuses.
    #[error("raft membership is invalid: {0}")]
    Membership(String),
    /// A URL that is no UTF-8.
    #[error("raft membership has a URL that is no text")]
    Text,
}

type Result<T> = std::result::Result<T, Error>;

fn need(buf: &Bytes, bytes: usize) -> Result<()> {
    if buf.remaining() < bytes { Err(Error::Truncated) } else { Ok(()) }
}

fn get_u8(buf: &mut Bytes) -> Result<u8> {
    need(buf, 1)?;
    Ok(buf.get_u8())
}

fn get_u32(buf: &mut Bytes) -> Result<u32> {
    need(buf, 4)?;
    Ok(buf.get_u32())
}

fn get_u64(buf: &mut Bytes) -> Result<u64> {
    need(buf, 8)?;
    Ok(buf.get_u64())
}

fn get_bytes(buf: &mut Bytes) -> Result<Bytes> {
    let length = get_u32(buf)? as usize;
    need(buf, length)?;
    Ok(buf.split_to(length))
}

fn put_bytes(bytes: &[u8], out: &mut BytesMut) {
    out.put_u32(u32::try_from(bytes.len()).expect("records are bounded far below 4 GiB"));
    out.put_slice(bytes);
}

pub(crate) fn put_log_id(id: Option<&LogId>, out: &mut BytesMut) {
    match id {
        None => out.put_u8(0),
        Some(id) => {
            out.put_u8(1);
            out.put_u64(term_of(id));
            out.put_u64(id.index());
        }
    }
}

pub(crate) fn get_log_id(buf: &mut Bytes) -> Result<Option<LogId>> {
    match get_u8(buf)? {
        0 => Ok(None),
        1 => Ok(Some(log_id(get_u64(buf)?, get_u64(buf)?))),
        tag => Err(Error::Tag(tag)),
    }
}

pub(crate) fn put_vote(vote: &Vote, out: &mut BytesMut) {
    out.put_u64(vote.leader_id.term);
    out.put_u64(vote.leader_id.voted_for);
    out.put_u8(u8::from(vote.committed));
}

pub(crate) fn get_vote(buf: &mut Bytes) -> Result<Vote> {
    let leader_id = LeaderId::new(get_u64(buf)?, get_u64(buf)?);
    Ok(Vote { leader_id, committed: get_u8(buf)? != 0 })
}

fn put_membership(membership: &Membership, out: &mut BytesMut) {
    let count = |n: usize| u32::try_from(n).expect("a cluster has few members");
    let configs = membership.get_joint_config();
    out.put_u32(count(configs.len()));
    for config in configs {
        out.put_u32(count(config.len()));
        config.iter().for_each(|id| out.put_u64(*id));
    }
    let nodes: Vec<_> = membership.nodes().collect();
    out.put_u32(count(nodes.len()));
    for (id, peer) in nodes {
        out.put_u64(*id);
        out.put_u32(count(peer.urls.len()));
        peer.urls.iter().for_each(|url| put_bytes(url.as_bytes(), out));
    }
}

fn get_membership(buf: &mut Bytes) -> Result<Membership> {
    let mut configs = Vec::new();
    for _ in 0..get_u32(buf)? {
        let ids = (0..get_u32(buf)?).map(|_| get_u64(buf)).collect::<Result<BTreeSet<_>>>()?;
        configs.push(ids);
    }
    let mut nodes = BTreeMap::new();
    for _ in 0..get_u32(buf)? {
        let id = get_u64(buf)?;
        let urls = (0..get_u32(buf)?)
            .map(|_| String::from_utf8(get_bytes(buf)?.to_vec()).map_err(|_| Error::Text))
            .collect::<Result<Vec<_>>>()?;
        nodes.insert(id, Peer { urls });
    }
    Membership::new(configs, nodes).map_err(|error| Error::Membership(error.to_string()))
}

/// A membership and the entry that set it.
pub(crate) fn encode_stored_membership(stored: &StoredMembership) -> Bytes {
    let mut out = BytesMut::new();
    put_log_id(stored.log_id().as_ref(), &mut out);
    put_membership(stored.membership(), &mut out);
    out.freeze()
}

pub(crate) fn decode_stored_membership(mut buf: Bytes) -> Result<StoredMembership> {
    let id = get_log_id(&mut buf)?;
    Ok(StoredMembership::new(id, get_membership(&mut buf)?))
}

/// An entry's content, as it stands in the log: a batch's own bytes, uncopied.
pub(crate) fn entry_body(payload: &EntryPayload) -> Bytes {
    match payload {
        EntryPayload::Blank => Bytes::from_static(&[BLANK]),
        EntryPayload::Normal(Payload(batch)) => batch.clone(),
        EntryPayload::Membership(membership) => {
            let mut out = BytesMut::new();
            out.put_u8(MEMBERSHIP);
            put_membership(membership, &mut out);
            out.freeze()
        }
    }
}

pub(crate) fn entry_from_body(id: LogId, mut body: Bytes) -> Result<Entry> {
    let payload = match body.first() {
        None => return Err(Error::Truncated),
        Some(&BLANK) => EntryPayload::Blank,
        Some(&MEMBERSHIP) => {
            body.advance(1);
            EntryPayload::Membership(get_membership(&mut body)?)
        }
        Some(_) => EntryPayload::Normal(Payload(body)),
    };
    Ok(Entry::new(id, payload))
}

pub(crate) fn encode_append(request: &AppendRequest) -> Bytes {
    let bodies: Vec<Bytes> = request.entries.iter().map(|entry| entry_body(&entry.payload)).collect();
    let length: usize = bodies.iter().map(|body| body.len() + 20).sum();
    let mut out = BytesMut::with_capacity(64 + length);
    put_vote(&request.vote, &mut out);
    put_log_id(request.prev_log_id.as_ref(), &mut out);
    put_log_id(request.leader_commit.as_ref(), &mut out);
    out.put_u32(u32::try_from(bodies.len()).expect("openraft bounds the entries of a request"));
    for (entry, body) in request.entries.iter().zip(bodies) {
        out.put_u64(term_of(&entry.log_id));
        out.put_u64(entry.log_id.index());
        put_bytes(&body, &mut out);
    }
    out.freeze()
}

pub(crate) fn decode_append(mut buf: Bytes) -> Result<AppendRequest> {
    let vote = get_vote(&mut buf)?;
    let prev_log_id = get_log_id(&mut buf)?;
    let leader_commit = get_log_id(&mut buf)?;
    let entries = (0..get_u32(&mut buf)?)
        .map(|_| {
            let id = log_id(get_u64(&mut buf)?, get_u64(&mut buf)?);
            entry_from_body(id, get_bytes(&mut buf)?)
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(AppendRequest { vote, prev_log_id, entries, leader_commit })
}

pub(crate) fn encode_append_response(response: &AppendResponse) -> Bytes {
    let mut out = BytesMut::new();
    match response {
        AppendResponse::Success => out.put_u8(0),
        AppendResponse::PartialSuccess(id) => {
            out.put_u8(1);
            put_log_id(id.as_ref(), &mut out);
        }
        AppendResponse::Conflict => out.put_u8(2),
        AppendResponse::HigherVote(vote) => {
            out.put_u8(3);
            put_vote(vote, &mut out);
        }
    }
    out.freeze()
}

pub(crate) fn decode_append_response(mut buf: Bytes) -> Result<AppendResponse> {
    Ok(match get_u8(&mut buf)? {
        0 => AppendResponse::Success,
        1 => AppendResponse::PartialSuccess(get_log_id(&mut buf)?),
        2 => AppendResponse::Conflict,
        3 => AppendResponse::HigherVote(get_vote(&mut buf)?),
        tag => return Err(Error::Tag(tag)),
    })
}

pub(crate) fn encode_stream_result(result: &StreamAppendResult) -> Bytes {
    let mut out = BytesMut::new();
    match result {
        Ok(id) => {
            out.put_u8(0);
            put_log_id(id.as_ref(), &mut out);
        }
        Err(StreamAppendError::Conflict(id)) => {
            out.put_u8(1);
            put_log_id(Some(id), &mut out);
        }
        Err(StreamAppendError::HigherVote(vote)) => {
            out.put_u8(2);
            put_vote(vote, &mut out);
        }
    }
    out.freeze()
}

pub(crate) fn decode_stream_result(mut buf: Bytes) -> Result<StreamAppendResult> {
    Ok(match get_u8(&mut buf)? {
        0 => Ok(get_log_id(&mut buf)?),
        1 => Err(StreamAppendError::Conflict(get_log_id(&mut buf)?.ok_or(Error::Truncated)?)),
        2 => Err(StreamAppendError::HigherVote(get_vote(&mut buf)?)),
        tag => return Err(Error::Tag(tag)),
    })
}

pub(crate) fn encode_vote_request(request: &VoteRequest) -> Bytes {
    let mut out = BytesMut::new();
    put_vote(&request.vote, &mut out);
    put_log_id(request.last_log_id.as_ref(), &mut out);
    out.put_u8(u8::from(request.leadership_transfer));
    out.freeze()
}

pub(crate) fn decode_vote_request(mut buf: Bytes) -> Result<VoteRequest> {
    let mut request = VoteRequest::new(get_vote(&mut buf)?, get_log_id(&mut buf)?);
    request.leadership_transfer = get_u8(&mut buf)? != 0;
    Ok(request)
}

pub(crate) fn encode_vote_response(response: &VoteResponse) -> Bytes {
    let mut out = BytesMut::new();
    put_vote(&response.vote, &mut out);
    put_log_id(response.last_log_id.as_ref(), &mut out);
    out.put_u8(u8::from(response.vote_granted));
    out.freeze()
}

pub(crate) fn decode_vote_response(mut buf: Bytes) -> Result<VoteResponse> {
    let vote = get_vote(&mut buf)?;
    let last_log_id = get_log_id(&mut buf)?;
    Ok(VoteResponse::new(vote, last_log_id, get_u8(&mut buf)? != 0))
}

pub(crate) fn encode_transfer(request: &TransferRequest) -> Bytes {
    let mut out = BytesMut::new();
    put_vote(request.from_leader(), &mut out);
    out.put_u64(*request.to_node_id());
    put_log_id(request.last_log_id(), &mut out);
    out.freeze()
}

pub(crate) fn decode_transfer(mut buf: Bytes) -> Result<TransferRequest> {
    Ok(TransferRequest::new(get_vote(&mut buf)?, get_u64(&mut buf)?, get_log_id(&mut buf)?))
}

pub(crate) fn encode_transfer_response(response: &TransferResponse) -> Bytes {
    let mut out = BytesMut::new();
    match response {
        Ok(()) => out.put_u8(0),
        Err(TransferError::VoteChanged { expected, actual }) => {
            out.put_u8(1);
            put_vote(expected, &mut out);
            put_vote(actual, &mut out);
        }
        Err(TransferError::LogNotFlushed { expected, actual }) => {
            out.put_u8(2);
            put_log_id(expected.as_ref(), &mut out);
            put_log_id(actual.as_ref(), &mut out);
        }
    }
    out.freeze()
}

pub(crate) fn decode_transfer_response(mut buf: Bytes) -> Result<TransferResponse> {
    Ok(match get_u8(&mut buf)? {
        0 => Ok(()),
        1 => Err(TransferError::VoteChanged { expected: get_vote(&mut buf)?, actual: get_vote(&mut buf)? }),
        2 => Err(TransferError::LogNotFlushed { expected: get_log_id(&mut buf)?, actual: get_log_id(&mut buf)? }),
        tag => return Err(Error::Tag(tag)),
    })
}

/// A vote alone, as the log keeps it.
pub(crate) fn encode_vote(vote: &Vote) -> Bytes {
    let mut out = BytesMut::new();
    put_vote(vote, &mut out);
    out.freeze()
}

pub(crate) fn decode_vote(mut buf: Bytes) -> Result<Vote> {
    get_vote(&mut buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn membership() -> Membership {
        let peer = |n: u64| (n, Peer { urls: vec![format!("http://127.0.0.1:{n}")] });
        Membership::new(vec![BTreeSet::from([1, 2])], BTreeMap::from([peer(1), peer(2), peer(3)])).expect("valid")
    }

    #[test]
    fn append_requests_come_back_as_they_went_out() {
        let entries = vec![
            Entry::new(log_id(1, 4), EntryPayload::Blank),
            Entry::new(log_id(1, 5), EntryPayload::Normal(Payload(Bytes::from_static(&[1, 2, 3])))),
            Entry::new(log_id(2, 6), EntryPayload::Membership(membership())),
        ];
        let request = AppendRequest {
            vote: Vote::new_committed(2, 9),
            prev_log_id: Some(log_id(1, 3)),
            entries,
            leader_commit: None,
        };
        let back = decode_append(encode_append(&request)).expect("decodes");
        assert_eq!(format!("{back:?}"), format!("{request:?}"));
    }

    #[test]
    fn every_prefix_of_a_request_is_refused_without_a_panic() {
        let entries = vec![Entry::new(log_id(2, 6), EntryPayload::Membership(membership()))];
        let request =
            AppendRequest { vote: Vote::new(2, 9), prev_log_id: None, entries, leader_commit: Some(log_id(1, 1)) };
        let bytes = encode_append(&request);
        for end in 0..bytes.len() {
            assert!(decode_append(bytes.slice(..end)).is_err(), "{end} of {} bytes", bytes.len());
        }
    }

    #[test]
    fn small_records_come_back() {
        for result in [
            Ok(None),
            Ok(Some(log_id(3, 4))),
            Err(StreamAppendError::Conflict(log_id(3, 4))),
            Err(StreamAppendError::HigherVote(Vote::new(5, 6))),
        ] {
            assert_eq!(decode_stream_result(encode_stream_result(&result)), Ok(result));
        }
        for response in [
            AppendResponse::Success,
            AppendResponse::PartialSuccess(Some(log_id(1, 2))),
            AppendResponse::Conflict,
            AppendResponse::HigherVote(Vote::new_committed(1, 2)),
        ] {
            assert_eq!(decode_append_response(encode_append_response(&response)), Ok(response));
        }
        let mut request = VoteRequest::new(Vote::new(1, 2), Some(log_id(1, 9)));
        request.leadership_transfer = true;
        assert_eq!(decode_vote_request(encode_vote_request(&request)), Ok(request));
        let response = VoteResponse::new(Vote::new(1, 2), None, true);
        assert_eq!(decode_vote_response(encode_vote_response(&response)), Ok(response));
        let transfer = TransferRequest::new(Vote::new_committed(1, 2), 7, Some(log_id(1, 9)));
        assert_eq!(decode_transfer(encode_transfer(&transfer)), Ok(transfer));
        for response in [
            Ok(()),
            Err(TransferError::VoteChanged { expected: Vote::new(1, 2), actual: Vote::new(3, 4) }),
            Err(TransferError::LogNotFlushed { expected: Some(log_id(1, 2)), actual: None }),
        ] {
            assert_eq!(decode_transfer_response(encode_transfer_response(&response)), Ok(response));
        }
        let stored = StoredMembership::new(Some(log_id(0, 0)), membership());
        assert_eq!(decode_stored_membership(encode_stored_membership(&stored)), Ok(stored));
    }
}
