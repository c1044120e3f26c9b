//! TLS: who we show ourselves as, and whom we believe.
//!
//! [`Server`] answers handshakes, [`Client`] starts them; both are built from the settings of one side and re-read every
//! file that has changed (leaf, key, CA bundle, CRL) before the next handshake. A change that cannot be read, such as a
//! half-written pair, is logged and the last good state stays in force.
//! Built on rustls with ring. Sessions are not resumed where certificates are demanded, so that a revocation counts for
//! the very next connection. Source of the rules: etcd `client/pkg/transport/{listener,listener_tls}.go`.

mod certificate;
mod client;
mod error;
mod files;
mod peer_address;
mod provider;
mod reload;
mod self_signed;
mod server;
mod verify;

pub use certificate::Certificate;
pub use client::Client;
pub use error::Error;
pub use server::{Server, Side};

#[cfg(test)]
mod tls_test;
