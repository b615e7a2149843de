//! One request, and its attempts at endpoints, as they are counted.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use http::Version;
use pingora_proxy::Session;
use quanta::Instant;

use super::{Kind, Traffic, version};
use crate::{answer, context::Context, endpoint::Endpoint, method, site::Action};

/// One attempt at an endpoint.
pub(crate) struct Attempt {
    began: Instant,
    endpoint: Arc<Endpoint>,
    /// What was answered.
    answer: Option<(u16, Version)>,
}

impl Attempt {
    /// There is a connection for it.
    pub(crate) fn connected(&self, reused: bool) {
        self.endpoint.tally().connected(reused);
    }

    /// Whom it is made at.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether the head of an answer has come.
    pub(crate) fn is_answered(&self) -> bool {
        self.answer.is_some()
    }

    /// The head of its answer has come.
    pub(crate) fn answered(&mut self, status: u16, version: Version) {
        // 100 and 103 are not the answer yet; 101 is one.
        if status >= 200 || status == 101 {
            self.answer = Some((status, version));
        }
    }
}

/// An attempt at this endpoint begins now; one before it came to nothing.
pub(crate) fn begin(session: &Session, ctx: &mut Context, endpoint: Arc<Endpoint>, now: Instant) {
    if let Some(before) = ctx.attempt.take() {
        count(session, ctx, &before, now.duration_since(before.began), Some("upstream_reset"));
    }
    endpoint.tally().attempts.fetch_add(1, Relaxed);
    ctx.attempt = Some(Attempt { began: now, endpoint, answer: None });
}

/// The attempt did not get a connection.
pub(crate) fn failed(session: &Session, ctx: &mut Context, error: &'static str) {
    if let Some(attempt) = ctx.attempt.take() {
        count(session, ctx, &attempt, attempt.began.elapsed(), Some(error));
    }
}

/// The request is over, and with it its last attempt.
pub(crate) fn end(traffic: &Traffic, session: &Session, ctx: &mut Context) {
    let now = Instant::now();
    let token = ctx.cause.as_ref().map(|cause| cause.token);
    if let Some(attempt) = ctx.attempt.take() {
        // What filters did to an answer, or clients, is no failure of who gave it.
        let error = token.filter(|token| attempt.answer.is_none() || token.starts_with("upstream_"));
        count(session, ctx, &attempt, now.duration_since(attempt.began), error);
    }
    let tls = session.digest().is_some_and(|digest| digest.ssl_digest.is_some());
    let kind = Kind {
        method: ctx.method,
        status: answer::sent(session).map_or(0, |head| head.status.as_u16()),
        version: version(session.req_header().version),
        scheme: if tls { "https" } else { "http" },
        error: token.unwrap_or_default(),
    };
    let times = ctx.route.as_ref().map_or(&traffic.unrouted, |route| &route.times);
    times.count(kind, now.duration_since(ctx.began));
}

fn count(session: &Session, ctx: &Context, attempt: &Attempt, took: Duration, error: Option<&'static str>) {
    if error.is_some_and(|error| error.starts_with("upstream_")) {
        attempt.endpoint.tally().failures.fetch_add(1, Relaxed);
    }
    let Some(Action::Upstream(upstream)) = ctx.route.as_ref().map(|route| &route.action) else { return };
    let kind = Kind {
        method: method::known(&session.req_header().method),
        status: attempt.answer.map_or(0, |(status, _)| status),
        version: attempt.answer.map_or("", |(_, answered)| version(answered)),
        scheme: "",
        error: error.unwrap_or_default(),
    };
    upstream.reached.times.count(kind, took);
}
