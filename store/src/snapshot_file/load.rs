//! Loading: a snapshot file into an empty engine.

use std::ops::ControlFlow;
use std::path::Path;

use super::{Block, Error, Reader, Summary};
use crate::engine::schema::{FORMAT, META_FORMAT};
use crate::engine::{Batch, Direction, Engine, Family};

/// Loads the snapshot at `path` into `engine`, which must hold nothing but the stamp of its form, and returns once all of it is
/// durable.
///
/// Checking and writing go together, in one pass: after an error the engine holds a part of what may be garbage, and its
/// folder must be removed. So load beside the state in use, and swap afterwards.
///
/// # Errors
/// As [`Reader::drain`]; [`Error::NotEmpty`]; [`Error::StateForm`]; [`Error::Engine`].
pub fn load(path: &Path, engine: &dyn Engine) -> Result<Summary, Error> {
    let reader = Reader::open(path)?;
    refuse_keys(engine)?;
    let summary = reader.drain(|block| {
        refuse_other_form(path, &block)?;
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
        snapshot.scan(family, b"", None, Direction::Ascending, &mut |key, _| {
            // An engine stamps itself when it is made.
            empty = family == Family::Meta && key == META_FORMAT;
            if empty { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if !empty {
            return Err(Error::NotEmpty { family: family.name() });
        }
    }
    Ok(())
}

/// Rows of another form must not pass under this form's stamp.
fn refuse_other_form(path: &Path, block: &Block) -> Result<(), Error> {
    if block.family != Family::Meta {
        return Ok(());
    }
    match block.records.iter().find(|(key, _)| key == META_FORMAT) {
        Some((_, form)) if form != FORMAT => Err(Error::StateForm {
            file: path.display().to_string(),
            found: String::from_utf8_lossy(form).into_owned(),
            known: String::from_utf8_lossy(FORMAT).into_owned(),
        }),
        _ => Ok(()),
    }
}
