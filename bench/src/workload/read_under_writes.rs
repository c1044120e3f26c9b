//! Linearizable gets of 4 clients while 40 others put flat out: whether a read waits for somebody else's write.

use tonic::Status;

use super::get::Getter;
use super::put::Putter;
use crate::Error;
use crate::closed_loop::{Client, Done, Window, drive, millis};
use crate::sample::{Figure, Sample};
use crate::target::Running;

const READERS: usize = 4;
const WRITERS: usize = 40;
const WRITES: usize = 1;

enum Either {
    Get(Getter),
    Put(Putter),
}

impl Client for Either {
    async fn step(&mut self) -> Result<Done, Status> {
        match self {
            Either::Get(getter) => getter.step().await,
            Either::Put(putter) => putter.step().await.map(|done| Done { class: WRITES, ..done }),
        }
    }
}

pub(super) async fn measure(target: &Running, window: Window) -> Result<Sample, Error> {
    let mut clients: Vec<Either> = Vec::new();
    clients.extend(Getter::many(target, &target.endpoints, READERS, false).await?.into_iter().map(Either::Get));
    clients.extend(Putter::many(&target.endpoints, WRITERS).await?.into_iter().map(Either::Put));
    let seen = drive(target, clients, window).await?;
    let mut sample = seen.sample_of_first();
    // CPU is that of reads and writes together: of neither alone.
    sample.figures.remove(&Figure::Cpu);
    let puts = seen.latencies(WRITES);
    Ok(sample
        .with(Figure::PutRate, seen.rate(WRITES))
        .with_some(Figure::PutP50, millis(puts, 0.5))
        .with_some(Figure::PutP99, millis(puts, 0.99)))
}
