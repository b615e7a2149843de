//! A page of metrics: families that have one name and one kind each, and never a name or a series twice.

use std::{
    collections::{BTreeMap, HashSet, btree_map::Entry},
    fmt,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text},
    metrics::MetricType,
    registry::Registry,
};

/// Names and values.
pub(super) type Labels = Vec<(String, String)>;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Only grows.
    Count(u64),
    /// Only grows, and has parts.
    Sum(f64),
    /// Goes up and down.
    Level(f64),
    /// Counts by upper bound, the last of which is infinite.
    Spread { sum: f64, buckets: Vec<(f64, u64)> },
}

/// Everything that has one name.
#[derive(Debug)]
pub(super) struct Family {
    name: String,
    help: &'static str,
    series: BTreeMap<Labels, Value>,
}

/// All families.
#[derive(Debug, Default)]
pub(super) struct Page {
    families: Vec<Family>,
    /// Names of all lines of the page.
    taken: HashSet<String>,
}

impl Value {
    pub(super) fn spread(sum: f64, buckets: Vec<(f64, u64)>) -> Self {
        Self::Spread { sum, buckets }
    }

    fn kind(&self) -> MetricType {
        match self {
            Self::Count(_) | Self::Sum(_) => MetricType::Counter,
            Self::Level(_) => MetricType::Gauge,
            Self::Spread { .. } => MetricType::Histogram,
        }
    }

    /// Two series that turned out to have the same name are one.
    fn join(&mut self, other: Self) {
        match (self, other) {
            (Self::Count(count), Self::Count(more)) => *count = count.saturating_add(more),
            (Self::Spread { sum, buckets }, Self::Spread { sum: more, buckets: others }) => {
                *sum += more;
                buckets.iter_mut().zip(others).for_each(|(bucket, other)| bucket.1 = bucket.1.saturating_add(other.1));
            }
            (value, other) => *value = other,
        }
    }

    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => encoder.encode_counter::<NoLabelSet, u64, f64>(count, None),
            Self::Sum(sum) => encoder.encode_counter::<NoLabelSet, f64, f64>(sum, None),
            Self::Level(level) => encoder.encode_gauge(level),
            Self::Spread { sum, buckets } => {
                let count = buckets.iter().map(|(_, count)| count).sum();
                encoder.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)
            }
        }
    }
}

impl Family {
    /// A name without `_total`, which the page adds to what only grows.
    pub(super) fn new(name: impl Into<String>, help: &'static str) -> Self {
        Self { name: name.into(), help, series: BTreeMap::new() }
    }

    pub(super) fn with<const N: usize>(mut self, labels: [(&str, &str); N], value: Value) -> Self {
        self.add(labels, value);
        self
    }

    pub(super) fn add<const N: usize>(&mut self, labels: [(&str, &str); N], value: Value) {
        self.put(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(), value);
    }

    pub(super) fn put(&mut self, labels: Labels, value: Value) {
        match self.series.entry(labels) {
            Entry::Vacant(place) => _ = place.insert(value),
            Entry::Occupied(mut place) => place.get_mut().join(value),
        }
    }

    /// The names of the lines that it makes.
    fn lines(&self) -> Vec<String> {
        let endings: &[&str] = match self.series.values().next().map(Value::kind) {
            Some(MetricType::Counter) => &["_total"],
            Some(MetricType::Histogram) => &["", "_sum", "_count", "_bucket"],
            _ => &[""],
        };
        endings.iter().map(|ending| format!("{}{ending}", self.name)).collect()
    }
}

impl Page {
    /// A family whose name would be taken for another one's gets a number behind it.
    pub(super) fn add(&mut self, mut family: Family) {
        if family.series.is_empty() {
            return;
        }
        let name = family.name.clone();
        for number in 2.. {
            let lines = family.lines();
            if !lines.iter().any(|line| self.taken.contains(line)) {
                self.taken.extend(lines);
                break;
            }
            family.name = format!("{name}_{number}");
        }
        self.families.push(family);
    }

    pub(super) fn text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        prometheus_text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Family { name, help, series } in &self.families {
            let Some(kind) = series.values().next().map(Value::kind) else { continue };
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for (labels, value) in series {
                value.encode(family.encode_family(labels)?)?;
            }
        }
        Ok(())
    }
}
