//! The face for Prometheus: the page as text, which is fetched.

use std::{borrow::Cow, fmt};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text},
    metrics::MetricType,
    registry::Registry,
};

use super::page::{Page, Value, underscored};

impl Page {
    /// As text.
    ///
    /// # Errors
    /// Those of the writer, which here is a string.
    pub(crate) fn text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        prometheus_text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in &self.families {
            let Some(kind) = family.series.values().next().map(kind) else { continue };
            let name = family.underscored();
            let mut lines = encoder.encode_descriptor(&name, family.help, None, kind)?;
            for (labels, value) in &family.series {
                let labels: Vec<_> = labels.iter().map(|(name, value)| (label(name), value.as_str())).collect();
                encode(value, lines.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn label(name: &str) -> Cow<'_, str> {
    if name.contains('.') { underscored(name).into() } else { name.into() }
}

fn kind(value: &Value) -> MetricType {
    match value {
        Value::Count(_) | Value::Sum(_) => MetricType::Counter,
        Value::Level(_) => MetricType::Gauge,
        Value::Spread { .. } => MetricType::Histogram,
    }
}

fn encode(value: &Value, mut encoder: MetricEncoder<'_>) -> fmt::Result {
    match value {
        Value::Count(count) => encoder.encode_counter::<NoLabelSet, u64, f64>(count, None),
        Value::Sum(sum) => encoder.encode_counter::<NoLabelSet, f64, f64>(sum, None),
        Value::Level(level) => encoder.encode_gauge(level),
        Value::Spread { sum, buckets } => {
            let count = buckets.iter().map(|(_, count)| count).sum();
            encoder.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)
        }
    }
}
