//! Callouts: requests that filters make by themselves, over pooled connections of their own.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap,
    header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
};
use parking_lot::RwLock;
use pingora_core::{
    connectors::{ConnectorOptions, http::Connector},
    upstreams::peer::HttpPeer,
};
use pingora_http::RequestHeader;
use sluice_host::{Callout, CalloutOutcome, CalloutResponse, Done};

use crate::{
    echo,
    upstream::{Kind, Upstream},
};

/// Largest response body that is read for a filter, bytes.
const MAX_BODY: usize = 4 << 20;
/// Idle connections that are kept.
const POOL: usize = 128;
const IDLE: Duration = Duration::from_secs(60);

/// Sends callouts. The upstreams are those of the configuration that was loaded last.
pub(crate) struct Callouts {
    upstreams: RwLock<Arc<HashMap<String, Arc<Upstream>>>>,
    connector: OnceLock<Connector>,
}

impl Callouts {
    pub(crate) fn new() -> Self {
        Self { upstreams: RwLock::default(), connector: OnceLock::new() }
    }

    /// Makes these the upstreams that callouts reach, and returns those of before.
    pub(crate) fn set_upstreams(&self, upstreams: &[Arc<Upstream>]) -> Vec<Arc<Upstream>> {
        let map = upstreams.iter().map(|u| (u.name.clone(), u.clone())).collect();
        let before = std::mem::replace(&mut *self.upstreams.write(), Arc::new(map));
        before.values().cloned().collect()
    }

    /// Whether a name means an upstream, or could be `host:port`.
    pub(crate) fn reaches(&self, name: &str) -> bool {
        self.upstreams.read().contains_key(name) || host_and_port(name).is_some()
    }

    /// Makes the call within its time and tells what came of it, whatever that is.
    pub(crate) async fn send(&self, callout: Callout, done: Done) {
        let (filter, upstream) = (callout.filter.clone(), callout.upstream.clone());
        let outcome = match tokio::time::timeout(callout.timeout, self.call(callout)).await {
            Ok(outcome) => outcome,
            Err(_) => Err("timeout".to_owned()),
        };
        if let Err(error) = &outcome {
            tracing::warn!(filter = &*filter, upstream, error, "a callout failed");
        }
        done(outcome);
    }

    async fn call(&self, callout: Callout) -> CalloutOutcome {
        let known = self.upstreams.read().get(&callout.upstream).cloned();
        let peer = match known.as_deref().map(|u| &u.kind) {
            Some(Kind::Echo) => return answer_of_echo(&callout),
            Some(Kind::Servers(servers)) => servers.peer().ok_or("the upstream's name means no address now")?,
            None => Box::new(address(&callout.upstream).await?),
        };
        let head = head(&callout).map_err(|e| e.to_string())?;
        // A pooled connection may have been closed by the other side: then a new one is tried, once.
        let (mut outcome, reused) = self.attempt(&peer, &head, &callout.body).await;
        if reused && outcome.is_err() {
            outcome = self.attempt(&peer, &head, &callout.body).await.0;
        }
        outcome.map_err(|e| e.to_string())
    }

    async fn attempt(
        &self,
        peer: &HttpPeer,
        head: &RequestHeader,
        body: &Bytes,
    ) -> (pingora_core::Result<CalloutResponse>, bool) {
        let connector = self.connector.get_or_init(|| Connector::new(Some(ConnectorOptions::new(POOL))));
        let (mut session, reused) = match connector.get_http_session(peer).await {
            Ok(found) => found,
            Err(e) => return (Err(e), false),
        };
        let result = exchange(&mut session, head, body).await;
        if result.is_ok() {
            connector.release_http_session(session, peer, Some(IDLE)).await;
        } else {
            session.shutdown().await;
        }
        (result, reused)
    }
}

async fn exchange(
    session: &mut pingora_core::protocols::http::client::HttpSession,
    head: &RequestHeader,
    body: &Bytes,
) -> pingora_core::Result<CalloutResponse> {
    session.write_request_header(Box::new(head.clone())).await?;
    if !body.is_empty() {
        session.write_request_body(body.clone(), true).await?;
    }
    session.finish_request_body().await?;
    session.read_response_header().await?;
    while session.response_header().is_some_and(|h| h.status.is_informational()) {
        session.read_response_header().await?;
    }
    let (status, headers) =
        session.response_header().map_or((0, HeaderMap::new()), |h| (h.status.as_u16(), h.headers.clone()));
    let mut whole = BytesMut::new();
    while let Some(chunk) = session.read_response_body().await? {
        if whole.len() + chunk.len() > MAX_BODY {
            return Err(pingora_core::Error::explain(
                pingora_core::ErrorType::ReadError,
                "the response is larger than 4 MiB",
            ));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(CalloutResponse { status, headers, body: whole.freeze(), trailers: HeaderMap::new() })
}

fn head(callout: &Callout) -> pingora_core::Result<RequestHeader> {
    let mut head = RequestHeader::build(callout.method.clone(), &callout.path, Some(callout.headers.len() + 2))?;
    head.insert_header(HOST, callout.authority.clone())?;
    for (name, value) in &callout.headers {
        // The framing follows from the body that is there.
        if name != CONTENT_LENGTH && name != TRANSFER_ENCODING && name != HOST {
            head.append_header(name.clone(), value.clone())?;
        }
    }
    let wants_body = matches!(callout.method, http::Method::POST | http::Method::PUT | http::Method::PATCH);
    if wants_body || !callout.body.is_empty() {
        head.insert_header(CONTENT_LENGTH, callout.body.len())?;
    }
    Ok(head)
}

fn answer_of_echo(callout: &Callout) -> CalloutOutcome {
    let head = head(callout).map_err(|e| e.to_string())?;
    let body = echo::body(&head, &callout.body, callout.body.len() as u64);
    let mut headers = HeaderMap::new();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    Ok(CalloutResponse { status: 200, headers, body, trailers: HeaderMap::new() })
}

fn host_and_port(name: &str) -> Option<(&str, u16)> {
    let (host, port) = name.rsplit_once(':')?;
    Some((host.trim_start_matches('[').trim_end_matches(']'), port.parse().ok()?)).filter(|(h, _)| !h.is_empty())
}

/// A plain HTTP endpoint that the filter was granted by `host:port`.
async fn address(name: &str) -> Result<HttpPeer, String> {
    let (host, port) = host_and_port(name).ok_or("no such upstream")?;
    let mut found = tokio::net::lookup_host((host, port)).await.map_err(|e| e.to_string())?;
    let address = found.next().ok_or("the name means no address now")?;
    let mut peer = HttpPeer::new(address, false, String::new());
    peer.options.connection_timeout = Some(Duration::from_secs(5));
    peer.options.read_timeout = Some(IDLE);
    peer.options.write_timeout = Some(IDLE);
    peer.options.idle_timeout = Some(IDLE);
    Ok(peer)
}
