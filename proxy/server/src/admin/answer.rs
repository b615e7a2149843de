//! How the admin listener speaks: JSON, also when it refuses.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header::CONTENT_TYPE};
use serde::Serialize;
use serde_json::json;

/// A value as JSON, for people too.
pub(super) fn json(value: &impl Serialize) -> Response {
    with(StatusCode::OK, value)
}

/// What went wrong, as a sentence.
pub(super) fn error(status: StatusCode, sentence: impl Into<String>) -> Response {
    with(status, &json!({ "error": sentence.into() }))
}

pub(super) fn with(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec_pretty(value) {
        Ok(mut body) => {
            body.push(b'\n');
            (status, [(CONTENT_TYPE, "application/json")], body).into_response()
        }
        // A map whose keys are no strings; there is none.
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
