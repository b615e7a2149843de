//! Requests and attempts under the names that the conventions of OpenTelemetry give them, and how endpoints were reached.

use std::sync::atomic::Ordering::Relaxed;

use super::{
    page::{Family, Labels, Page, Value},
    to_f64,
};
use crate::{
    context::REQUESTS,
    tcp,
    traffic::{Kind, Tally, Times, Traffic},
};

pub(super) fn add(page: &mut Page, traffic: &Traffic) {
    requests(page, traffic);
    attempts(page, traffic);
    let open = Value::Level(to_f64(tcp::CONNECTIONS.load(Relaxed) as u64));
    page.add(Family::new("sluice_tcp_connections_active", "Open connections to TCP listeners").with([], open));
    let taken = Value::Count(traffic.connections.load(Relaxed));
    page.add(Family::new("sluice_tcp_connections", "Connections that TCP listeners took").with([], taken));
    endpoints(page, traffic);
}

fn requests(page: &mut Page, traffic: &Traffic) {
    let active = Value::Level(to_f64(REQUESTS.load(Relaxed) as u64));
    page.add(Family::new("http_server_active_requests", "Requests that are being served").with([], active));
    let mut family = Family::new("http_server_request_duration_seconds", "How long requests took, by route");
    for (route, times) in traffic.routes.all() {
        spread(&mut family, &times, &[("http_route", &route)], 500);
    }
    spread(&mut family, &traffic.unrouted, &[], 500);
    page.add(family);
}

fn attempts(page: &mut Page, traffic: &Traffic) {
    let mut family = Family::new("http_client_request_duration_seconds", "How long attempts took, by upstream");
    for (upstream, reached) in traffic.upstreams.all() {
        spread(&mut family, &reached.times, &[("server_address", &upstream)], 400);
    }
    page.add(family);
}

/// Statuses from `error` on are errors of whoever answers so.
fn spread(family: &mut Family, times: &Times, place: &[(&str, &str)], error: u16) {
    times.each(|counted| {
        let mut labels = labels(&counted.kind, error);
        labels.extend(place.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        labels.sort();
        family.put(labels, Value::spread(counted.seconds(), counted.buckets()));
    });
}

/// What is not known has no label.
fn labels(kind: &Kind, error: u16) -> Labels {
    let Kind { method, status, version, scheme, error: token } = *kind;
    if method.is_empty() {
        return vec![("otel_metric_overflow".to_owned(), "true".to_owned())];
    }
    let status = status.to_string();
    let error = if token.is_empty() && kind.status >= error { &status } else { token };
    let all = [
        ("http_request_method", method),
        ("http_response_status_code", if kind.status == 0 { "" } else { &status }),
        ("network_protocol_version", version),
        ("url_scheme", scheme),
        ("error_type", error),
    ];
    all.into_iter().filter(|(_, value)| !value.is_empty()).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

fn endpoints(page: &mut Page, traffic: &Traffic) {
    let mut attempts =
        Family::new("sluice_upstream_attempts", "Requests and connections that were to go to an endpoint");
    let mut failures = Family::new("sluice_upstream_failures", "Attempts of which nothing came, or no whole answer");
    let mut opened = Family::new("sluice_upstream_connections", "Connections to an endpoint that were opened");
    let mut reused = Family::new("sluice_upstream_connections_reused", "Requests that found a connection open");
    for (upstream, reached) in traffic.upstreams.all() {
        for (endpoint, tally) in reached.endpoints.all() {
            let labels = [("upstream", &*upstream), ("endpoint", &*endpoint)];
            let Tally { attempts: a, failures: f, opened: o, reused: r } = &*tally;
            for (family, count) in [(&mut attempts, a), (&mut failures, f), (&mut opened, o), (&mut reused, r)] {
                family.add(labels, Value::Count(count.load(Relaxed)));
            }
        }
    }
    [attempts, failures, opened, reused].into_iter().for_each(|family| page.add(family));
}
