//! What is counted, at one moment: families that have one name and one kind each, and never a name or a series twice.
//! Names and labels are those of OpenTelemetry, with dots; what Prometheus calls them follows from these.

use std::collections::{BTreeMap, HashSet, btree_map::Entry};

/// The unit of durations.
pub(super) const SECONDS: &str = "s";
/// The unit of sizes.
pub(super) const BYTES: &str = "By";

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
    /// As UCUM writes it; in braces, what is counted.
    pub(super) unit: &'static str,
    pub(super) help: &'static str,
    /// What Prometheus calls it, where that does not follow from its name.
    known_as: Option<&'static str>,
    /// Stands behind the name when others have it already.
    number: Option<usize>,
    /// The levels of several proxies make one when they are added.
    pub(super) adds_up: bool,
    pub(super) series: BTreeMap<Labels, Value>,
}

/// All families.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(super) families: Vec<Family>,
    /// Names of all lines of the page for Prometheus.
    taken: HashSet<String>,
}

impl Value {
    pub(super) fn spread(sum: f64, buckets: Vec<(f64, u64)>) -> Self {
        Self::Spread { sum, buckets }
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
}

impl Family {
    /// Prometheus calls it by the same name with underscores, and its unit; `_total` follows by itself for what only
    /// grows.
    pub(super) fn new(name: impl Into<String>, unit: &'static str, help: &'static str) -> Self {
        Self { name: name.into(), unit, help, known_as: None, number: None, adds_up: false, series: BTreeMap::new() }
    }

    /// Prometheus knows it by a name of its own.
    pub(super) fn known_as(mut self, name: &'static str) -> Self {
        self.known_as = Some(name);
        self
    }

    /// The levels of several proxies make one when they are added.
    pub(super) fn adds_up(mut self) -> Self {
        self.adds_up = true;
        self
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

    /// Its name for OpenTelemetry.
    pub(super) fn dotted(&self) -> String {
        self.numbered(self.name.clone())
    }

    /// Its name for Prometheus, without `_total`.
    pub(super) fn underscored(&self) -> String {
        let unit = match self.unit {
            SECONDS => "_seconds",
            BYTES => "_bytes",
            _ => "",
        };
        self.numbered(self.known_as.map_or_else(|| underscored(&self.name) + unit, str::to_owned))
    }

    fn numbered(&self, name: String) -> String {
        self.number.map_or_else(|| name.clone(), |number| format!("{name}_{number}"))
    }

    /// The names of the lines that it makes for Prometheus.
    fn lines(&self) -> Vec<String> {
        let endings: &[&str] = match self.series.values().next() {
            Some(Value::Count(_) | Value::Sum(_)) => &["_total"],
            Some(Value::Spread { .. }) => &["", "_sum", "_count", "_bucket"],
            Some(Value::Level(_)) | None => &[""],
        };
        let name = self.underscored();
        endings.iter().map(|ending| format!("{name}{ending}")).collect()
    }
}

impl Page {
    /// A family whose name would be taken for another one's gets a number behind it.
    pub(super) fn add(&mut self, mut family: Family) {
        if family.series.is_empty() {
            return;
        }
        for number in 2.. {
            let lines = family.lines();
            if !lines.iter().any(|line| self.taken.contains(line)) {
                self.taken.extend(lines);
                break;
            }
            family.number = Some(number);
        }
        self.families.push(family);
    }
}

/// A name as Prometheus allows it.
pub(super) fn underscored(name: &str) -> String {
    name.replace('.', "_")
}
