//! Metrics that filters define: counters, gauges and histograms by name.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::RwLock;
use sluice_abi::MetricType;

use super::{
    Account,
    labels::{ASSIGN, END, split},
};
use crate::caps::{Bound, Cap, Full};

/// Most metrics with one name and different labels, and the longest name, bytes.
const MAX_SERIES: usize = 500;
const MAX_NAME: usize = 512;
/// The label of the one metric that stands for all that would be too many, as OpenTelemetry names it.
const OVERFLOW: (&str, &str) = ("otel.metric.overflow", "true");

/// Why a metric was not changed or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetricError {
    /// No such number.
    Unknown,
    /// This kind of metric cannot do that.
    Meaningless,
}

/// What a filter gets for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defined {
    /// A metric.
    Metric(u32),
    /// One that stands for all that would be too many, and why.
    Overflow(u32, TooMany),
}

/// Why a name gets no metric of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TooMany {
    /// It has too many different labels.
    Labels,
    /// There is no room for more metrics.
    Metrics(Full),
}

/// Why a name gets no metric at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotDefined {
    /// It is empty, or longer than 512 bytes.
    Name,
    /// There is no room, not even for one that stands for all others.
    Full(Full),
}

/// One metric at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricSample {
    /// Its name without labels.
    pub name: Box<str>,
    /// Names and values, as the filter wrote them into the name.
    pub labels: Vec<(Box<str>, Box<str>)>,
    /// Its kind.
    pub kind: MetricType,
    /// A counter's total, a gauge's value (a signed number in two's complement), how many values a histogram saw.
    pub value: u64,
    /// The sum of a histogram's values.
    pub sum: u64,
}

/// Every metric.
#[derive(Debug)]
pub(crate) struct Metrics {
    inner: RwLock<Inner>,
    /// Most metrics of all filters together.
    max: usize,
}

#[derive(Debug, Default)]
struct Inner {
    /// Kinds have names of their own, as in Envoy: a filter that uses one for two is not stopped by it.
    names: HashMap<Box<str>, [Option<u32>; 3]>,
    /// How many metrics have this name without its labels.
    series: HashMap<Box<str>, usize>,
    metrics: Vec<Metric>,
}

#[derive(Debug)]
struct Metric {
    kind: MetricType,
    name: Box<str>,
    labels: Vec<(Box<str>, Box<str>)>,
    /// Counter total, gauge value, or how many values a histogram saw.
    value: AtomicU64,
    /// Sum of a histogram's values.
    sum: AtomicU64,
}

impl Inner {
    fn slot(kind: MetricType) -> usize {
        match kind {
            MetricType::Counter => 0,
            MetricType::Gauge => 1,
            MetricType::Histogram => 2,
        }
    }

    fn known(&self, kind: MetricType, name: &str) -> Option<u32> {
        self.names.get(name)?[Self::slot(kind)]
    }

    /// Whether there is no room for one more, by these two caps.
    fn full(&self, owner: &Account, cap: usize, max: usize) -> Option<Full> {
        if owner.metrics.get() >= cap {
            return Some(Full(Cap::Metrics, Bound::Own, cap));
        }
        (self.metrics.len() >= max).then_some(Full(Cap::Metrics, Bound::Shared, max))
    }

    fn add(&mut self, kind: MetricType, name: &str, base: Box<str>, labels: Vec<(Box<str>, Box<str>)>) -> u32 {
        *self.series.entry(base.clone()).or_default() += 1;
        self.metrics.push(Metric { kind, name: base, labels, value: AtomicU64::new(0), sum: AtomicU64::new(0) });
        // Numbers begin at 1; so many that they end are never reached.
        let id = u32::try_from(self.metrics.len()).unwrap_or(u32::MAX);
        self.names.entry(name.into()).or_default()[Self::slot(kind)] = Some(id);
        id
    }
}

impl Metrics {
    pub(crate) fn new(max: usize) -> Self {
        Self { inner: RwLock::default(), max }
    }

