//! etcd's flags, environment and YAML file: refused with a reason, or merged, but never a panic.
//!
//! Input: words of the command line, a zero byte, `NAME=VALUE` lines of the environment, a zero byte, the file.
#![no_main]

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

#[allow(dead_code)]
#[path = "../../cli/src/etcd_flags/mod.rs"]
mod etcd_flags;

fn os(bytes: &[u8]) -> OsString {
    std::ffi::OsStr::from_bytes(bytes).to_owned()
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(3, |byte| *byte == 0);
    let (words, environment, file) = (parts.next(), parts.next(), parts.next());
    let lines = |part: Option<&[u8]>| -> Vec<Vec<u8>> {
        part.unwrap_or_default().split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    };
    let mut args: Vec<OsString> = lines(words).iter().map(|word| os(word)).collect();
    if file.is_some() {
        args.insert(0, "--config-file=f".into());
    }
    let environment = lines(environment).into_iter().filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b'=')?;
        Some((os(&[b"ETCD_", &line[..at]].concat()), os(&line[at + 1..])))
    });
    let text = String::from_utf8_lossy(file.unwrap_or_default()).into_owned();
    match etcd_flags::parse(args, environment, |_| Ok(text.clone())) {
        Ok(etcd_flags::Request::Serve(serve)) => {
            // Resolving names is the only part left out: it asks the network.
            assert!(serve.config.validate().is_ok(), "what is served is valid");
        }
        Ok(_) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
