//! HTTP callouts: requests that filters make by themselves.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use bytes::BytesMut;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri, Version,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, TRAILER, TRANSFER_ENCODING},
};
use http_body_util::{BodyExt, Full};
use parking_lot::{Mutex, RwLock};
use quanta::Instant;
use sluice_host::{Callout, CalloutOutcome, CalloutResponse, Done, FieldList, TracePlace};

use crate::{
    dial::{Body, words},
    echo,
    endpoint::Endpoint,
    method,
    telemetry::{CalloutSpan, CalloutStatus, CalloutTrace, Tracing},
    upstream::{Kind, Upstream},
};

/// Largest response body that is read for a filter, bytes.
const MAX_BODY: usize = 4 << 20;
/// Most servers granted by `host:port` whose connections are kept.
const MAX_PLAIN: usize = 256;

/// Whom callouts reach: the upstreams of the configuration that was loaded last, and servers by `host:port`.
#[derive(Default)]
pub(crate) struct Callouts {
    upstreams: RwLock<Arc<HashMap<String, Arc<Upstream>>>>,
    plain: Mutex<HashMap<String, Arc<Endpoint>>>,
    tracing: OnceLock<Tracing>,
}

/// Who answers a callout.
pub(crate) enum Target {
    /// The echo, from inside.
    Echo,
    /// A server.
    Endpoint(Arc<Endpoint>),
}

impl Callouts {
    /// From now on callouts are spans.
    pub(crate) fn trace_with(&self, tracing: Tracing) {
        let _ = self.tracing.set(tracing);
    }

    /// The span of a callout, where there is one.
    pub(crate) fn span(
        &self,
        at: Option<TracePlace>,
        fields: &mut FieldList,
        what: impl FnOnce() -> CalloutSpan,
    ) -> Option<CalloutTrace> {
        self.tracing.get()?.callout(at, fields, what)
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

    /// Whom a name means now.
    pub(crate) fn target(&self, name: &str) -> Result<Target, String> {
        let known = self.upstreams.read().get(name).cloned();
        match known.as_deref().map(|u| &u.kind) {
            Some(Kind::Echo) => Ok(Target::Echo),
            Some(Kind::Servers(servers)) => {
                let endpoint = servers.next_named(Instant::now(), None).ok_or("the upstream has no endpoint")?;
                Ok(Target::Endpoint(endpoint.clone()))
            }
            None => {
                let (host, port) = host_and_port(name).ok_or("no such upstream")?;
                let mut plain = self.plain.lock();
                if plain.len() >= MAX_PLAIN && !plain.contains_key(name) {
                    plain.clear();
                }
                let endpoint = plain.entry(name.to_owned()).or_insert_with(|| Arc::new(Endpoint::plain(host, port)));
                Ok(Target::Endpoint(endpoint.clone()))
            }
        }
    }

    /// Makes the call within its time and tells what came of it, whatever that is.
    pub(crate) async fn send(&self, mut callout: Callout, done: Done) {
        let (filter, upstream) = (callout.filter.clone(), callout.upstream.clone());
        let name = method::known(&callout.method);
        let mut span = self.span(callout.trace, &mut callout.headers, || CalloutSpan {
            name: name.to_owned(),
            filter: filter.clone(),
            upstream: upstream.clone(),
        });
        let outcome = match tokio::time::timeout(callout.timeout, self.call(callout, &mut span)).await {
            Ok(outcome) => outcome,
            Err(_) => Err("timeout".to_owned()),
        };
        if let Err(error) = &outcome {
            tracing::warn!(filter = &*filter, upstream, error, "a callout failed");
        }
        if let Some(span) = span {
            let status = outcome.as_ref().ok().map(|response| CalloutStatus::Http(response.status));
            span.end(status, outcome.as_ref().err().map(String::as_str));
        }
        done(outcome);
    }

    async fn call(&self, callout: Callout, span: &mut Option<CalloutTrace>) -> CalloutOutcome {
        let endpoint = match self.target(&callout.upstream)? {
            Target::Echo => return answer_of_echo(&callout),
            Target::Endpoint(endpoint) => endpoint,
        };
        if let Some(span) = span {
            span.asks(endpoint.host_and_port());
        }
        let request = request(callout, endpoint.scheme())?;
        let response = endpoint.reached(endpoint.http_client().request(request).await).map_err(|e| words(&e))?;
        let (head, mut body) = response.into_parts();
        let (mut whole, mut trailers) = (BytesMut::new(), HeaderMap::new());
        while let Some(frame) = body.frame().await {
            match frame.map_err(|e| words(&e))?.into_data() {
                Ok(data) if whole.len() + data.len() > MAX_BODY => {
                    return Err("the response is larger than 4 MiB, which is the limit".into());
                }
                Ok(data) => whole.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
            }
        }
        Ok(CalloutResponse { status: head.status.as_u16(), headers: head.headers, body: whole.freeze(), trailers })
    }
}

/// Fields of a request as they are sent: what belongs to the connection follows from the body that is there.
fn fields(callout: &Callout) -> HeaderMap {
    let ours = |name: &HeaderName| *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING || *name == HOST;
    let mut headers = HeaderMap::with_capacity(callout.headers.len() + 2);
    headers.insert(HOST, callout.authority.clone());
    for (name, value) in callout.headers.iter().filter(|(name, _)| !ours(name)) {
        headers.append(name.clone(), value.clone());
    }
    let wants_body = matches!(callout.method, http::Method::POST | http::Method::PUT | http::Method::PATCH);
    if wants_body || !callout.body.is_empty() {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(callout.body.len()));
    }
    headers
}

