//! A snapshot file, plain and written from a script.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fairlead_store::fuzzing::snapshot_file(data));
