//! A record of the log.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fairlead_store::fuzzing::log_record(data));
