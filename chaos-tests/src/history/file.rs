//! The history as a file: a streaming writer, and a reader whose errors name the line and what to do.

use std::fmt;
use std::io::{self, BufRead, Write};

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Event, Header, History, Line, Malformed, Record};

/// The version of the form that this binary writes and reads.
pub const SCHEMA: u32 = 1;

/// Bytes of one line; a longer one is refused in writing and in reading.
pub const LINE_BYTES_MAX: usize = 4 << 20;

/// Why a history cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file cannot be written.
    #[error("writing the history failed")]
    Io(#[from] io::Error),
    /// A record does not fit.
    #[error("a record of {bytes} bytes is above the {LINE_BYTES_MAX} of a line: its answer holds too many keys")]
    TooLong {
        /// How long it would be.
        bytes: usize,
    },
}

/// Why a history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("line {line}: reading failed")]
    Io {
        /// Where.
        line: Line,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is nothing in it.
    #[error("the history is empty: its first line has to be the header, {{\"schema\":{SCHEMA},…}}")]
    Empty,
    /// The first line is no header.
    #[error("line 1 is no header of a history ({{\"schema\":{SCHEMA},…}})")]
    Header(#[source] serde_json::Error),
    /// It was written in another form.
    #[error(
        "the history has schema {found}, this binary reads {SCHEMA}: check it with the release that wrote it, or record it again"
    )]
    Schema {
        /// Its number.
        found: u32,
    },
    /// A line is cut off.
    #[error("line {line} is cut off: the run was ended while it wrote; remove the line to judge what came before it")]
    CutOff {
        /// Where.
        line: Line,
    },
    /// A line is no record.
    #[error("line {line} is no record of schema {SCHEMA}")]
    Record {
        /// Where.
        line: Line,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A line does not end.
    #[error("line {line} is longer than {LINE_BYTES_MAX} bytes")]
    TooLong {
        /// Where.
        line: Line,
    },
    /// The records contradict each other.
    #[error("the recorder is at fault")]
    Malformed(#[from] Malformed),
}

/// Writes a history as it happens.
#[derive(Debug)]
pub struct Writer<W> {
    to: W,
    line: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Opens a history with its header.
    ///
    /// # Errors
    /// When the header cannot be written.
    pub fn new(to: W, header: &Header) -> Result<Self, WriteError> {
        let mut writer = Writer { to, line: Vec::new() };
        writer.put(header)?;
        Ok(writer)
    }

    /// Adds a record. Records of one instant count in the order they are written; others may come in any order.
    ///
    /// # Errors
    /// When the record cannot be written, or is longer than a line may be.
    pub fn write(&mut self, at: u64, event: &Event) -> Result<(), WriteError> {
        self.put(&Written { at, event })
    }

    /// Hands everything to the system, and gives back what was written to.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<W, WriteError> {
        self.to.flush()?;
        Ok(self.to)
    }

    fn put(&mut self, what: &impl Serialize) -> Result<(), WriteError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, what).map_err(io::Error::from)?;
        if self.line.len() >= LINE_BYTES_MAX {
            return Err(WriteError::TooLong { bytes: self.line.len() });
        }
        self.line.push(b'\n');
        Ok(self.to.write_all(&self.line)?)
    }
}

impl History {
    /// Reads a whole history.
    ///
    /// # Errors
    /// When it cannot be read, has another schema, a line that is no record, or contradicts itself.
    pub fn read(mut from: impl BufRead) -> Result<History, ReadError> {
        let mut bytes = Vec::new();
        if !next_line(&mut from, 1, &mut bytes)? {
            return Err(ReadError::Empty);
        }
        let header = header(&bytes)?;
        let mut records = Vec::new();
        for line in 2.. {
            if !next_line(&mut from, line, &mut bytes)? {
                break;
            }
            let read: Read = serde_json::from_slice(&bytes).map_err(|source| ReadError::Record { line, source })?;
            records.push(Record { at: read.at, line, event: read.event });
        }
        Ok(History::new(header, records)?)
    }

    /// Writes the whole history, in the order of time.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub fn write(&self, to: impl Write) -> Result<(), WriteError> {
        let mut writer = Writer::new(to, self.header())?;
        for record in self.records() {
            writer.write(record.at, &record.event)?;
        }
        writer.finish().map(drop)
    }
}

/// Whether there was one more line.
fn next_line(from: &mut impl BufRead, line: Line, bytes: &mut Vec<u8>) -> Result<bool, ReadError> {
    bytes.clear();
    let mut limited = io::Read::take(&mut *from, LINE_BYTES_MAX as u64 + 1);
    let read = limited.read_until(b'\n', bytes).map_err(|source| ReadError::Io { line, source })?;
    match bytes.last() {
        None => Ok(false),
        Some(b'\n') => Ok(true),
        _ if read > LINE_BYTES_MAX => Err(ReadError::TooLong { line }),
        _ => Err(ReadError::CutOff { line }),
    }
}

/// The number of the schema is looked at before all else: a later header may have other fields.
fn header(bytes: &[u8]) -> Result<Header, ReadError> {
    #[derive(Deserialize)]
    struct Numbered {
        schema: u32,
    }
    let numbered: Numbered = serde_json::from_slice(bytes).map_err(ReadError::Header)?;
    if numbered.schema != SCHEMA {
        return Err(ReadError::Schema { found: numbered.schema });
    }
    serde_json::from_slice(bytes).map_err(ReadError::Header)
}

/// A record on its way into a line: `at` first, then the event under its name.
struct Written<'e> {
    at: u64,
    event: &'e Event,
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("at", &self.at)?;
        match self.event {
            Event::Phase(it) => map.serialize_entry("phase", it)?,
            Event::Invoke(it) => map.serialize_entry("invoke", it)?,
            Event::Return(it) => map.serialize_entry("return", it)?,
            Event::Watch(it) => map.serialize_entry("watch", it)?,
            Event::Fault(it) => map.serialize_entry("fault", it)?,
            Event::Member(it) => map.serialize_entry("member", it)?,
            Event::HashKv(it) => map.serialize_entry("hash-kv", it)?,
            Event::Panic(it) => map.serialize_entry("panic", it)?,
            Event::Entry(it) => map.serialize_entry("entry", it)?,
            Event::Doubt(it) => map.serialize_entry("doubt", it)?,
        }
        map.end()
    }
}

/// A record out of a line.
struct Read {
    at: u64,
    event: Event,
}

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfLine;
        impl<'de> Visitor<'de> for OfLine {
            type Value = Read;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("{\"at\":<nanoseconds>,\"<event>\":{…}}")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Read, A::Error> {
                let first: Option<String> = map.next_key()?;
                if first.as_deref() != Some("at") {
                    return Err(A::Error::custom("a record begins with \"at\""));
                }
                let at = map.next_value()?;
                let event = Event::deserialize(MapAccessDeserializer::new(&mut map))?;
                match map.next_key::<String>()? {
                    None => Ok(Read { at, event }),
                    Some(more) => {
                        map.next_value::<IgnoredAny>()?;
                        Err(A::Error::custom(format!("unknown field `{more}`: a record is one event")))
                    }
                }
            }
        }
        deserializer.deserialize_map(OfLine)
    }
}
