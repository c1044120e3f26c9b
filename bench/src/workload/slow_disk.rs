//! Puts of 256 clients while each fsync and fdatasync of every member is held for 10 ms, on members of its own.
//!
//! Held by strace, which has the kernel's seccomp filter stop nothing but these calls, so that all others run at full speed
//! (attached later, as the chaos suite does, it would stop every call). It also proves that a target syncs before it answers: a
//! put that took less than a sync is held makes the sample invalid.

use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::Settings;
use super::put::Putter;
use crate::Error;
use crate::closed_loop::{Window, drive};
use crate::sample::{Figure, Sample};
use crate::target::{Running, Target};

const CLIENTS: usize = 256;
const HELD: Duration = Duration::from_millis(10);

/// strace's command line up to the member's: traced from its start, keeping its pid, with strace as its grandchild (`-D`).
fn wrapper() -> Vec<OsString> {
    let inject = format!("inject=fsync,fdatasync:delay_enter={}", HELD.as_micros());
    let words = ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-e", "trace=fsync,fdatasync", "-e", &inject, "-o"];
    words.iter().chain(&["/dev/null"]).map(OsString::from).collect()
}

pub(super) async fn measure(target: &Target, settings: &Settings) -> Result<Sample, Error> {
    let able = Command::new("strace").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !able.is_ok_and(|status| status.success()) {
        return Err(Error::Unable("strace is not installed".to_owned()));
    }
    let running = target.start(settings.members, wrapper()).await?;
    let sample = on(&running, settings.window()).await;
    running.end().await?;
    sample
}

async fn on(running: &Running, window: Window) -> Result<Sample, Error> {
    let seen = drive(running, Putter::many(&running.endpoints, CLIENTS).await?, window).await?;
    let mut sample = seen.sample().with_some(Figure::Syncs, seen.syncs_each());
    // What strace itself costs is nobody's.
    sample.figures.remove(&Figure::Cpu);
    if let Some(least) = seen.latencies(0).shortest().filter(|least| *least < HELD) {
        sample.refuse(|| format!("a put took {least:?}, less than the {HELD:?} for which a sync is held"));
    }
    Ok(sample)
}
