//! What can be asked for: everything read again, a filter begun anew, an earlier version of it back, and one out of every
//! chain.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, to_bytes},
    extract::{Extension, Path, Query, State, rejection::QueryRejection},
    response::Response,
};
use http::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use tokio::{sync::oneshot, time::timeout};

use super::{Status, answer, guard::Ends};
use crate::reload::{Answer, Ask, Cause, Refusal};

/// How long an answer is waited for. What was asked for happens all the same.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most bytes of a body, and how long it may take to come.
const BODY: usize = 4 << 10;
const SENDING: Duration = Duration::from_secs(10);

/// Which version.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct To {
    /// The beginning of its digest; the last one before the one that serves when it is not there.
    to: Option<String>,
}

pub(super) async fn reload(State(status): State<Arc<Status>>, Extension(ends): Extension<Ends>) -> Response {
    let cause = Cause::Admin { client: ends.peer.to_string() };
    ask(&status, |answer| Ask::Reload { cause, answer: Some(answer) }).await
}

pub(super) async fn anew(
    State(status): State<Arc<Status>>,
    Extension(ends): Extension<Ends>,
    Path(filter): Path<String>,
) -> Response {
    let client = ends.peer.to_string();
    ask(&status, |answer| Ask::Anew { filter, client, answer }).await
}

pub(super) async fn rollback(
    State(status): State<Arc<Status>>,
    Extension(ends): Extension<Ends>,
    Path(filter): Path<String>,
    query: Result<Query<To>, QueryRejection>,
    body: Body,
) -> Response {
    let to = match version(query, body).await {
        Ok(to) => to,
        Err((status, why)) => return answer::error(status, why),
    };
    let client = ends.peer.to_string();
    ask(&status, |answer| Ask::Rollback { filter, to, client, answer }).await
}

/// Whether also a filter is disabled that requests are not to pass without.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Force {
    #[serde(default)]
    force: bool,
}

pub(super) async fn disable(
    State(status): State<Arc<Status>>,
    Extension(ends): Extension<Ends>,
    Path(filter): Path<String>,
    query: Result<Query<Force>, QueryRejection>,
) -> Response {
    let force = match query {
        Ok(Query(Force { force })) => force,
        Err(error) => return answer::error(StatusCode::BAD_REQUEST, error.body_text()),
    };
    let client = ends.peer.to_string();
    ask(&status, |answer| Ask::Switch { filter, off: true, force, client, answer }).await
}

pub(super) async fn enable(
    State(status): State<Arc<Status>>,
    Extension(ends): Extension<Ends>,
    Path(filter): Path<String>,
) -> Response {
    let client = ends.peer.to_string();
    ask(&status, |answer| Ask::Switch { filter, off: false, force: false, client, answer }).await
}

/// A status, and a sentence that says why.
pub(super) type Refused = (StatusCode, String);

/// From the query or the body.
async fn version(query: Result<Query<To>, QueryRejection>, body: Body) -> Result<Option<String>, Refused> {
    let Query(query) = query.map_err(|e| (StatusCode::BAD_REQUEST, e.body_text()))?;
    let body: To = read(body, "{\"to\": …}").await?;
    let to = query.to.or(body.to);
    let is_digest = |to: &str| !to.is_empty() && to.bytes().all(|b| b.is_ascii_hexdigit());
    if to.as_ref().is_some_and(|to| !is_digest(to.strip_prefix("sha256:").unwrap_or(to))) {
        return Err((StatusCode::BAD_REQUEST, "`to` is the beginning of a digest: hexadecimal digits".to_owned()));
    }
    Ok(to)
}

/// A body, which may be empty; `like` is one for people.
pub(super) async fn read<T: Default + DeserializeOwned>(body: Body, like: &str) -> Result<T, Refused> {
    let body = timeout(SENDING, to_bytes(body, BODY)).await;
    let body = body.map_err(|_| (StatusCode::REQUEST_TIMEOUT, "the body did not come in time".to_owned()))?;
    let body = body.map_err(|e| (StatusCode::PAYLOAD_TOO_LARGE, format!("the body cannot be read: {e}")))?;
    if body.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(&body).map_err(|e| (StatusCode::BAD_REQUEST, format!("the body is not `{like}`: {e}")))
}

async fn ask(status: &Status, order: impl FnOnce(oneshot::Sender<Answer>) -> Ask) -> Response {
    let Some(reload) = status.reload() else {
        return answer::error(StatusCode::SERVICE_UNAVAILABLE, "the first configuration is being loaded");
    };
    let Ok(place) = status.orders.clone().try_acquire_owned() else {
        return answer::error(StatusCode::TOO_MANY_REQUESTS, "too many others wait for the same thread; try again");
    };
    let (tell, told) = oneshot::channel();
    reload.wake(order(tell));
    // It keeps its place in the queue however long the client waits.
    let answer = tokio::spawn(async move {
        let _place = place;
        told.await
    });
    match timeout(PATIENCE, answer).await {
        Ok(Ok(Ok(Ok(swapped)))) => answer::json(&swapped),
        Ok(Ok(Ok(Err(Refusal::Unknown(why))))) => answer::error(StatusCode::NOT_FOUND, why),
        Ok(Ok(Ok(Err(Refusal::Guards(why))))) => answer::error(StatusCode::CONFLICT, why),
        Ok(Ok(Ok(Err(Refusal::Broken(why))))) => answer::error(StatusCode::UNPROCESSABLE_ENTITY, why),
        Ok(_) => answer::error(StatusCode::SERVICE_UNAVAILABLE, "the thread that swaps has ended"),
        Err(_) => {
            let words = "it is still being built; /events says what comes of it";
            answer::with(StatusCode::ACCEPTED, &json!({ "accepted": true, "message": words }))
        }
    }
}
