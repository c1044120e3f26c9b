//! Generates the wire types and service stubs from `protos/`, with Debian's `protoc`.
//!
//! etcd's files are compiled twice: once as they are, for clients; once with `KeyValue` and `Event` replaced by their
//! encoded bytes, for the server, which splices records that it stores in wire form.

use std::path::{Path, PathBuf};

const ETCD: [&str; 3] = ["etcd/rpc.proto", "etcd/lock.proto", "etcd/election.proto"];

fn main() -> std::io::Result<()> {
    println!("cargo:rerun-if-changed=protos");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let builder = || tonic_prost_build::configure().bytes(".").emit_rerun_if_changed(false).build_transport(false);

    builder().build_server(false).out_dir(folder(&out, "etcd")?).compile_protos(&ETCD, &["protos"])?;
    builder()
        .build_client(false)
        .extern_path(".mvccpb.KeyValue", "crate::encoded::KeyValue")
        .extern_path(".mvccpb.Event", "crate::encoded::Event")
        .out_dir(folder(&out, "served")?)
        .compile_protos(&ETCD, &["protos"])?;
    builder().out_dir(folder(&out, "health")?).compile_protos(&["health/health.proto"], &["protos"])?;
    builder().out_dir(folder(&out, "peer")?).compile_protos(&["peer/peer.proto"], &["protos"])
}

fn folder(out: &Path, name: &str) -> std::io::Result<PathBuf> {
    let folder = out.join(name);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
