//! Every path of the admin listener.

use std::sync::Arc;

use axum::{
    Router,
    middleware::from_fn,
    response::Response,
    routing::{MethodRouter, get, post},
};
use http::StatusCode;
use serde_json::json;

use super::{Status, answer, drain, explain, guard, levels, orders, pages, requests, stream, upstreams};

type Route = (&'static str, &'static str, MethodRouter<Arc<Status>>);

/// Method, path and what stands behind it.
fn all() -> Vec<Route> {
    vec![
        ("GET", "/", get(index)),
        ("GET", "/live", get(pages::live)),
        ("GET", "/ready", get(pages::ready)),
        ("GET", "/filters", get(pages::filters)),
        ("GET", "/filters/{name}", get(pages::filter)),
        ("POST", "/filters/{name}/reload", post(orders::anew)),
        ("POST", "/filters/{name}/rollback", post(orders::rollback)),
        ("POST", "/filters/{name}/disable", post(orders::disable)),
        ("POST", "/filters/{name}/enable", post(orders::enable)),
        ("GET", "/config", get(pages::config)),
        ("GET", "/routes/explain", get(explain::explain)),
        ("GET", "/upstreams", get(upstreams::upstreams)),
        ("GET", "/events", get(stream::events)),
        ("GET", "/metrics", get(pages::metrics)),
        ("GET", "/debug/requests", get(requests::requests)),
        ("POST", "/drain", post(drain::drain)),
        ("POST", "/reload", post(orders::reload)),
        ("GET", "/logging", get(levels::shown)),
        ("POST", "/logging", post(levels::wish)),
        ("GET", "/openapi.json", get(pages::openapi)),
    ]
}

pub(super) fn app(status: Arc<Status>) -> Router {
    let routes = all().into_iter().fold(Router::new(), |router, (_, path, route)| router.route(path, route));
    let unknown =
        async || answer::with(StatusCode::NOT_FOUND, &json!({ "error": "there is no such path", "paths": paths() }));
    let wrong = async || answer::error(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method (see `allow`)");
    routes.fallback(unknown).method_not_allowed_fallback(wrong).layer(from_fn(guard::check)).with_state(status)
}

async fn index() -> Response {
    answer::json(&json!({ "sluice": env!("CARGO_PKG_VERSION"), "paths": paths() }))
}

fn paths() -> Vec<String> {
    all().iter().map(|(method, path, _)| format!("{method} {path}")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_description_names_the_routes_that_there_are_and_no_others() {
        let description: Value = serde_json::from_str(pages::OPENAPI).expect("it is JSON");
        assert_eq!(description["openapi"], "3.1.0");
        let described = description["paths"].as_object().expect("paths").iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods").keys().filter(|key| *key != "parameters");
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        });
        let described: BTreeSet<_> = described.collect();
        assert_eq!(described, paths().into_iter().collect());
    }

    #[test]
    fn every_reference_of_the_description_leads_somewhere() {
        let description: Value = serde_json::from_str(pages::OPENAPI).expect("it is JSON");
        let mut open = vec![&description];
        while let Some(value) = open.pop() {
            if let Some(Value::String(reference)) = value.get("$ref") {
                let pointer = reference.strip_prefix('#').expect("within the file");
                assert!(description.pointer(pointer).is_some(), "{reference}");
            }
            match value {
                Value::Object(object) => open.extend(object.values()),
                Value::Array(array) => open.extend(array),
                _ => {}
            }
        }
    }
}
