//! `/upstreams`: where requests can go, and how the endpoints were reached.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use axum::{extract::State, response::Response};
use serde_json::{Value, json};

use super::{Status, answer};
use crate::{
    endpoint::Endpoint,
    traffic::Tally,
    upstream::{Kind, Upstream},
};

pub(super) async fn upstreams(State(status): State<Arc<Status>>) -> Response {
    let view = status.view.load();
    let upstreams: Vec<_> = view.upstreams.iter().map(|upstream| shown(upstream)).collect();
    answer::json(&json!({ "generation": view.generation, "since": view.since, "upstreams": upstreams }))
}

fn shown(upstream: &Upstream) -> Value {
    let name = &upstream.name;
    match &upstream.kind {
        Kind::Echo => json!({ "name": name, "builtin": "echo" }),
        Kind::Servers(servers) => {
            json!({ "name": name, "endpoints": servers.endpoints().iter().map(|e| endpoint(e)).collect::<Vec<_>>() })
        }
    }
}

/// `addresses` is empty while its name means nothing.
fn endpoint(endpoint: &Endpoint) -> Value {
    let Tally { attempts, failures, opened, reused, health } = &**endpoint.tally();
    json!({
        "endpoint": endpoint.authority(),
        "scheme": endpoint.scheme(),
        "addresses": endpoint.addresses(),
        "passed_over": health.is_out(),
        "attempts": attempts.load(Relaxed),
        "failures": failures.load(Relaxed),
        "connections": opened.load(Relaxed),
        "connections_reused": reused.load(Relaxed),
    })
}
