//! YAML bodies: any bytes become JSON or are refused, and what became JSON is YAML and JSON again.

#![no_main]

use fairlead_api::yaml;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(converted) = yaml::to_json(bytes) else { return };
    let json = String::from_utf8(converted.json).expect("JSON is text");
    yaml::from_json(&json);
});
