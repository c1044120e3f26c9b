//! The folder of the state: generations, one of them current.
//!
//! ```text
//! state/CURRENT          the name of the generation in use, replaced atomically
//! state/gen-0000000001/  an engine's folder
//! ```
//! A snapshot is installed into a generation of its own, which becomes current by one rename: before it the old state is
//! whole, after it the new one. Generations that are not current are removed at start.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use crate::engine::{self, Engine};

/// Opens an engine in a folder. Seam: a simulation opens one in memory.
pub type OpenEngine = Arc<dyn Fn(&Path) -> Result<Arc<dyn Engine>, engine::Error> + Send + Sync>;

/// What went wrong with the folder.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot {operation} {path}")]
    Io {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{0} names no generation; restore this member from a snapshot or replace it")]
    Current(PathBuf),
    #[error(transparent)]
    Engine(#[from] engine::Error),
}

/// The state's folder and the engine of its current generation.
pub(crate) struct StateDir {
    root: PathBuf,
    open: OpenEngine,
    current: RwLock<(u64, Arc<dyn Engine>)>,
}

/// A generation being filled; its folder is removed on drop unless it was made current.
pub(crate) struct Generation {
    number: u64,
    engine: Arc<dyn Engine>,
    published: bool,
}

impl Generation {
    pub(crate) fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        if !self.published {
            self.engine.discard();
        }
    }
}

impl StateDir {
    /// Opens the current generation, or makes the first.
    pub(crate) fn open(root: &Path, open: OpenEngine) -> Result<Self, Error> {
        let io = |operation, path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { operation, path, source }
        };
        fs::create_dir_all(root).map_err(io("create", root))?;
        let number = match fs::read_to_string(root.join("CURRENT")) {
            Ok(name) => parse(name.trim()).ok_or_else(|| Error::Current(root.join("CURRENT")))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 1,
            Err(error) => return Err(io("read", &root.join("CURRENT"))(error)),
        };
        for found in fs::read_dir(root).map_err(io("list", root))? {
            let path = found.map_err(io("list", root))?.path();
            let other = path.file_name().and_then(|name| parse(name.to_str()?)).filter(|other| *other != number);
            if other.is_some() {
                fs::remove_dir_all(&path).map_err(io("remove", &path))?;
            }
        }
        let engine = open(&root.join(name(number)))?;
        let dir = Self { root: root.to_owned(), open, current: RwLock::new((number, engine)) };
        dir.write_current(number)?;
        Ok(dir)
    }

    /// The engine in use.
    pub(crate) fn engine(&self) -> Arc<dyn Engine> {
        Arc::clone(&self.current.read().expect("no holder panics").1)
    }

    /// An empty generation to install a snapshot into. Blocks.
    pub(crate) fn stage(&self) -> Result<Generation, Error> {
        let number = self.fresh_number();
        let engine = (self.open)(&self.root.join(name(number)))?;
        Ok(Generation { number, engine, published: false })
    }

    /// Makes `generation` current, durably; the old one goes when its last reader does.
    pub(crate) fn publish(&self, mut generation: Generation) -> Result<Arc<dyn Engine>, Error> {
        self.write_current(generation.number)?;
        generation.published = true;
        let engine = Arc::clone(&generation.engine);
        let mut current = self.current.write().expect("no holder panics");
        let old = std::mem::replace(&mut *current, (generation.number, Arc::clone(&engine)));
        drop(current);
        old.1.discard();
        Ok(engine)
    }

    /// A number above every folder that exists, so that an abandoned stage is never filled again.
    fn fresh_number(&self) -> u64 {
        let current = self.current.read().expect("no holder panics").0;
        let found = fs::read_dir(&self.root).into_iter().flatten().flatten();
        found.filter_map(|entry| parse(entry.file_name().to_str()?)).fold(current, u64::max) + 1
    }

    fn write_current(&self, number: u64) -> Result<(), Error> {
        let path = self.root.join("CURRENT");
        replace_file(&path, name(number).as_bytes()).map_err(|source| Error::Io { operation: "write", path, source })
    }
}

/// Replaces a small file atomically and durably.
pub(crate) fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let part = path.with_extension("part");
    let mut file = File::create(&part)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

fn name(number: u64) -> String {
    format!("gen-{number:010}")
}

fn parse(name: &str) -> Option<u64> {
    name.strip_prefix("gen-")?.parse().ok()
}
