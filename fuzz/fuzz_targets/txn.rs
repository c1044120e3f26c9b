//! A client's transaction, decoded and checked.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fairlead_store::fuzzing::txn(data));
