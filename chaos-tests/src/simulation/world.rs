//! Machines in one thread, each with a runtime and a clock of its own that moves when the world takes a step.
//!
//! A step is a millisecond: what is due on the network arrives, then each machine, in an order drawn from the seed, runs until
//! it is idle or the millisecond is over. Within a machine its runtime decides, seeded as well. A machine that is paused takes
//! no steps, and finds its clock ahead when it goes on; one whose clock is stopped finds it where it was.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng, SeedableRng};
use tokio::runtime::{Builder, RngSeed, Runtime};
use tokio_util::sync::CancellationToken;

use super::network::{Host, Network};

/// What the world does at once.
pub(crate) const STEP: Duration = Duration::from_millis(1);

/// A machine.
#[derive(Default)]
struct Machine {
    runtime: Option<Runtime>,
    /// How many faults hold it.
    held: u32,
    /// Its clock goes on while it is held.
    owes: Duration,
    clock_stops: bool,
    /// Its process would have ended: what is left of it may go on for ever without time passing.
    halt: CancellationToken,
}

/// All machines, and what connects them.
pub(crate) struct World {
    pub(crate) network: Network,
    machines: Vec<Machine>,
    order: Vec<Host>,
    chance: StdRng,
    steps: u64,
}

impl World {
    /// `hosts` machines without power.
    pub(crate) fn new(hosts: usize, seed: u64) -> World {
        let mut chance = StdRng::seed_from_u64(seed);
        World {
            network: Network::new(hosts, chance.random()),
            machines: (0..hosts).map(|_| Machine::default()).collect(),
            order: (0..hosts).collect(),
            chance,
            steps: 0,
        }
    }

    /// Steps taken.
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// A machine has power from now on; its runtime, and what halts it.
    pub(crate) fn power_on(&mut self, host: Host) -> anyhow::Result<(&Runtime, CancellationToken)> {
        let seed: [u8; 8] = self.chance.random();
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .rng_seed(RngSeed::from_bytes(&seed))
            .build()?;
        self.network.up(host, runtime.handle().clone());
        let machine = &mut self.machines[host];
        *machine = Machine { held: machine.held, ..Machine::default() };
        Ok((machine.runtime.insert(runtime), machine.halt.clone()))
    }

    /// A machine stops where it is: all that ran there is gone. Silent, where nothing answers for it from now on.
    pub(crate) fn power_off(&mut self, host: Host, silent: bool) {
        self.network.down(host, silent);
        self.machines[host].runtime = None;
    }

    /// The runtime of a machine that has power.
    pub(crate) fn runtime(&self, host: Host) -> Option<&Runtime> {
        self.machines[host].runtime.as_ref()
    }

    /// A machine takes no steps from now on; with its clock, or while that goes on.
    pub(crate) fn hold(&mut self, host: Host, clock_stops: bool) {
        let machine = &mut self.machines[host];
        machine.held += 1;
        machine.clock_stops = clock_stops;
    }

    /// A machine goes on.
    pub(crate) fn release(&mut self, host: Host) {
        let machine = &mut self.machines[host];
        machine.held = machine.held.saturating_sub(1);
    }

    /// Takes a step.
    pub(crate) fn step(&mut self) {
        self.steps += 1;
        self.network.advance(STEP.as_micros() as u64);
        self.order.shuffle(&mut self.chance);
        for host in &self.order {
            self.machines[*host].step();
        }
    }
}

impl Machine {
    fn step(&mut self) {
        let Some(runtime) = &self.runtime else { return };
        if self.halt.is_cancelled() {
            return;
        }
        if self.held > 0 {
            if !self.clock_stops {
                self.owes += STEP;
            }
            return;
        }
        let owed = std::mem::take(&mut self.owes);
        let running = async {
            if !owed.is_zero() {
                tokio::time::advance(owed).await;
            }
            tokio::time::sleep(STEP).await;
        };
        // `None`: it has ended.
        runtime.block_on(self.halt.run_until_cancelled(running)).unwrap_or_default();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for host in 0..self.machines.len() {
            self.power_off(host, true);
        }
    }
}
