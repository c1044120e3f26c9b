//! What a member in this process stands on in place of the system.

use std::sync::Arc;

use fairlead_store::log::{self, Disk, MemDisk};
use fairlead_store::net::Network;
use fairlead_store::{OpenDisk, Seams};
use rand::rngs::StdRng;

use super::power::{Engines, Plug};

/// Told why a member would have ended its process.
pub(crate) type Tell = Arc<dyn Fn(String) + Send + Sync>;

/// What of a member outlives its lives, and the plug of the one that begins.
pub(crate) struct Matter {
    pub(crate) disk: MemDisk,
    pub(crate) engines: Engines,
    pub(crate) plug: Arc<Plug>,
}

/// The seams of one life; of `log`, how it ends is set here.
pub(crate) fn seams(matter: Matter, rng: StdRng, network: Network, log: log::Config, tell: Tell) -> Seams {
    let Matter { disk, engines, plug } = matter;
    let open: OpenDisk = Arc::new(move |folder, _| {
        // A member whose folder of the log is empty has lost it.
        std::fs::write(folder.join("IN-MEMORY"), "")?;
        Ok(Arc::new(disk.clone()) as Arc<dyn Disk>)
    });
    let of_log = Arc::clone(&tell);
    Seams {
        disk: open,
        engine: Arc::new(move |folder| engines.open(folder, &plug)),
        rng,
        network,
        log: log::Config { fatal: Arc::new(move |error| of_log(format!("its log: {error}"))), ..log },
        end: Arc::new(move |reason| tell(format!("raft or its state is dead: {reason}"))),
    }
}
