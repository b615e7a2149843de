//! Asks endpoints how they are, where `health.check` of their upstream says so.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use sluice_config::plan::HealthCheck;
use tokio::runtime::Handle;

use crate::{
    dial::{Body, dial, words},
    endpoint::Endpoint,
    site::Site,
};

/// As whom.
const AGENT: &str = concat!("sluice/", env!("CARGO_PKG_VERSION"), " (health check)");
/// Most bytes of an answer that are read, so that its connection can be used again.
const ANSWER: usize = 64 << 10;

/// Begins with the endpoints of a site that are to be asked and are not yet.
pub(crate) fn begin(site: &Site, background: &Handle) {
    let servers = site.upstreams.iter().filter_map(|upstream| upstream.servers());
    for endpoint in servers.flat_map(|servers| servers.endpoints()).filter(|endpoint| endpoint.wants_checks()) {
        background.spawn(ask_for_ever(Arc::downgrade(endpoint)));
    }
}

/// As long as the endpoint is there.
async fn ask_for_ever(endpoint: Weak<Endpoint>) {
    while let Some(endpoint) = endpoint.upgrade() {
        let Some(check) = endpoint.check() else { return };
        let how = match tokio::time::timeout(check.timeout, ask(&endpoint, check)).await {
            Ok(how) => how,
            Err(_) => Err("no answer within `health.check.timeout`".to_owned()),
        };
        endpoint.said(how);
        let every = check.every;
        // Nobody keeps an endpoint by asking it.
        drop(endpoint);
        tokio::time::sleep(every).await;
    }
}

async fn ask(endpoint: &Arc<Endpoint>, check: &HealthCheck) -> Result<(), String> {
    let Some(path) = &check.path else {
        return dial(endpoint, false).await.map(drop).map_err(|error| words(&*error));
    };
    let authority = endpoint.authority();
    let uri = Uri::builder().scheme(endpoint.scheme()).authority(&*authority).path_and_query(path.as_str()).build();
    let nothing: Body = Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync();
    let request = Request::builder()
        .method(Method::GET)
        .uri(uri.map_err(|error| error.to_string())?)
        .header(header::HOST, authority)
        .header(header::USER_AGENT, AGENT)
        .body(nothing)
        .map_err(|error| error.to_string())?;
    let response = endpoint.http_client().request(request).await.map_err(|error| words(&error))?;
    let status = response.status();
    // What comes of it is no part of the answer.
    let _ = Limited::new(response.into_body(), ANSWER).collect().await;
    if status.as_u16() < 400 { Ok(()) } else { Err(format!("it answers {status}")) }
}
