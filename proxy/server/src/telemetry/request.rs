//! The spans of one request: the request itself, each attempt at an upstream, and each visit to a filter.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::HeaderMap;
use opentelemetry::{
    SpanId, StringValue,
    trace::{SpanContext, SpanKind},
};
use opentelemetry_sdk::trace::IdGenerator as _;
use pingora_proxy::Session;
use quanta::Instant;
use sluice_host::{RouteFacts, TracePlace};
use smallvec::SmallVec;

use super::{
    Tracer, Tracing,
    propagate::Told,
    span::{self, Span},
    visits,
};
use crate::{access_log::AccessLog, context::Context, method, request::protocol, tls_facts};

/// A request in a trace.
pub(crate) struct Trace {
    tracer: Arc<Tracer>,
    place: SpanContext,
    /// Who sent it, when they are believed.
    parent: Option<SpanContext>,
    /// Who they say they are, when they are not.
    link: Option<SpanContext>,
    /// It is written down: it was drawn, or it will be wanted if it fails.
    records: bool,
    /// What was put into the request's fields, if the trace was drawn: another value there is a filter's own.
    told: Told,
    attempts: SmallVec<[Attempt; 1]>,
}

/// One attempt at an upstream.
struct Attempt {
    id: SpanId,
    began: Instant,
    ended: Option<Instant>,
    to: Option<SocketAddr>,
    route: Option<Arc<RouteFacts>>,
    status: Option<u16>,
    error: Option<&'static str>,
}

impl Tracing {
    /// Begins the span of a request. The request carries its place from here on, so that filters see it and pass it on in
    /// their callouts.
    pub(crate) fn begin(&self, session: &mut Session) -> Option<Box<Trace>> {
        let tracer = self.0.clone()?;
        let said = tracer.propagation.read(&session.req_header().headers);
        let peer = || session.client_addr().and_then(|peer| peer.as_inet()).map(SocketAddr::ip);
        let believed = (said.place.is_some() || said.sampled.is_some()) && tracer.trusts(peer());
        let (parent, link) = if believed { (said.place, None) } else { (None, said.place) };
        let followed = said.sampled.filter(|_| believed && tracer.sampler.follows_parent());
        let mut place = tracer.place(parent.as_ref(), false);
        let sampled = followed.unwrap_or_else(|| tracer.draws(place.trace_id()));
        if sampled {
            place = span::place(place.trace_id(), place.span_id(), true);
        }
        let records = sampled || tracer.sampler.keeps_errors();
        // Upstreams are told of attempts of their own only where that will be read.
        let told = tracer.propagation.write(session.req_header_mut(), &place, parent.is_some(), sampled);
        Some(Box::new(Trace { tracer, place, parent, link, records, told, attempts: SmallVec::new() }))
    }
}

impl Trace {
    /// Whether it is written down.
    pub(crate) fn records(&self) -> bool {
        self.records
    }

    /// Where it stands.
    pub(crate) fn context(&self) -> &SpanContext {
        &self.place
    }

    /// Where filters of this request stand.
    pub(crate) fn place(&self) -> TracePlace {
        let trace = u128::from_be_bytes(self.place.trace_id().to_bytes());
        TracePlace::new(trace, visits::number(&self.place), self.place.is_sampled())
    }

    /// An attempt at an upstream begins. One before it that has not ended was broken off.
    pub(crate) fn attempt(&mut self, now: Instant, to: Option<SocketAddr>, route: Option<Arc<RouteFacts>>) {
        if !self.records {
            return;
        }
        self.attempt_failed("upstream_reset");
        let id = self.tracer.ids.new_span_id();
        self.attempts.push(Attempt { id, began: now, ended: None, to, route, status: None, error: None });
    }

    /// What the upstream is told: the attempt is its parent. What a filter put there, or took away, stays as it is.
    pub(crate) fn tell(&mut self, headers: &mut HeaderMap) {
        headers.extend(self.news(headers));
    }

    /// The same for a head of Pingora's, which keeps the case of names beside them.
    pub(crate) fn tell_head(&mut self, head: &mut pingora_http::RequestHeader) {
        for (name, value) in self.news(&head.headers) {
            // The names are ours and the values are hexadecimal.
            let _ = head.insert_header(name, value);
        }
    }

    /// The head that is sent is made anew for each attempt.
    fn news(&self, headers: &HeaderMap) -> Told {
        let Some(attempt) = self.attempts.last().filter(|_| self.place.is_sampled()) else { return Told::new() };
        let place = span::place(self.place.trace_id(), attempt.id, self.place.is_sampled());
        self.tracer.propagation.news(&self.told, headers, &place)
    }

