//! `/routes/explain`: which route a request takes, why those before it do not take it, and what it meets there.

use std::sync::Arc;

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::Response,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::{Status, View, answer};
use crate::{normalize, route::Miss};

/// Most routes that are told as passed over.
const TOLD: usize = 100;

/// A request as it is asked about.
struct Asked {
    host: String,
    path: String,
    method: String,
    headers: HeaderMap,
}

pub(super) async fn explain(
    State(status): State<Arc<Status>>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Response {
    let asked = query.map_err(|error| error.body_text()).and_then(|Query(pairs)| Asked::read(pairs));
    match asked {
        Ok(asked) => answer::json(&told(&status.view.load(), &asked)),
        Err(why) => answer::error(StatusCode::BAD_REQUEST, why),
    }
}

impl Asked {
    fn read(pairs: Vec<(String, String)>) -> Result<Self, String> {
        let mut asked = Self { host: String::new(), path: "/".into(), method: "GET".into(), headers: HeaderMap::new() };
        for (key, value) in pairs {
            match &*key {
                "host" => asked.host = value,
                "path" => asked.path = value,
                "method" => asked.method = value,
                "header" => {
                    let (name, value) = value.split_once(':').unwrap_or((&value, ""));
                    let name =
                        HeaderName::try_from(name.trim()).map_err(|_| format!("`{name}` is no name of a header"));
                    let value = HeaderValue::try_from(value.trim());
                    asked.headers.append(name?, value.map_err(|_| "the value of a header holds what it must not")?);
                }
                _ => {
                    return Err(format!("`{key}` is none of `host`, `path`, `method` and `header` (as `NAME: VALUE`)"));
                }
            }
        }
        let target = normalize::target(asked.path.as_bytes()).ok_or("the path climbs above the root")?;
        asked.path = String::from_utf8_lossy(&target).into_owned();
        Ok(asked)
    }
}

fn told(view: &View, asked: &Asked) -> Value {
    let Asked { host, path, method, headers } = asked;
    let explained = view.table.explain(host.as_bytes(), method.as_bytes(), path.as_bytes(), headers);
    let routes = &view.config["routes"];
    let route = explained.route.map(|index| with_switches(routes[index].clone(), view));
    let upstream = route.as_ref().and_then(|route| route["action"]["upstream"].as_str());
    let missed = explained.missed.iter().take(TOLD);
    json!({
        "generation": view.generation,
        "request": { "host": host, "path": path, "method": method },
        "route": route,
        "upstream": upstream.map(|name| &view.config["upstreams"][name]),
        "passed_over": missed.map(|(at, miss)| json!({ "route": routes[*at]["name"], "why": why(miss) })).collect::<Vec<_>>(),
        "passed_over_more": explained.missed.len().saturating_sub(TOLD),
    })
}

/// The route with what was made of its chain since the file was read.
fn with_switches(mut route: Value, view: &View) -> Value {
    for link in route["filters"].as_array_mut().into_iter().flatten() {
        let off = view.filters.iter().any(|filter| filter.disabled && link["filter"] == filter.name);
        link["disabled"] = off.into();
    }
    route
}

fn why(miss: &Miss<'_>) -> String {
    match miss {
        Miss::Host => "it is for another host".to_owned(),
        Miss::Path => "it is for other paths".to_owned(),
        Miss::Method => "it is for other methods".to_owned(),
        Miss::Header(name) => format!("the header `{name}` is not there, or not as it wants it"),
    }
}
