//! Snapshot files: what is written is read back, and nothing else is believed.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;

use super::frame::{FrameWriter, Kind};
use super::header::Footer;
use super::*;
use crate::engine::mem::MemEngine;
use crate::engine::rocks::{self, RocksEngine};
use crate::engine::schema::{FORMAT, META_FORMAT};
use crate::engine::{self, Batch, Direction, Engine, Family, Snapshot, Visit};

type Rows = BTreeMap<(Family, Bytes), Bytes>;

/// A frozen state of just these rows.
struct Frozen(Rows);

impl Snapshot for Frozen {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, engine::Error> {
        Ok(self.0.get(&(family, Bytes::copy_from_slice(key))).cloned())
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), engine::Error> {
        assert_eq!((from, to, direction), (&b""[..], None, Direction::Ascending), "all that snapshots need");
        for ((_, key), value) in self.0.iter().filter(|((of, _), _)| *of == family) {
            if visit(key, value) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

fn header() -> Header {
    Header {
        cluster: 0x00c0_ffee,
        member: Some(7),
        applied: Some(AppliedId { term: 3, index: 42 }),
        revision: 17,
        membership: Bytes::from_static(b"voters"),
    }
}

fn rows(records: impl IntoIterator<Item = (Family, &'static str, &'static str)>) -> Rows {
    records.into_iter().map(|(family, key, value)| ((family, Bytes::from(key)), Bytes::from(value))).collect()
}

fn small() -> Rows {
    rows([
        (Family::Latest, "a", "1"),
        (Family::Latest, "b", "2"),
        (Family::History, "r1", "a=1"),
        (Family::LeaseKeys, "l1a", ""),
        (Family::Meta, "applied", "3,42"),
    ])
}

/// An empty one of each kind, below `folder`.
fn engines(folder: &Path) -> [Box<dyn Engine>; 2] {
    let rocks = RocksEngine::open(&folder.join("rocks"), &rocks::Config::default()).expect("opened");
    [Box::new(MemEngine::new()), Box::new(rocks)]
}

fn written(rows: &Rows) -> (Vec<u8>, Summary) {
    let mut out = Vec::new();
    let summary = write(&Frozen(rows.clone()), &header(), &mut out).expect("written");
    (out, summary)
}

fn read(bytes: &[u8]) -> Result<(Rows, Summary), Error> {
    let mut rows = Rows::new();
    let summary = Reader::new("s.snap".into(), bytes)?.drain(|block| {
        rows.extend(block.records.into_iter().map(|(key, value)| ((block.family, key), value)));
        Ok(())
    })?;
    Ok((rows, summary))
}

/// A well-formed file out of frames that the writer would never put together.
fn forged(frames: &[(Kind, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = FrameWriter::new(&mut out).expect("started");
    for (kind, body) in frames {
        writer.frame(*kind, body).expect("framed");
    }
    writer.finish().expect("finished");
    out
}

fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    [&(key.len() as u32).to_be_bytes()[..], &(value.len() as u32).to_be_bytes(), key, value].concat()
}

fn damage(bytes: &[u8]) -> &'static str {
    match read(bytes) {
        Err(Error::Damaged { what, .. }) => what,
        other => panic!("not found damaged: {other:?}"),
    }
}

#[test]
fn what_was_written_is_read_back_with_the_same_summary() {
    let (bytes, summary) = written(&small());
    let (rows, again) = read(&bytes).expect("sound");
    assert_eq!(rows, small());
    assert_eq!(again, summary);
    assert_eq!(summary.header, header());
    assert_eq!(summary.records(), 5);
    assert_eq!(summary.records_of(Family::Latest), 2);
    assert_eq!(summary.records_of(Family::Graves), 0);
    assert_eq!(summary.file_bytes, bytes.len() as u64);
}

#[test]
fn an_empty_state_and_an_empty_header_have_a_snapshot_too() {
    let header = Header { cluster: 1, member: None, applied: None, revision: 1, membership: Bytes::new() };
    let mut bytes = Vec::new();
    write(&Frozen(Rows::new()), &header, &mut bytes).expect("written");
    let (rows, summary) = read(&bytes).expect("sound");
    assert_eq!((rows.len(), summary.header), (0, header));
}

#[test]
fn the_size_modulo_512_is_32_and_the_last_32_bytes_are_the_sha256_of_the_others() {
    use sha2::{Digest, Sha256};
    for value in ["", "x", &"y".repeat(470)] {
        let mut rows = small();
        rows.insert((Family::Latest, "c".into()), Bytes::from(value.to_owned()));
        let (bytes, summary) = written(&rows);
        assert_eq!(bytes.len() % 512, 32);
        let (body, digest) = bytes.split_at(bytes.len() - 32);
        assert_eq!(Sha256::digest(body)[..], *digest);
        assert_eq!(summary.sha256, *digest);
    }
}

#[test]
fn many_records_are_cut_into_blocks_and_one_larger_than_a_block_gets_its_own() {
    let mut rows = Rows::new();
    for n in 0..2_000 {
        rows.insert((Family::History, format!("{n:08}").into()), vec![b'v'; 1_000].into());
    }
    rows.insert((Family::History, "00001000x".into()), vec![b'w'; 3 * BLOCK_BYTES_TARGET].into());
    let (bytes, summary) = written(&rows);
    let mut blocks = Vec::new();
    let again = Reader::new("s.snap".into(), &bytes[..]).expect("header").drain(|block| {
        blocks.push(block.records.iter().map(|(key, value)| 8 + key.len() + value.len()).sum::<usize>());
        Ok(())
    });
    assert_eq!(again.expect("sound"), summary);
    assert!(blocks.len() >= 8, "{} blocks", blocks.len());
    assert_eq!(blocks.iter().filter(|bytes| **bytes > BLOCK_BYTES_TARGET).count(), 1);
}

#[test]
fn equal_states_have_equal_hashes_and_a_moved_record_has_another() {
    let moved = rows([
        (Family::Latest, "a", "1"),
        (Family::Latest, "b", "2"),
        (Family::Graves, "r1", "a=1"),
        (Family::LeaseKeys, "l1a", ""),
        (Family::Meta, "applied", "3,42"),
    ]);
    assert_eq!(written(&small()).1.hash, written(&small()).1.hash);
    assert_ne!(written(&small()).1.hash, written(&moved).1.hash);
}

#[test]
fn a_flipped_bit_anywhere_is_refused() {
    let (bytes, _) = written(&small());
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(read(&flipped).is_err(), "a flipped bit at {at} went unseen");
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let (bytes, _) = written(&small());
    for length in 0..bytes.len() {
        assert!(read(&bytes[..length]).is_err(), "a cut at {length} went unseen");
    }
}

#[test]
fn bytes_after_the_digest_are_refused() {
    let (mut bytes, _) = written(&small());
    bytes.push(0);
    assert_eq!(damage(&bytes), "bytes follow the digest");
}

#[test]
fn a_length_that_lies_is_refused_without_memory_for_it() {
    let (mut bytes, _) = written(&small());
    bytes[21..25].copy_from_slice(&(FRAME_BYTES_MAX as u32).to_be_bytes());
    assert_eq!(damage(&bytes), "the file ends here");
    bytes[21..25].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(damage(&bytes), "a frame says that it is longer than any may be");
}

#[test]
fn damage_is_reported_with_file_and_offset() {
    let (mut bytes, _) = written(&small());
    bytes[29] ^= 1;
    let text = read(&bytes).expect_err("damaged").to_string();
    assert!(
        text.starts_with("snapshot file s.snap is damaged at offset 20: a frame's checksum does not match"),
        "{text}"
    );
}

#[test]
fn another_programs_file_is_refused_and_etcds_own_is_named() {
    let mut bbolt = vec![0; 4096];
    bbolt[16..20].copy_from_slice(&0xED0C_DAED_u32.to_le_bytes());
    for (bytes, words) in [(&bbolt[..], "bbolt"), (b"", "empty"), (b"PK\x03\x04 and so on and so on", "other bytes")] {
        let error = read(bytes).expect_err("foreign");
        assert!(matches!(error, Error::Foreign { .. }) && error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_newer_form_is_refused_by_its_number() {
    let (mut bytes, _) = written(&small());
    bytes[16..20].copy_from_slice(&2_u32.to_be_bytes());
    assert!(matches!(read(&bytes), Err(Error::Version { found: 2, known: 1, .. })));
}

#[test]
fn an_unknown_family_is_refused_by_its_name() {
    let bytes = forged(&[(Kind::Header, header().encode()), (Kind::Family, b"auth_users".to_vec())]);
    assert!(matches!(read(&bytes), Err(Error::UnknownFamily { name, .. }) if name == "auth_users"));
}

#[test]
fn a_family_added_later_may_be_missing() {
    let hash = crc32c::crc32c(b"latest");
    let families = vec![FamilyCount { family: Family::Latest, records: 0, bytes: 0 }];
    let bytes = forged(&[
        (Kind::Header, header().encode()),
        (Kind::Family, b"latest".to_vec()),
        (Kind::Footer, Footer { hash, families }.encode()),
    ]);
    assert_eq!(read(&bytes).expect("sound").1.families.len(), 1);
}

#[test]
fn frames_that_contradict_each_other_are_refused() {
    let family = |name: &str| (Kind::Family, name.as_bytes().to_vec());
    let records = |body: Vec<u8>| (Kind::Records, body);
    let footer = || (Kind::Footer, Footer { hash: 1, families: Vec::new() }.encode());
    let cases = [
        ("there is a second header", vec![(Kind::Header, header().encode())]),
        ("there are records before the first family", vec![records(record(b"k", b"v"))]),
        ("a family is out of order", vec![family("meta"), family("latest")]),
        ("a family is out of order", vec![family("latest"), family("latest")]),
        ("keys are out of order", vec![family("latest"), records(record(b"b", b"")), records(record(b"b", b""))]),
        ("a record is cut", vec![family("latest"), records(record(b"b", b"v")[..8].to_vec())]),
        ("the footer counts other records than there are", vec![footer()]),
    ];
    for (what, mut frames) in cases {
        frames.insert(0, (Kind::Header, header().encode()));
        assert_eq!(damage(&forged(&frames)), what);
    }
    assert_eq!(damage(&forged(&[family("latest")])), "the first frame is no header");
}

#[test]
fn a_created_file_verifies_and_loads_into_an_empty_engine() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("0003-42.snap");
    let summary = create(&Frozen(small()), &header(), &path).expect("created");
    assert_eq!(verify(&path).expect("sound"), summary);
    assert_eq!(read_header(&path).expect("sound"), header());

    for engine in engines(folder.path()) {
        assert_eq!(load(&path, &*engine).expect("loaded"), summary);
        for ((family, key), value) in small() {
            assert_eq!(engine.get_durable(family, &key).expect("read"), Some(value), "{family:?}");
        }
        let refused = load(&path, &*engine).expect_err("the engine is not empty any more");
        assert!(matches!(refused, Error::NotEmpty { family: "latest" }), "{refused}");
    }
}

#[test]
fn an_engines_own_state_loads_into_another_engine() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.snap");
    let engine = MemEngine::new();
    let mut batch = Batch::default();
    batch.put(Family::Latest, &b"k"[..], &b"v"[..]);
    engine.write(batch).expect("written");
    let summary = create(&*engine.snapshot(), &header(), &path).expect("created");
    assert_eq!(summary.records_of(Family::Meta), 1, "the stamp of the state's form");
    for engine in engines(folder.path()) {
        assert_eq!(load(&path, &*engine).expect("loaded"), summary);
    }
}

#[test]
fn a_state_of_another_form_is_refused_before_it_gets_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.snap");
    let later = rows([(Family::Meta, "format", "fairlead state 99")]);
    create(&Frozen(later), &header(), &path).expect("created");
    for engine in engines(folder.path()) {
        let refused = load(&path, &*engine).expect_err("another form");
        assert!(matches!(&refused, Error::StateForm { found, .. } if found == "fairlead state 99"), "{refused}");
        assert_eq!(engine.get(Family::Meta, META_FORMAT).expect("read").as_deref(), Some(FORMAT));
    }
}

#[test]
fn a_failed_creation_leaves_the_older_file_and_nothing_else() {
    struct Broken;
    impl Snapshot for Broken {
        fn get(&self, _: Family, _: &[u8]) -> Result<Option<Bytes>, engine::Error> {
            Ok(None)
        }
        fn scan(
            &self,
            _: Family,
            _: &[u8],
            _: Option<&[u8]>,
            _: Direction,
            _: &mut Visit<'_>,
        ) -> Result<(), engine::Error> {
            Err(engine::Error::Io { operation: "scan", reason: "the disk is gone".into() })
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.snap");
    let summary = create(&Frozen(small()), &header(), &path).expect("created");
    assert!(matches!(create(&Broken, &header(), &path), Err(Error::Engine(_))));
    assert_eq!(verify(&path).expect("sound"), summary);
    assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1);
}

#[test]
fn a_missing_file_is_named() {
    let error = verify(Path::new("no/such.snap")).expect_err("missing");
    assert_eq!(error.to_string(), "cannot open snapshot file no/such.snap");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_rows_survive_the_round_trip(
        records in proptest::collection::btree_map(
            (0..Family::ALL.len(), proptest::collection::vec(any::<u8>(), 0..40)),
            proptest::collection::vec(any::<u8>(), 0..600),
            0..200,
        )
    ) {
        let rows: Rows =
            records.into_iter().map(|((family, key), value)| ((Family::ALL[family], key.into()), value.into())).collect();
        prop_assert_eq!(read(&written(&rows).0).expect("sound").0, rows);
    }

    #[test]
    fn garbage_behind_a_sound_start_never_panics(garbage in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = [&MAGIC[..], &VERSION.to_be_bytes()].concat();
        bytes.extend(garbage);
        prop_assert!(read(&bytes).is_err());
    }
}
