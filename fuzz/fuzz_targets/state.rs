//! Rows of the state.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fairlead_store::fuzzing::state(data));
