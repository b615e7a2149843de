//! What the proxy knows of one request while it serves it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use pingora_core::{Error, ErrorType, protocols::http::ServerSession};
use pingora_http::ResponseHeader;
use quanta::Instant;
use sluice_host::{Exchange, Reply};

use crate::{
    cause::Cause,
    framing::Framing,
    hop::Survey,
    site::{Route, Site},
    tcp,
    telemetry::Trace,
    traffic::Attempt,
    upstream_times::UpstreamTimes,
};

/// Requests in flight.
pub(crate) static REQUESTS: AtomicUsize = AtomicUsize::new(0);

/// Requests and TCP connections in flight, for a clean end.
pub(crate) fn in_flight() -> usize {
    REQUESTS.load(Ordering::Relaxed) + tcp::CONNECTIONS.load(Ordering::Relaxed)
}

/// One request.
pub(crate) struct Context {
    pub(crate) route: Option<Arc<Route>>,
    pub(crate) exchange: Option<Exchange>,
    pub(crate) began: Instant,
    pub(crate) began_wall: Duration,
    /// How long the client's connection may be kept for its next request, seconds; `None` when it may not.
    pub(crate) keepalive: Option<u64>,
    /// The client waits for a 100 before it sends its body.
    pub(crate) expects: bool,
    /// An interim answer went by; Pingora takes those that come before the end of the request for early answers.
    pub(crate) interim: bool,
    /// Something else was sent in the place of the upstream's response: what still comes of it is dropped.
    pub(crate) replaced: bool,
    /// The upstream's response is short and of known length.
    pub(crate) response_ends_soon: bool,
    /// An answer that the error path has to write.
    pub(crate) stash: Option<Stash>,
    /// A session of nothing, for the place of the real one while a filter has that.
    pub(crate) spare: Option<Box<ServerSession>>,
    /// The response's head while it waits in Pingora's hands to be written, where filters read the body.
    pub(crate) unsent: Option<Box<ResponseHeader>>,
    /// The whole request body as the filters left it, read before the upstream was chosen.
    pub(crate) body: Option<Bytes>,
    /// Fields of the request's head that the proxy looks at itself, as the client sent them.
    pub(crate) seen: Survey,
    /// Length of the request's body as the client declared it, whatever filters do to the field.
    pub(crate) declared: Option<u64>,
    /// The client sends its body in chunks.
    pub(crate) chunked: bool,
    /// The upstream frames its body by itself: chunks were not put in on the way.
    pub(crate) origin_chunked: bool,
    /// How the response is framed, as far as the filters let it be known.
    pub(crate) framing: Framing,
    /// Body bytes of the response that have passed the filters.
    pub(crate) response_passed: usize,
    /// It went to its upstream by the road of `forward.rs`, which can leave one in the middle of an answer.
    pub(crate) forwarded: bool,
    /// Filters have changed the request's head.
    pub(crate) changed: bool,
    /// The request has no body.
    pub(crate) bodiless: bool,
    /// The filters have seen the end of the request.
    pub(crate) request_ended: bool,
    /// The connection becomes a tunnel unless the upstream refuses: bodies are not looked at.
    pub(crate) tunnel: bool,
    /// The head of the response has gone through the filters.
    pub(crate) response_begun: bool,
    /// As metrics name it, and as the client sent it.
    pub(crate) method: &'static str,
    /// The attempt at an endpoint that goes on.
    pub(crate) attempt: Option<Attempt>,
    /// Upstream attempts so far.
    pub(crate) tries: usize,
    pub(crate) upstream: Option<std::net::SocketAddr>,
    pub(crate) upstream_reused: bool,
    pub(crate) upstream_times: UpstreamTimes,
    /// Why the proxy answered by itself, if it did.
    pub(crate) cause: Option<Cause>,
    /// Which filter answered, with its details, if one did.
    pub(crate) replied: Option<(Arc<str>, String)>,
    /// It is remembered with what its filters did.
    pub(crate) remembered: bool,
    /// Its spans, where traces are made.
    pub(crate) trace: Option<Box<Trace>>,
    /// Dropped last: who sees that nobody holds the site any more may give its filters back.
    pub(crate) site: Option<Arc<Site>>,
}

/// An answer on its way through Pingora's error path.
pub(crate) enum Stash {
    /// From a filter in the request's half: the response's filters see it.
    Request(Box<Reply>),
    /// From a filter in the response's half: it is sent as it is.
    Response(Box<Reply>),
    /// Something failed.
    Cause(Cause),
}

impl Stash {
    /// Leaves it for the error path, and returns the error that leads there.
    pub(crate) fn put(self, ctx: &mut Context) -> Box<Error> {
        let status = match &self {
            Self::Request(reply) | Self::Response(reply) => reply.status,
            Self::Cause(cause) => cause.status,
        };
        ctx.stash = Some(self);
        Error::explain(ErrorType::HTTPStatus(status), "ended by a filter")
    }
}

impl Context {
    pub(crate) fn new() -> Self {
        REQUESTS.fetch_add(1, Ordering::Relaxed);
        Self {
            site: None,
            route: None,
            exchange: None,
            began: Instant::now(),
            began_wall: crate::outside::Machine::wall_clock_now(),
            keepalive: None,
            expects: false,
            interim: false,
            replaced: false,
            response_ends_soon: false,
            stash: None,
            spare: None,
            unsent: None,
            body: None,
            seen: Survey::default(),
            declared: None,
            chunked: false,
            origin_chunked: false,
            framing: Framing::Keep,
            response_passed: 0,
            forwarded: false,
            changed: false,
            bodiless: false,
            request_ended: false,
            tunnel: false,
            response_begun: false,
            method: "",
            attempt: None,
            tries: 0,
            upstream: None,
            upstream_reused: false,
            upstream_times: UpstreamTimes::default(),
            cause: None,
            replied: None,
            remembered: false,
            trace: None,
        }
    }
}

impl Context {
    /// The time since 1970-01-01 UTC at this moment of the request.
    pub(crate) fn wall(&self, at: Instant) -> Duration {
        self.began_wall + at.saturating_duration_since(self.began)
    }

    /// Asked whenever bytes move.
    ///
    /// # Errors
    /// The generation that this request began with is cut off.
    pub(crate) fn goes_on(&mut self) -> Result<(), Box<Error>> {
        match self.site.as_ref().is_some_and(|site| site.cut.is_done()) {
            true => Err(Stash::Cause(Cause::drained()).put(self)),
            false => Ok(()),
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        REQUESTS.fetch_sub(1, Ordering::Relaxed);
    }
}
