//! `/drain`: the process asks to be left alone, and lives on.

use std::sync::Arc;

use axum::{
    extract::{Extension, Query, State, rejection::QueryRejection},
    response::Response,
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::{Status, answer, guard::Ends};
use crate::{context::in_flight, reload::What};

/// Whether it is over.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Off {
    #[serde(default)]
    off: bool,
}

pub(super) async fn drain(
    State(status): State<Arc<Status>>,
    Extension(ends): Extension<Ends>,
    query: Result<Query<Off>, QueryRejection>,
) -> Response {
    let on = match query {
        Ok(Query(Off { off })) => !off,
        Err(error) => return answer::error(StatusCode::BAD_REQUEST, error.body_text()),
    };
    if status.leave.ask(on) {
        let generation = status.view.load().generation;
        status.events.record(What::Drain { generation, client: ends.peer.to_string(), on });
    }
    answer::json(&json!({ "draining": on, "in_flight": in_flight() }))
}
