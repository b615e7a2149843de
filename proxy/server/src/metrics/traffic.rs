//! Requests and attempts under the names that the conventions of OpenTelemetry give them, and how endpoints were reached.

use std::sync::atomic::Ordering::Relaxed;

use super::{
    page::{Family, Labels, Page, SECONDS, Value},
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
    let open = Value::Level(to_f64(traffic.http.active()));
    let help = "Open connections to HTTP listeners";
    page.add(Family::new("sluice.http.connections_active", "{connection}", help).adds_up().with([], open));
    let taken = Value::Count(traffic.http.taken.load(Relaxed));
    let help = "Connections that HTTP listeners took";
    page.add(Family::new("sluice.http.connections", "{connection}", help).with([], taken));
    let open = Value::Level(to_f64(tcp::CONNECTIONS.load(Relaxed) as u64));
    let help = "Open connections to TCP listeners";
    page.add(Family::new("sluice.tcp.connections_active", "{connection}", help).adds_up().with([], open));
    let taken = Value::Count(traffic.connections.load(Relaxed));
    let help = "Connections that TCP listeners took";
    page.add(Family::new("sluice.tcp.connections", "{connection}", help).with([], taken));
    endpoints(page, traffic);
}

fn requests(page: &mut Page, traffic: &Traffic) {
    let active = Value::Level(to_f64(REQUESTS.load(Relaxed) as u64));
    let help = "Requests that are being served";
    page.add(Family::new("http.server.active_requests", "{request}", help).adds_up().with([], active));
    let mut family = Family::new("http.server.request.duration", SECONDS, "How long requests took, by route");
    for (route, times) in traffic.routes.all() {
        spread(&mut family, &times, &[("http.route", &route)], 500);
    }
    spread(&mut family, &traffic.unrouted, &[], 500);
    page.add(family);
}

fn attempts(page: &mut Page, traffic: &Traffic) {
    let mut family = Family::new("http.client.request.duration", SECONDS, "How long attempts took, by upstream");
    for (upstream, reached) in traffic.upstreams.all() {
        spread(&mut family, &reached.times, &[("server.address", &upstream)], 400);
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
        return vec![("otel.metric.overflow".to_owned(), "true".to_owned())];
    }
    let status = status.to_string();
    let error = if token.is_empty() && kind.status >= error { &status } else { token };
    let all = [
        ("http.request.method", method),
        ("http.response.status_code", if kind.status == 0 { "" } else { &status }),
        ("network.protocol.version", version),
        ("url.scheme", scheme),
        ("error.type", error),
    ];
    all.into_iter().filter(|(_, value)| !value.is_empty()).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

fn endpoints(page: &mut Page, traffic: &Traffic) {
    let mut attempts =
        Family::new("sluice.upstream.attempts", "{attempt}", "Requests and connections that were to go to an endpoint");
    let mut failures =
        Family::new("sluice.upstream.failures", "{attempt}", "Attempts of which nothing came, or no whole answer");
    let mut opened =
        Family::new("sluice.upstream.connections", "{connection}", "Connections to an endpoint that were opened");
    let mut reused =
        Family::new("sluice.upstream.connections_reused", "{request}", "Requests that found a connection open");
    let mut passed_over = Family::new(
        "sluice.upstream.passed_over",
        "{endpoint}",
        "1 while an endpoint of which no answers come gets no requests",
    );
    for (upstream, reached) in traffic.upstreams.all() {
        for (endpoint, tally) in reached.endpoints.all() {
            let labels = [("upstream", &*upstream), ("endpoint", &*endpoint)];
            let Tally { attempts: a, failures: f, opened: o, reused: r, health } = &*tally;
            for (family, count) in [(&mut attempts, a), (&mut failures, f), (&mut opened, o), (&mut reused, r)] {
                family.add(labels, Value::Count(count.load(Relaxed)));
            }
            passed_over.add(labels, Value::Level(f64::from(u8::from(health.is_out()))));
        }
    }
    [attempts, failures, opened, reused, passed_over].into_iter().for_each(|family| page.add(family));
}
