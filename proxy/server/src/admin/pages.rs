//! What can be read: the state of the process, its filters, its configuration and its counts.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header::CONTENT_TYPE};
use serde::Deserialize;
use serde_json::json;

use super::{Status, answer};
use crate::{metrics, reload::OldGeneration};

/// What stands behind each path, for machines.
pub(super) const OPENAPI: &str = include_str!("../../../../docs/openapi.json");
/// The text format of Prometheus that every version of it reads.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) async fn live() -> Response {
    answer::json(&json!({ "live": true }))
}

pub(super) async fn ready(State(status): State<Arc<Status>>) -> Response {
    let reasons = status.unready();
    let code = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer::with(code, &json!({ "ready": reasons.is_empty(), "reasons": reasons }))
}

pub(super) async fn filters(State(status): State<Arc<Status>>) -> Response {
    let view = status.view.load();
    let draining = status.events.counts.draining.all();
    let filters: Vec<_> = view.filters.iter().map(|filter| filter.now(&draining)).collect();
    let old = |old: &Arc<OldGeneration>| json!({ "generation": old.generation, "since": old.since, "requests": old.requests() });
    answer::json(&json!({
        "generation": view.generation,
        "since": view.since,
        "draining": draining.iter().map(old).collect::<Vec<_>>(),
        "filters": filters,
    }))
}

pub(super) async fn filter(State(status): State<Arc<Status>>, Path(name): Path<String>) -> Response {
    let view = status.view.load();
    match view.filters.iter().find(|filter| filter.name == name) {
        Some(filter) => answer::json(&filter.now(&status.events.counts.draining.all())),
        None => {
            let names: Vec<_> = view.filters.iter().map(|filter| filter.name.as_str()).collect();
            let error = json!({ "error": format!("there is no filter `{name}`"), "filters": names });
            answer::with(StatusCode::NOT_FOUND, &error)
        }
    }
}

/// What of a configuration is shown.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shown {
    /// With where each value stands.
    #[serde(default)]
    origins: bool,
}

pub(super) async fn config(State(status): State<Arc<Status>>, query: Result<Query<Shown>, QueryRejection>) -> Response {
    let origins = match query {
        Ok(Query(Shown { origins })) => origins,
        Err(error) => return answer::error(StatusCode::BAD_REQUEST, error.body_text()),
    };
    let view = status.view.load();
    let mut shown = json!({ "generation": view.generation, "since": view.since, "config": view.config });
    if origins {
        shown["origins"] = super::config::origins(&view.origins);
        shown["origins_more"] = view.origins.more.into();
    }
    answer::json(&shown)
}

pub(super) async fn metrics(State(status): State<Arc<Status>>) -> Response {
    match metrics::page(&status).text() {
        Ok(page) => ([(CONTENT_TYPE, EXPOSITION)], page).into_response(),
        // Writing to a string does not fail.
        Err(error) => answer::error(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

pub(super) async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}
