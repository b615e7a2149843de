//! Metrics and the access log as a collector sees them.

mod metrics;
mod records;

use std::net::SocketAddr;

use opentelemetry_proto::tonic::metrics::v1::{
    HistogramDataPoint, Metric, NumberDataPoint, metric::Data, number_data_point::Value,
};

use crate::harness::{Client, Proxy, value};

/// The address of a collector that is away.
fn nobody() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A series of the page, which is not there yet when nothing was counted.
fn counted(proxy: &Proxy, series: &str) -> f64 {
    let text = Client::connect(proxy.admin()).send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").read().text();
    text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok()).unwrap_or_default()
}

fn metric<'a>(metrics: &'a [Metric], name: &str) -> &'a Metric {
    metrics.iter().find(|metric| metric.name == name).unwrap_or_else(|| {
        panic!("no {name}: {:?}", metrics.iter().map(|metric| metric.name.as_str()).collect::<Vec<_>>())
    })
}

/// The number of the series with these attributes, and no others.
fn number(metric: &Metric, attributes: &[(&str, &str)]) -> f64 {
    let points = match metric.data.as_ref().unwrap() {
        Data::Sum(sum) => &sum.data_points,
        Data::Gauge(gauge) => &gauge.data_points,
        other => panic!("no numbers: {other:?}"),
    };
    let wanted = |point: &&NumberDataPoint| {
        point.attributes.len() == attributes.len()
            && attributes.iter().all(|(name, text)| value(&point.attributes, name) == *text)
    };
    let found: Vec<_> = points.iter().filter(wanted).collect();
    let [point] = found[..] else { panic!("{} of {attributes:?}: {metric:#?}", found.len()) };
    match point.value.as_ref().unwrap() {
        #[allow(clippy::cast_precision_loss, reason = "tests count to a few")]
        Value::AsInt(number) => *number as f64,
        Value::AsDouble(number) => *number,
    }
}

fn spreads(metric: &Metric) -> &[HistogramDataPoint] {
    match metric.data.as_ref().unwrap() {
        Data::Histogram(histogram) => &histogram.data_points,
        other => panic!("no histogram: {other:?}"),
    }
}