    /// The upstream's head has come; the last one counts.
    pub(crate) fn answered(&mut self, status: u16) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.status = Some(status);
        }
    }

    /// The attempt is over, and failed; nothing happens if it is over already.
    pub(crate) fn attempt_failed(&mut self, token: &'static str) {
        if let Some(attempt) = self.attempts.last_mut().filter(|attempt| attempt.ended.is_none()) {
            attempt.error = Some(token);
            attempt.ended = Some(Instant::now());
        }
    }

    /// Everything is over.
    pub(crate) fn end(mut self, session: &Session, ctx: &Context, log: &AccessLog) {
        if !self.records {
            return;
        }
        let status = crate::answer::sent(session).map_or(0, |head| head.status.as_u16());
        let token = ctx.cause.as_ref().map(|cause| cause.token);
        // Who goes away has their reasons, which are not ours.
        let failed = (status >= 500 || status == 0) && token != Some("client_closed");
        let wanted = self.place.is_sampled() || failed && self.tracer.keeps();
        if !wanted {
            return;
        }
        if let Some(token) = token.filter(|token| token.starts_with("upstream")) {
            self.attempt_failed(token);
        }
        let now = Instant::now();
        for (number, attempt) in self.attempts.iter().enumerate() {
            let times = (ctx.wall(attempt.began), ctx.wall(attempt.ended.unwrap_or(now)));
            self.tracer.send(self.attempt_span(session, attempt, number, times));
        }
        if let Some(exchange) = &ctx.exchange {
            self.tracer.visits(exchange, &self.place);
        }
        let span = self.server_span(session, ctx, status, ctx.wall(now)).with_some("url.query", query(session, log));
        let words = || ctx.cause.as_ref().map(ToString::to_string).unwrap_or_default();
        let error = token.map_or_else(|| status.to_string(), str::to_owned);
        self.tracer.send(match (failed, token) {
            (true, _) => span.failed(error, words()),
            // A refusal is an answer like others, with its reason.
            (false, Some(_)) => span.with("error.type", error),
            (false, None) => span,
        });
    }

    fn server_span(&self, session: &Session, ctx: &Context, status: u16, ended: Duration) -> Span {
        let head = session.req_header();
        let method = method::known(&head.method);
        let route = ctx.route.as_ref().map(|route| route.facts.name.clone());
        let name = route.as_ref().map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
        let client = session.client_addr().and_then(|a| a.as_inet());
        let mut span = Span::new(name, SpanKind::Server, &self.place, (ctx.began_wall, ended))
            .linked(self.link.clone())
            .with("http.request.method", method)
            .with_text("url.path", path(session))
            .with("url.scheme", scheme(session))
            .with("network.protocol.version", protocol(head.version).trim_start_matches("HTTP/").to_owned())
            .with_some("http.response.status_code", (status != 0).then(|| i64::from(status)))
            .with_some("http.route", route)
            .with_some("client.address", client.map(|client| client.ip().to_string()))
            .with_some("network.peer.address", client.map(|client| client.ip().to_string()))
            .with_some("network.peer.port", client.map(|client| i64::from(client.port())))
            .with_some("tls.client.server_name", server_name(session).map(str::to_owned));
        if let Some(parent) = &self.parent {
            span = span.below(parent);
        }
        if method == "_OTHER" {
            span = span.with_text("http.request.method_original", head.method.as_str().as_bytes());
        }
        for (field, key) in [
            (http::header::HOST, "server.address"),
            (http::header::USER_AGENT, "user_agent.original"),
            (X_REQUEST_ID, "sluice.request_id"),
        ] {
            if let Some(value) = head.headers.get(field) {
                span = span.with_text(key, value.as_bytes());
            }
        }
        if let Some((filter, details)) = &ctx.replied {
            span = span.with("sluice.replied_by", filter.to_string()).with_text("sluice.details", details.as_bytes());
        }
        if let Some(more) = ctx.exchange.as_ref().and_then(|e| e.visits()).map(|visits| visits.more).filter(|n| *n > 0)
        {
            span = span.with("sluice.visits_left_out", i64::try_from(more).unwrap_or(i64::MAX));
        }
        let generation = ctx.site.as_ref().map(|site| i64::try_from(site.generation).unwrap_or(i64::MAX));
        span.with_some("sluice.generation", generation)
    }

    fn attempt_span(&self, session: &Session, attempt: &Attempt, number: usize, times: (Duration, Duration)) -> Span {
        let head = session.req_header();
        let method = method::known(&head.method);
        let place = span::place(self.place.trace_id(), attempt.id, true);
        let span = Span::new(method, SpanKind::Client, &place, times)
            .below(&self.place)
            .with("http.request.method", method)
            .with_some("sluice.upstream", attempt.route.as_ref().map(|route| route.upstream.clone()))
            .with_some("server.address", attempt.to.map(|to| to.ip().to_string()))
            .with_some("server.port", attempt.to.map(|to| i64::from(to.port())))
            .with_text("url.path", path(session))
            .with_some("http.response.status_code", attempt.status.map(i64::from))
            .with_some("http.request.resend_count", i64::try_from(number).ok().filter(|number| *number > 0));
        match (attempt.error, attempt.status.filter(|status| *status >= 400)) {
            (Some(token), _) => span.failed(token, ""),
            (None, Some(status)) => span.failed(status.to_string(), ""),
            (None, None) => span,
        }
    }
}

const X_REQUEST_ID: http::HeaderName = http::HeaderName::from_static("x-request-id");

/// The query, without what the access log leaves out either.
fn query(session: &Session, log: &AccessLog) -> Option<StringValue> {
    let target = log.redacted(String::from_utf8_lossy(session.req_header().raw_path()));
    let (_, query) = target.split_once('?')?;
    Some(span::text(query.as_bytes()))
}

/// The target without its query.
fn path(session: &Session) -> &[u8] {
    let target = session.req_header().raw_path();
    target.split(|b| *b == b'?').next().unwrap_or(target)
}

/// The name that the client asked for when it began to speak TLS.
fn server_name(session: &Session) -> Option<&str> {
    tls_facts::server_name(session.digest()?.ssl_digest.as_deref()?)
}

fn scheme(session: &Session) -> &'static str {
    let tls = session.digest().is_some_and(|digest| digest.ssl_digest.is_some());
    if tls { "https" } else { "http" }
}
