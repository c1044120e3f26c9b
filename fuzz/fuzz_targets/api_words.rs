//! Words within objects and requests: quantities, times, durations, selectors. What is taken prints as something that is
//! taken again and means the same.

#![no_main]

use fairlead_api::quantity::Quantity;
use fairlead_api::selector::{Fields, Labels};
use fairlead_api::time::{Duration, Instant, Precision};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(quantity) = Quantity::parse(text) {
        drop(quantity.to_string());
        assert!(quantity.sign() <= 0 || quantity.plus(&quantity) > quantity);
    }
    for precision in [Precision::Seconds, Precision::Micros] {
        if let Ok(instant) = Instant::parse(text, precision) {
            drop(instant.format(precision));
        }
    }
    if let Ok(duration) = Duration::parse(text) {
        assert_eq!(Duration::parse(&duration.to_string()), Ok(duration));
    }
    if let Ok(labels) = Labels::parse(text) {
        assert_eq!(Labels::parse(&labels.to_string()).as_ref(), Ok(&labels));
    }
    if let Ok(fields) = Fields::parse(text) {
        drop(fields.to_string());
    }
});
