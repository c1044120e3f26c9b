//! Fault proxies: one listener before each member's peer port and one before its client port, in this process.
//!
//! Members advertise their peer proxy as their peer URL, so all members share one `initial-cluster`. TCP does not say which
//! member dials, so the proxy asks the kernel whose the dialling socket is (`owner`): this works for any program, without a flag.
//! Faults are set per directed link ([`Links`]) and act on the bytes that flow that way, in whichever connection:
//!
//! ```text
//!   n1 dials n2:   n1 ── bytes obey n1→n2 ──▶ [proxy of n2] ──▶ n2
//!                  n1 ◀─ bytes obey n2→n1 ─── [proxy of n2] ◀── n2
//! ```
//!
//! A held link behaves as a network that drops packets: what was sent waits, a connection cannot be opened, nobody is told;
//! once healed, TCP delivers what waited. A reset link closes connections with RST and refuses new ones. A half-open one leaves
//! the connections that were there to silence, and passes new ones.
//! Does not: lose, reorder or change bytes of a live TCP connection (TCP would not either).

mod links;
mod listener;
mod owner;
mod pump;

pub use links::{Counts, LinkState, Links, OUTSIDE};
pub use listener::Proxy;
pub(crate) use owner::Roster;
