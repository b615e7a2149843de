//! The face for OpenTelemetry: the page as messages, which are sent.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum, metric,
        number_data_point,
    },
};

use super::page::{Family, Labels, Page, Value};

/// Most series in one message: collectors refuse messages of more than 4 MiB, and a series has at most a few hundred bytes
/// besides its labels.
const MOST: usize = 2_000;

/// Since when counts are counted, and when they were read.
#[derive(Clone, Copy)]
struct Times {
    start_time_unix_nano: u64,
    time_unix_nano: u64,
}

impl Page {
    /// As messages of a bounded size each. Everything is cumulative since `started`.
    pub(crate) fn messages(self, started: SystemTime, now: SystemTime) -> Vec<Vec<Metric>> {
        let times = Times { start_time_unix_nano: nanos(started), time_unix_nano: nanos(now) };
        let mut messages = vec![Vec::new()];
        let mut room = MOST;
        for family in self.families {
            let mut series = family.series.iter().peekable();
            while series.peek().is_some() {
                if room == 0 {
                    messages.push(Vec::new());
                    room = MOST;
                }
                let part: Vec<_> = series.by_ref().take(room).collect();
                room -= part.len();
                if let (Some(message), Some(metric)) = (messages.last_mut(), metric(&family, &part, times)) {
                    message.push(metric);
                }
            }
        }
        messages
    }
}

/// Some series of a family; `None` when there are none.
fn metric(family: &Family, series: &[(&Labels, &Value)], times: Times) -> Option<Metric> {
    let temporality = AggregationTemporality::Cumulative.into();
    let numbers = || series.iter().filter_map(|(labels, value)| number(labels, value, times)).collect();
    let data = match series.first()?.1 {
        Value::Count(_) | Value::Sum(_) => {
            metric::Data::Sum(Sum { data_points: numbers(), aggregation_temporality: temporality, is_monotonic: true })
        }
        Value::Level(_) if family.adds_up => {
            metric::Data::Sum(Sum { data_points: numbers(), aggregation_temporality: temporality, is_monotonic: false })
        }
        Value::Level(_) => metric::Data::Gauge(Gauge { data_points: numbers() }),
        Value::Spread { .. } => metric::Data::Histogram(Histogram {
            data_points: series.iter().filter_map(|(labels, value)| spread(labels, value, times)).collect(),
            aggregation_temporality: temporality,
        }),
    };
    Some(Metric {
        name: family.dotted(),
        description: family.help.to_owned(),
        unit: family.unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    })
}

fn number(labels: &Labels, value: &Value, times: Times) -> Option<NumberDataPoint> {
    let value = match value {
        Value::Count(count) => number_data_point::Value::AsInt(i64::try_from(*count).unwrap_or(i64::MAX)),
        Value::Sum(number) | Value::Level(number) => number_data_point::Value::AsDouble(*number),
        Value::Spread { .. } => return None,
    };
    let Times { start_time_unix_nano, time_unix_nano } = times;
    let attributes = attributes(labels);
    Some(NumberDataPoint {
        attributes,
        start_time_unix_nano,
        time_unix_nano,
        value: Some(value),
        ..NumberDataPoint::default()
    })
}

fn spread(labels: &Labels, value: &Value, times: Times) -> Option<HistogramDataPoint> {
    let Value::Spread { sum, buckets } = value else { return None };
    let Times { start_time_unix_nano, time_unix_nano } = times;
    Some(HistogramDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano,
        time_unix_nano,
        count: buckets.iter().map(|(_, count)| count).sum(),
        sum: Some(*sum),
        bucket_counts: buckets.iter().map(|(_, count)| *count).collect(),
        // That the last one is infinite is understood.
        explicit_bounds: buckets.iter().map(|(bound, _)| *bound).filter(|bound| bound.is_finite()).collect(),
        ..HistogramDataPoint::default()
    })
}

/// Labels with the types that the conventions give them.
fn attributes(labels: &Labels) -> Vec<KeyValue> {
    let typed = |name: &str, text: &String| match (name, text.parse()) {
        ("http.response.status_code", Ok(status)) => any_value::Value::IntValue(status),
        ("otel.metric.overflow", _) => any_value::Value::BoolValue(true),
        _ => any_value::Value::StringValue(text.clone()),
    };
    let attribute = |(name, text): &(String, String)| KeyValue {
        key: name.clone(),
        value: Some(AnyValue { value: Some(typed(name, text)) }),
        ..KeyValue::default()
    };
    labels.iter().map(attribute).collect()
}

fn nanos(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names and how many series, of each message.
    fn sizes(page: Page) -> Vec<Vec<(String, usize)>> {
        let of = |metric: Metric| {
            let series = match metric.data {
                Some(metric::Data::Sum(sum)) => sum.data_points.len(),
                Some(metric::Data::Gauge(gauge)) => gauge.data_points.len(),
                Some(metric::Data::Histogram(histogram)) => histogram.data_points.len(),
                _ => 0,
            };
            (metric.name, series)
        };
        let messages = page.messages(UNIX_EPOCH, UNIX_EPOCH);
        messages.into_iter().map(|message| message.into_iter().map(of).collect()).collect()
    }

    #[test]
    fn many_series_are_many_messages_and_none_is_lost() {
        let mut page = Page::default();
        for name in ["a", "b"] {
            let mut family = Family::new(name, "", "");
            (0..3_000).for_each(|n| family.add([("n", &n.to_string())], Value::Count(n)));
            page.add(family);
        }
        let of = |name: &str, series| (name.to_owned(), series);
        assert_eq!(sizes(page), [vec![of("a", 2_000)], vec![of("a", 1_000), of("b", 1_000)], vec![of("b", 2_000)]]);
    }

    #[test]
    fn labels_have_the_types_of_the_conventions() {
        let labels = [("http.response.status_code", "204"), ("http.route", "204"), ("otel.metric.overflow", "true")];
        let labels: Labels = labels.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        let values: Vec<_> = attributes(&labels).into_iter().filter_map(|attribute| attribute.value?.value).collect();
        let text = any_value::Value::StringValue("204".to_owned());
        assert_eq!(values, [any_value::Value::IntValue(204), text, any_value::Value::BoolValue(true)]);
    }
}
