//! F-50: members lose power at one instant: what they have not synced is gone for good.
//!
//! Needs a disk for each member: the file system is shut down without a flush, the process is killed, the disk mounted
//! again. An unsynced file written a moment before must be gone; that is the witness.

use super::disk_full::disks;
use super::{Error, Fault, Ground, figures};
use crate::history::Figures;

#[derive(Default)]
pub(super) struct PowerCut {
    on: Vec<String>,
    lost: u64,
}

#[tonic::async_trait]
impl Fault for PowerCut {
    async fn apply(&mut self, ground: &Ground, on: &[String]) -> Result<Figures, Error> {
        let disks = disks(ground, "a power cut")?;
        self.on = on.to_vec();
        on.iter().for_each(|name| ground.tell(name));
        let mut canaries = Vec::new();
        for name in on {
            canaries.push(disks.power_off(name)?);
        }
        for name in on {
            ground.kill(name).await?;
        }
        for (name, canary) in on.iter().zip(&canaries) {
            self.lost += u64::from(disks.power_on(name, canary)?);
        }
        Ok(figures([("cut", on.len() as u64)]))
    }

    async fn witness(&mut self, _: &Ground) -> Result<Figures, Error> {
        if self.lost < self.on.len() as u64 {
            return Err(Error::NoEffect("an unsynced file has survived".to_owned()));
        }
        Ok(figures([("unsynced_files_lost", self.lost)]))
    }

    async fn heal(&mut self, ground: &Ground) -> Result<Figures, Error> {
        ground.start_together(&self.on).await?;
        Ok(Figures::new())
    }
}
