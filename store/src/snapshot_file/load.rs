//! Loading: a snapshot file into an empty engine.

use std::ops::ControlFlow;
use std::path::Path;

use super::{Error, Reader, Summary};
use crate::engine::{Batch, Direction, Engine, Family};

/// Loads the snapshot at `path` into `engine`, which must be empty, and returns once all of it is durable.
///
/// Checking and writing go together, in one pass: after an error the engine holds a part of what may be garbage, and its
/// folder must be removed. So load beside the state in use, and swap afterwards.
///
/// # Errors
/// As [`Reader::drain`]; [`Error::NotEmpty`]; [`Error::Engine`].
pub fn load(path: &Path, engine: &dyn Engine) -> Result<Summary, Error> {
    let reader = Reader::open(path)?;
    refuse_keys(engine)?;
    let summary = reader.drain(|block| {
        let mut batch = Batch::default();
        for (key, value) in block.records {
            batch.put(block.family, key, value);
        }
        engine.write(batch)?;
        fail::fail_point!("snapshot_file::block_loaded");
        Ok(())
    })?;
    engine.flush()?;
    Ok(summary)
}

fn refuse_keys(engine: &dyn Engine) -> Result<(), Error> {
    let snapshot = engine.snapshot();
    for family in Family::ALL {
        let mut empty = true;
        snapshot.scan(family, b"", None, Direction::Ascending, &mut |_, _| {
            empty = false;
            ControlFlow::Break(())
        })?;
        if !empty {
            return Err(Error::NotEmpty { family: family.name() });
        }
    }
    Ok(())
}