    /// The metric's number, made now on the account of `owner`, who may define `cap`, if it is new. What is too many is
    /// counted in one metric for each name, with the label [`OVERFLOW`].
    pub(crate) fn define(
        &self,
        kind: MetricType,
        name: &str,
        owner: &Account,
        cap: usize,
    ) -> Result<Defined, NotDefined> {
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(NotDefined::Name);
        }
        let mut inner = self.inner.write();
        if let Some(id) = inner.known(kind, name) {
            return Ok(Defined::Metric(id));
        }
        let (base, labels) = split(name);
        let many = !labels.is_empty() && inner.series.get(&*base).is_some_and(|n| *n >= MAX_SERIES);
        let too_many = match inner.full(owner, cap, self.max) {
            Some(full) => TooMany::Metrics(full),
            None if many => TooMany::Labels,
            None => {
                owner.metrics.add(1);
                return Ok(Defined::Metric(inner.add(kind, name, base, labels)));
            }
        };
        let name = format!("{base}_{}{ASSIGN}{}{END}", OVERFLOW.0, OVERFLOW.1);
        if let Some(id) = inner.known(kind, &name) {
            return Ok(Defined::Overflow(id, too_many));
        }
        // One more for each name, so that every total stays bounded by twice its cap.
        if let Some(full) = inner.full(owner, cap.saturating_mul(2), self.max.saturating_mul(2)) {
            return Err(NotDefined::Full(full));
        }
        owner.metrics.add(1);
        let labels = vec![(OVERFLOW.0.into(), OVERFLOW.1.into())];
        Ok(Defined::Overflow(inner.add(kind, &name, base, labels), too_many))
    }

    /// Every metric with its labels.
    pub(crate) fn samples(&self) -> Vec<MetricSample> {
        let inner = self.inner.read();
        let sample = |m: &Metric| MetricSample {
            name: m.name.clone(),
            labels: m.labels.clone(),
            kind: m.kind,
            value: m.value.load(Ordering::Relaxed),
            sum: m.sum.load(Ordering::Relaxed),
        };
        inner.metrics.iter().map(sample).collect()
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
        let (m, owner) = (Metrics::new(100), Account::default());
        let define = |kind, name| m.define(kind, name, &owner, 100);
        let id = |kind, name| match define(kind, name) {
            Ok(Defined::Metric(id)) => id,
            other => panic!("{other:?}"),
        };
        let c = id(MetricType::Counter, "c");
        assert_eq!(id(MetricType::Counter, "c"), c);
        let other = id(MetricType::Gauge, "c");
        assert_eq!((other != c, m.record(other, 9), m.get(c)), (true, Ok(()), Ok(0)), "each kind has its own");
        assert_eq!(m.increment(c, 2), Ok(()));
        assert_eq!(m.increment(c, -1), Err(MetricError::Meaningless));
        assert_eq!(m.record(c, 3), Ok(()));
        assert_eq!(m.get(c), Ok(5));
        let g = id(MetricType::Gauge, "g");
        assert_eq!((m.increment(g, -5), m.increment(g, 8), m.get(g)), (Ok(()), Ok(()), Ok(3)));
        let h = id(MetricType::Histogram, "h");
        assert_eq!((m.record(h, 9), m.get(h)), (Ok(()), Err(MetricError::Meaningless)));
        assert_eq!(m.increment(h, 1), Err(MetricError::Meaningless));
        assert_eq!(m.get(99), Err(MetricError::Unknown));
        assert_eq!(m.get(0), Err(MetricError::Unknown));
        assert_eq!(define(MetricType::Gauge, ""), Err(NotDefined::Name));
    }

    #[test]
    fn a_flood_of_labels_ends_in_one_metric() {
        let (m, owner) = (Metrics::new(4096), Account::default());
        let define = |i: usize| m.define(MetricType::Counter, &format!("hits_path=.=/{i};.;"), &owner, 4096);
        let labels = |id| Ok(Defined::Overflow(id, TooMany::Labels));
        assert!((0..MAX_SERIES).all(|i| matches!(define(i), Ok(Defined::Metric(_)))));
        let Ok(Defined::Overflow(over, TooMany::Labels)) = define(MAX_SERIES) else { panic!("one too many") };
        assert_eq!((define(MAX_SERIES + 1), define(0)), (labels(over), Ok(Defined::Metric(1))));
        assert_eq!(m.increment(over, 2), Ok(()));
        let sample = m.samples().into_iter().find(|s| s.labels == [(OVERFLOW.0.into(), OVERFLOW.1.into())]);
        assert_eq!(sample.map(|s| (s.name, s.value)), Some(("hits".into(), 2)));
    }

    #[test]
    fn a_filter_that_defines_too_many_leaves_the_room_of_others() {
        let (m, a, b) = (Metrics::new(5), Account::default(), Account::default());
        let define = |owner, name| m.define(MetricType::Gauge, name, owner, 2);
        let own = Full(Cap::Metrics, Bound::Own, 2);
        let shared = Full(Cap::Metrics, Bound::Shared, 5);
        assert_eq!((define(&a, "1"), define(&a, "2")), (Ok(Defined::Metric(1)), Ok(Defined::Metric(2))));
        assert_eq!(define(&a, "3"), Ok(Defined::Overflow(3, TooMany::Metrics(own))));
        assert_eq!(define(&a, "4"), Ok(Defined::Overflow(4, TooMany::Metrics(own))));
        assert_eq!(define(&a, "5"), Err(NotDefined::Full(Full(Cap::Metrics, Bound::Own, 4))));
        assert_eq!(define(&a, "3"), Ok(Defined::Overflow(3, TooMany::Metrics(own))), "it is there");
        assert_eq!(define(&b, "1"), Ok(Defined::Metric(1)), "who shares a metric pays nothing");
        assert_eq!(define(&b, "5"), Ok(Defined::Metric(5)));
        assert_eq!(define(&b, "6"), Ok(Defined::Overflow(6, TooMany::Metrics(shared))));
    }
}
