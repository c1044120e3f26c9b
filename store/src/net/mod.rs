//! The network below gRPC and HTTP: listeners, TLS, serving, and connections to other members.
//!
//! ```text
//! urls ─► Listener::bind ─► serve ─┬─ accept ─► first byte ─► TLS handshake ─► HTTP/1.1 or HTTP/2 ─► Router
//!                                  └─ one task a connection; bounded; a bad one ends alone
//! Connector ─► tonic channel to a member, dialled when first used
//! ```
//! Promises: a stalled or hostile connection holds up no other one; certificates, CAs and revocations are re-read when
//! their files change; every refusal says what, why and what to try.
//! Does not: know what is served (`rpc`, `http`), decide who may do what (auth).

mod authority;
mod connection;
mod connector;
mod error;
mod fabric;
mod listener;
mod metrics;
mod serve;
pub mod tls;

pub use connection::{Connection, Io, Remote, Stream};
pub use connector::{Connector, Dial};
pub use error::Error;
pub(crate) use fabric::served;
pub use fabric::{Fabric, Network, Served};
pub use listener::Listener;
pub use metrics::Metrics;
pub use serve::{Options, serve};

#[cfg(test)]
mod fixture;