fn request(callout: Callout, scheme: &str) -> Result<Request<Body>, String> {
    let mut headers = fields(&callout);
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(callout.authority.as_bytes())
        .path_and_query(callout.path.as_slice())
        .build()
        .map_err(|e| format!("its :authority or :path cannot be sent: {e}"))?;
    let body = Full::new(callout.body).map_err(|never| match never {});
    let body = if callout.trailers.is_empty() {
        body.boxed_unsync()
    } else {
        // HTTP/1.1 has trailers only behind chunks, and only those that were announced.
        headers.remove(CONTENT_LENGTH);
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        headers.insert(TRAILER, announced(&callout.trailers));
        let trailers: HeaderMap = callout.trailers.into_iter().collect();
        body.with_trailers(std::future::ready(Some(Ok(trailers)))).boxed_unsync()
    };
    let mut request = Request::new(body);
    *request.method_mut() = callout.method;
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = headers;
    Ok(request)
}

fn announced(trailers: &FieldList) -> HeaderValue {
    let names: Vec<&str> = trailers.iter().map(|(name, _)| name.as_str()).collect();
    // Names of fields are always valid in a value.
    HeaderValue::from_str(&names.join(", ")).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn answer_of_echo(callout: &Callout) -> CalloutOutcome {
    let mut head =
        pingora_http::RequestHeader::build(callout.method.clone(), &callout.path, None).map_err(|e| e.to_string())?;
    for (name, value) in &fields(callout) {
        head.append_header(name.clone(), value.clone()).map_err(|e| e.to_string())?;
    }
    let body = echo::body(&head, &callout.body, callout.body.len() as u64);
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(CalloutResponse { status: 200, headers, body, trailers: HeaderMap::new() })
}

fn host_and_port(name: &str) -> Option<(&str, u16)> {
    let (host, port) = name.rsplit_once(':')?;
    Some((host.trim_start_matches('[').trim_end_matches(']'), port.parse().ok()?)).filter(|(h, _)| !h.is_empty())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn callout(authority: &str, path: &str) -> Callout {
        Callout {
            filter: "f".into(),
            upstream: "u".into(),
            method: http::Method::POST,
            path: path.as_bytes().to_vec(),
            authority: HeaderValue::from_str(authority).expect("a value"),
            headers: vec![(CONTENT_LENGTH, HeaderValue::from_static("99"))],
            body: Bytes::from_static(b"abc"),
            trailers: Vec::new(),
            timeout: std::time::Duration::from_secs(1),
            trace: None,
        }
    }

    #[test]
    fn framing_follows_from_the_body_and_not_from_the_filter() {
        let request = request(callout("a.test", "/x?y"), "http").expect("a request");
        assert_eq!(request.headers()[CONTENT_LENGTH], "3");
        assert_eq!(request.uri(), "http://a.test/x?y");
        let with_trailers = Callout {
            trailers: vec![("x-sum".parse().expect("a name"), HeaderValue::from_static("1"))],
            ..callout("a", "/")
        };
        let request = super::request(with_trailers, "https").expect("a request");
        assert!(!request.headers().contains_key(CONTENT_LENGTH));
        assert_eq!(request.headers()[TRAILER], "x-sum");
    }

    #[test]
    fn what_cannot_be_sent_says_why() {
        for (authority, path) in [("a b", "/"), ("a", "no slash")] {
            let error = request(callout(authority, path), "http").expect_err("not a request");
            assert!(error.contains("cannot be sent"), "{error}");
        }
    }

    #[test]
    fn names_of_servers() {
        assert_eq!(host_and_port("[::1]:80"), Some(("::1", 80)));
        assert_eq!(host_and_port("a.test:8080"), Some(("a.test", 8080)));
        assert_eq!(host_and_port(":80"), None);
        assert_eq!(host_and_port("app"), None);
    }
}
