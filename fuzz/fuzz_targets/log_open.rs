//! A folder of log segments, damaged, opened and read.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fairlead_store::fuzzing::log_open(data));
