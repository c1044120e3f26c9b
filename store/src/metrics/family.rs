//! How a group of families is written down: one line for each, and one way to make and register it.

use prometheus::core::Collector;
use prometheus::{
    Counter, CounterVec, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

/// A kind of family that can be made from its name.
pub(super) trait Family: Collector + Clone + 'static {
    /// Makes it. Kinds without labels or buckets ignore those.
    fn make(name: &str, help: &str, labels: &[&str], buckets: Vec<f64>) -> Result<Self, prometheus::Error>;
}

macro_rules! plain {
    ($($kind:ident)*) => {$(
        impl Family for $kind {
            fn make(name: &str, help: &str, _: &[&str], _: Vec<f64>) -> Result<Self, prometheus::Error> {
                $kind::new(name, help)
            }
        }
    )*};
}

macro_rules! labelled {
    ($($kind:ident)*) => {$(
        impl Family for $kind {
            fn make(name: &str, help: &str, labels: &[&str], _: Vec<f64>) -> Result<Self, prometheus::Error> {
                $kind::new(Opts::new(name, help), labels)
            }
        }
    )*};
}

plain!(Counter Gauge IntCounter IntGauge);
labelled!(CounterVec IntCounterVec IntGaugeVec);

impl Family for Histogram {
    fn make(name: &str, help: &str, _: &[&str], buckets: Vec<f64>) -> Result<Self, prometheus::Error> {
        Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))
    }
}

impl Family for HistogramVec {
    fn make(name: &str, help: &str, labels: &[&str], buckets: Vec<f64>) -> Result<Self, prometheus::Error> {
        HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), labels)
    }
}

/// Makes a family and registers it.
pub(super) fn registered<F: Family>(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: Vec<f64>,
) -> Result<F, prometheus::Error> {
    let family = F::make(name, help, labels, buckets)?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

/// `count` bounds from `start`, each `factor` times the one before.
pub(super) fn exponential(start: f64, factor: f64, count: usize) -> Vec<f64> {
    std::iter::successors(Some(start), |bound| Some(bound * factor)).take(count).collect()
}

/// A struct of families; each field's help is its documentation.
macro_rules! families {
    ($(#[$meta:meta])* $group:ident {
        $($field:ident: $kind:ty = $name:literal, $help:literal $(, labels $labels:expr)? $(, buckets $buckets:expr)?;)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub struct $group {
            $(#[doc = $help] pub $field: $kind,)*
        }

        impl $group {
            pub(super) fn register(registry: &prometheus::Registry) -> Result<$group, prometheus::Error> {
                Ok($group {
                    $($field: $crate::metrics::family::registered(
                        registry,
                        $name,
                        $help,
                        families!(@or &[], $($labels)?),
                        families!(@or Vec::new(), $($buckets)?),
                    )?,)*
                })
            }
        }
    };
    (@or $default:expr,) => { $default };
    (@or $default:expr, $given:expr) => { $given };
}

pub(super) use families;
