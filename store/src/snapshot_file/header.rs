//! A snapshot's first and last frame: what it is of, and what it held.
//!
//! Pure encoding; `Option` is one byte 0 or 1 before the value. Decoding never panics: `None` is "malformed".

use bytes::{Buf, BufMut, Bytes};

use crate::engine::Family;

/// The last log entry whose effect is in the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AppliedId {
    /// Its term.
    pub term: u64,
    /// Its index.
    pub index: u64,
}

/// What a snapshot is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The cluster whose state it is.
    pub cluster: u64,
    /// The member that wrote it; `None` where no member did.
    pub member: Option<u64>,
    /// The log entry it ends with; `None` where nothing had been applied.
    pub applied: Option<AppliedId>,
    /// The store's revision at it.
    pub revision: i64,
    /// The membership at it, in the form that `raft` chose; opaque here.
    pub membership: Bytes,
}

/// One family's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilyCount {
    /// The family.
    pub family: Family,
    /// Records.
    pub records: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
}

/// What a whole, verified snapshot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its first frame.
    pub header: Header,
    /// A count for each family it carries, in the order of [`Family::ALL`].
    pub families: Vec<FamilyCount>,
    /// CRC32C over families and records: equal for equal content, however it was cut into blocks.
    pub hash: u32,
    /// The file's size, digest included.
    pub file_bytes: u64,
    /// The file's last 32 bytes: SHA-256 over all before them.
    pub sha256: [u8; 32],
}

impl Summary {
    /// Records of all families.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.families.iter().map(|family| family.records).sum()
    }

    /// Records of one family; 0 where the file has none.
    #[must_use]
    pub fn records_of(&self, family: Family) -> u64 {
        self.families.iter().find(|count| count.family == family).map_or(0, |count| count.records)
    }
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.membership.len());
        out.put_u64(self.cluster);
        out.put_u8(self.member.is_some().into());
        out.put_u64(self.member.unwrap_or_default());
        let applied = self.applied.unwrap_or(AppliedId { term: 0, index: 0 });
        out.put_u8(self.applied.is_some().into());
        out.put_u64(applied.term);
        out.put_u64(applied.index);
        out.put_i64(self.revision);
        out.put_slice(&self.membership);
        out
    }

    pub(super) fn decode(mut body: Bytes) -> Option<Header> {
        let cluster = body.try_get_u64().ok()?;
        let has_member = flag(&mut body)?;
        let member = body.try_get_u64().ok()?;
        let has_applied = flag(&mut body)?;
        let applied = AppliedId { term: body.try_get_u64().ok()?, index: body.try_get_u64().ok()? };
        let revision = body.try_get_i64().ok()?;
        Some(Header {
            cluster,
            member: has_member.then_some(member),
            applied: has_applied.then_some(applied),
            revision,
            membership: body,
        })
    }
}

fn flag(body: &mut Bytes) -> Option<bool> {
    match body.try_get_u8().ok()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// The last frame: what was written, to be compared with what was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) hash: u32,
    pub(super) families: Vec<FamilyCount>,
}

impl Footer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_u32(self.hash);
        for count in &self.families {
            let name = count.family.name().as_bytes();
            out.put_u8(u8::try_from(name.len()).expect("family names are short"));
            out.put_slice(name);
            out.put_u64(count.records);
            out.put_u64(count.bytes);
        }
        out
    }

    pub(super) fn decode(mut body: Bytes) -> Option<Footer> {
        let hash = body.try_get_u32().ok()?;
        let mut families = Vec::new();
        while body.has_remaining() {
            let length = usize::from(body.try_get_u8().ok()?);
            if body.remaining() < length {
                return None;
            }
            let family = family_named(&body.split_to(length))?;
            families.push(FamilyCount { family, records: body.try_get_u64().ok()?, bytes: body.try_get_u64().ok()? });
        }
        Some(Footer { hash, families })
    }
}

pub(super) fn family_named(name: &[u8]) -> Option<Family> {
    Family::ALL.into_iter().find(|family| family.name().as_bytes() == name)
}
