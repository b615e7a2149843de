//! One attempt at an endpoint: whose turn it is, and what is noted of how it went. The same on every road to an upstream.

use std::{net::SocketAddr, sync::Arc};

use pingora_core::{Error, ErrorSource, ErrorType, Result, RetryType};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use quanta::Instant;

use crate::{
    cause::Cause,
    context::{Context, Stash},
    endpoint::Endpoint,
    site::Action,
    traffic,
    upstream::Servers,
};

/// Most attempts for one request.
pub(crate) const MAX_TRIES: usize = 3;

/// The servers that this request goes to; `None` when something else answers it.
pub(crate) fn servers(ctx: &Context) -> Option<&Servers> {
    match &ctx.route.as_ref()?.action {
        Action::Upstream(upstream) => upstream.servers(),
        Action::Respond(_) => None,
    }
}

/// The endpoint whose turn it is, and its address: an attempt begins.
///
/// # Errors
/// There is none, or its name means nothing now.
pub(crate) fn begin(session: &Session, ctx: &mut Context) -> Result<(Arc<Endpoint>, SocketAddr)> {
    ctx.tries += 1;
    let now = Instant::now();
    ctx.upstream_times.ask(now);
    let Some(servers) = servers(ctx) else {
        return Err(Error::explain(ErrorType::InternalError, "the route has no upstream with endpoints"));
    };
    // The address of the attempt before, if there was one.
    let ready = servers.next(now, ctx.upstream).map(|(endpoint, address)| (endpoint.clone(), address));
    let Some((endpoint, address)) = ready else {
        ctx.stash = Some(Stash::Cause(Cause::no_endpoint()));
        return Err(Error::explain(ErrorType::HTTPStatus(502), "no endpoint"));
    };
    ctx.upstream = Some(address);
    if let Some(trace) = &mut ctx.trace {
        trace.attempt(now, ctx.upstream, ctx.route.as_ref().map(|route| route.facts.clone()));
    }
    traffic::begin(session, ctx, endpoint.clone(), now);
    Ok((endpoint, address))
}

/// There is a connection for it.
pub(crate) fn connected(ctx: &mut Context, reused: bool) {
    ctx.upstream_reused = reused;
    if let Some(attempt) = &ctx.attempt {
        attempt.connected(reused);
    }
}

/// There is none: another endpoint may be tried.
pub(crate) fn unreached(session: &Session, ctx: &mut Context, mut error: Box<Error>) -> Box<Error> {
    let token = Cause::error(&error).token;
    let more = servers(ctx).is_some_and(|servers| servers.len().min(MAX_TRIES) > ctx.tries);
    if let Some(trace) = &mut ctx.trace {
        trace.attempt_failed(token);
    }
    error.set_retry(more);
    if let Some(attempt) = &ctx.attempt {
        attempt.endpoint().unanswered();
    }
    traffic::failed(session, ctx, token);
    error
}

/// It had a connection and failed: whether the request may be sent once more.
pub(crate) fn failed(session: &Session, ctx: &Context, reused: bool, mut error: Box<Error>) -> Box<Error> {
    let inner = session.as_ref();
    // A connection that rested may have been closed meanwhile; clients fail, too; and who began to answer is there.
    let rested = reused && matches!(error.retry, RetryType::ReusedOnly);
    if !rested
        && *error.esource() == ErrorSource::Upstream
        && let Some(attempt) = ctx.attempt.as_ref().filter(|attempt| !attempt.is_answered())
    {
        attempt.endpoint().unanswered();
    }
    // Filters hear each piece of a body once. What they made of one that was read before is kept.
    let heard = ctx.exchange.as_ref().is_some_and(|e| e.chain().reads_request_body());
    let again = ctx.bodiless || ctx.body.is_some() || (!heard && !inner.retry_buffer_truncated());
    if again && session.req_header().method.is_idempotent() {
        error.retry.decide_reuse(reused);
    } else {
        error.set_retry(false);
    }
    error
}

/// A head came from the upstream.
pub(crate) fn answered(ctx: &mut Context, head: &ResponseHeader) {
    if let Some(attempt) = &mut ctx.attempt {
        attempt.answered(head.status.as_u16(), head.version);
        attempt.endpoint().answered();
    }
    if let Some(trace) = &mut ctx.trace {
        trace.answered(head.status.as_u16());
    }
    ctx.upstream_times.head();
}
