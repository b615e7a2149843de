//! Metrics that filters define: counters, gauges and histograms by name.

use std::collections::HashMap;

use parking_lot::RwLock;
use sluice_abi::MetricType;
use std::sync::atomic::{AtomicU64, Ordering};

/// Most metrics of all filters together, and the longest name, bytes.
const MAX_METRICS: usize = 4096;
const MAX_NAME: usize = 512;

/// Why a metric was not changed or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetricError {
    /// No such number.
    Unknown,
    /// This kind of metric cannot do that.
    Meaningless,
}

/// Every metric.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Kinds have names of their own, as in Envoy: a filter that uses one for two is not stopped by it.
    names: HashMap<Box<str>, [Option<u32>; 3]>,
    metrics: Vec<Metric>,
}

#[derive(Debug)]
struct Metric {
    kind: MetricType,
    /// Counter total, gauge value, or how many values a histogram saw.
    value: AtomicU64,
    /// Sum of a histogram's values.
    sum: AtomicU64,
}

impl Metrics {
    /// The metric's number, made now if it is new; `None` when it cannot be.
    pub(crate) fn define(&self, kind: MetricType, name: &str) -> Option<u32> {
        if name.is_empty() || name.len() > MAX_NAME {
            return None;
        }
        let mut inner = self.inner.write();
        let slot = match kind {
            MetricType::Counter => 0,
            MetricType::Gauge => 1,
            MetricType::Histogram => 2,
        };
        if let Some(id) = inner.names.get(name).and_then(|kinds| kinds[slot]) {
            return Some(id);
        }
        if inner.metrics.len() >= MAX_METRICS {
            return None;
        }
        inner.metrics.push(Metric { kind, value: AtomicU64::new(0), sum: AtomicU64::new(0) });
        let id = u32::try_from(inner.metrics.len()).ok()?;
        inner.names.entry(name.into()).or_default()[slot] = Some(id);
        Some(id)
    }

    /// Sets a gauge, adds to a counter (as Envoy does), observes in a histogram.
    pub(crate) fn record(&self, id: u32, value: u64) -> Result<(), MetricError> {
        self.with(id, |m| {
            match m.kind {
                MetricType::Counter => drop(m.value.fetch_add(value, Ordering::Relaxed)),
                MetricType::Gauge => m.value.store(value, Ordering::Relaxed),
                MetricType::Histogram => {
                    m.value.fetch_add(1, Ordering::Relaxed);
                    m.sum.fetch_add(value, Ordering::Relaxed);
                }
            }
            Ok(())
        })
    }

    /// Moves a counter up or a gauge either way.
    pub(crate) fn increment(&self, id: u32, delta: i64) -> Result<(), MetricError> {
        self.with(id, |m| match m.kind {
            MetricType::Counter if delta <= 0 => Err(MetricError::Meaningless),
            MetricType::Histogram => Err(MetricError::Meaningless),
            MetricType::Counter | MetricType::Gauge => {
                // Two's complement: adding the bits of a negative number subtracts.
                m.value.fetch_add(delta.cast_unsigned(), Ordering::Relaxed);
                Ok(())
            }
        })
    }

    /// The value of a counter or gauge.
    pub(crate) fn get(&self, id: u32) -> Result<u64, MetricError> {
        self.with(id, |m| match m.kind {
            MetricType::Histogram => Err(MetricError::Meaningless),
            MetricType::Counter | MetricType::Gauge => Ok(m.value.load(Ordering::Relaxed)),
        })
    }

    fn with<R>(&self, id: u32, f: impl FnOnce(&Metric) -> Result<R, MetricError>) -> Result<R, MetricError> {
        let inner = self.inner.read();
        let metric = (id as usize).checked_sub(1).and_then(|i| inner.metrics.get(i)).ok_or(MetricError::Unknown)?;
        f(metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_does_what_it_can() {
        let m = Metrics::default();
        let c = m.define(MetricType::Counter, "c").expect("room");
        assert_eq!(m.define(MetricType::Counter, "c"), Some(c));
        let other = m.define(MetricType::Gauge, "c").expect("room");
        assert_eq!((other != c, m.record(other, 9), m.get(c)), (true, Ok(()), Ok(0)), "each kind has its own");
        assert_eq!(m.increment(c, 2), Ok(()));
        assert_eq!(m.increment(c, -1), Err(MetricError::Meaningless));
        assert_eq!(m.record(c, 3), Ok(()));
        assert_eq!(m.get(c), Ok(5));
        let g = m.define(MetricType::Gauge, "g").expect("room");
        assert_eq!((m.increment(g, -5), m.increment(g, 8), m.get(g)), (Ok(()), Ok(()), Ok(3)));
        let h = m.define(MetricType::Histogram, "h").expect("room");
        assert_eq!((m.record(h, 9), m.get(h)), (Ok(()), Err(MetricError::Meaningless)));
        assert_eq!(m.increment(h, 1), Err(MetricError::Meaningless));
        assert_eq!(m.get(99), Err(MetricError::Unknown));
        assert_eq!(m.get(0), Err(MetricError::Unknown));
        assert_eq!(m.define(MetricType::Gauge, ""), None);
    }
}
