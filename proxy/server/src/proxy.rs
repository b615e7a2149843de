//! Pingora's phases: each is one call into the request's or the response's half.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use pingora_core::{Error, Result, modules::http::HttpModules, protocols::Digest, upstreams::peer::HttpPeer};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, Session};

use crate::{
    access_log::AccessLog,
    answer::{self, Answer, is_grpc},
    attempt,
    cause::Cause,
    context::{Context, Stash},
    forward,
    framing::{self, FramingBuilder},
    heads::with_request,
    leave::Leave,
    live::Live,
    recent::Recent,
    request, request_body, response,
    telemetry::Tracing,
    traffic::{self, Traffic},
};

/// The proxy.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) live: Arc<Live>,
    pub(crate) log: AccessLog,
    pub(crate) tracing: Tracing,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) leave: Arc<Leave>,
    /// `None` when no request is remembered.
    pub(crate) recent: Option<Arc<Recent>>,
}

#[async_trait]
impl ProxyHttp for Proxy {
    // Pingora moves it through each of its futures: a pointer is moved for less than 600 bytes.
    type CTX = Box<Context>;

    fn new_ctx(&self) -> Box<Context> {
        Box::new(Context::new())
    }

    fn init_downstream_modules(&self, modules: &mut HttpModules) {
        modules.add_module(Box::new(FramingBuilder));
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Box<Context>) -> Result<bool> {
        if self.begin(session, ctx).await? {
            return Ok(true);
        }
        if !forward::takes(ctx) {
            return Ok(false);
        }
        forward::run(session, ctx).await.map(|()| true)
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut Box<Context>) -> Result<Box<HttpPeer>> {
        let (endpoint, address) = attempt::begin(session, ctx)?;
        let mut peer = Box::new(endpoint.peer_at(address));
        if ctx.tunnel {
            // Only HTTP/1.1 can turn a connection into a tunnel.
            peer.options.set_http_version(1, 1);
        }
        Ok(peer)
    }

    fn fail_to_connect(
        &self,
        session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Box<Context>,
        error: Box<Error>,
    ) -> Box<Error> {
        attempt::unreached(session, ctx, error)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        ctx: &mut Box<Context>,
        reused: bool,
    ) -> Box<Error> {
        attempt::failed(session, ctx, reused, error)
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        reused: bool,
        _peer: &HttpPeer,
        #[cfg(unix)] _fd: std::os::unix::io::RawFd,
        _digest: Option<&Digest>,
        ctx: &mut Box<Context>,
    ) -> Result<()> {
        attempt::connected(ctx, reused);
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        head: &mut RequestHeader,
        ctx: &mut Box<Context>,
    ) -> Result<()> {
        if let Some(trace) = &mut ctx.trace {
            trace.tell_head(head);
        }
        request::to_upstream(session, ctx, head)
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Box<Context>,
    ) -> Result<()> {
        ctx.goes_on()?;
        request_body::body(session, ctx, body, end).await
    }

    async fn upstream_response_filter(
        &self,
        _session: &mut Session,
        head: &mut ResponseHeader,
        ctx: &mut Box<Context>,
    ) -> Result<()> {
        attempt::answered(ctx, head);
        // Between this hook and the next Pingora adds the field to answers that have no length.
        ctx.origin_chunked = head.headers.contains_key(http::header::TRANSFER_ENCODING);
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        ctx: &mut Box<Context>,
    ) -> Result<()> {
        response::headers(session, ctx, head).await?;
        framing::tell(session, ctx.framing);
        if ctx.exchange.as_ref().is_some_and(|e| e.chain().reads_response_body()) {
            ctx.unsent = Some(Box::new(head.clone()));
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Box<Context>,
    ) -> Result<Option<std::time::Duration>> {
        if end {
            ctx.upstream_times.end();
        }
        ctx.goes_on()?;
        let mut head = ctx.unsent.take();
        let done = response::body(session, ctx, body, end, head.as_deref_mut().filter(|_| !answer::is_out(session)));
        ctx.unsent = head;
        framing::tell(session, ctx.framing);
        done.map(|()| None)
    }

    async fn response_trailer_filter(
        &self,
        session: &mut Session,
        trailers: &mut HeaderMap,
        ctx: &mut Box<Context>,
    ) -> Result<Option<Bytes>> {
        response::trailers(session, ctx, trailers)
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Box<Context>) -> FailToProxy {
        self.fail(session, error, ctx).await
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Box<Context>) {
        self.end(session, error, ctx);
    }

    fn suppress_error_log(&self, _session: &Session, _ctx: &Box<Context>, _error: &Error) -> bool {
        // The access log says it, with the filter and the token.
        true
    }
}

impl Proxy {
    /// Takes a request up to the point where an upstream is needed. True when it was answered.
    pub(crate) async fn begin(&self, session: &mut Session, ctx: &mut Context) -> Result<bool> {
        ctx.trace = self.tracing.begin(session);
        ctx.remembered = self.recent.is_some();
        request::begin(&self.live, self.leave.is_asked(), session, ctx).await
    }

    /// Answers what ended with an error, as far as there is somebody to answer.
    pub(crate) async fn fail(&self, session: &mut Session, error: &Error, ctx: &mut Context) -> FailToProxy {
        ctx.upstream_times.end();
        // After the head is out nothing can be put in its place: the stream is cut.
        let sent = answer::is_out(session);
        let grpc = is_grpc(session);
        let (answer, filtered) = match ctx.stash.take() {
            Some(Stash::Request(reply)) => (answer::note_reply(ctx, *reply, grpc), true),
            Some(Stash::Response(reply)) => (answer::note_reply(ctx, *reply, grpc), false),
            Some(Stash::Cause(cause)) => (remember(ctx, cause, grpc), true),
            None => (remember(ctx, Cause::error(error), grpc), true),
        };
        let status = ctx.cause.as_ref().map_or(0, |c| c.status);
        let nobody = ctx.cause.is_some() && status == 0;
        if !ctx.request_ended {
            // The rest of the request is not read, so the connection cannot be used again: the answer says so.
            session.set_keepalive(None);
        }
        let written = match answer {
            Ok(answer) if !sent && !nobody => {
                let result = if filtered {
                    answer::send(session, ctx, answer).await
                } else {
                    answer::write(session, answer).await
                };
                result.is_ok()
            }
            _ => false,
        };
        if written && !ctx.request_ended && !ctx.tunnel {
            answer::linger(session).await;
        }
        let error_code = answer::sent(session).map_or(status, |head| head.status.as_u16());
        FailToProxy { error_code, can_reuse_downstream: written && ctx.request_ended }
    }

    /// The request is over: counts it, writes it down, ends its exchange.
    pub(crate) fn end(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Context) {
        if let Some(error) = error
            && ctx.cause.is_none()
            && ctx.replied.is_none()
        {
            ctx.cause = Some(Cause::error(error));
        }
        finish(session, ctx);
        traffic::end(&self.traffic, session, ctx);
        self.log.write(session, ctx, error);
        let recent =
            self.recent.as_ref().map(|recent| (recent, ctx.trace.as_ref().map(|trace| trace.context().clone())));
        if let Some(trace) = ctx.trace.take() {
            trace.end(session, ctx, &self.log);
        }
        // The last of all, as it takes the visits away.
        if let Some((recent, place)) = recent {
            recent.remember(session, ctx, place);
        }
    }
}

fn remember(ctx: &mut Context, cause: Cause, grpc: bool) -> Result<Answer> {
    let answer = Answer::cause(&cause, grpc);
    ctx.cause = Some(cause);
    answer
}

/// Done, log and delete: filters may read both heads as they were sent.
fn finish(session: &mut Session, ctx: &mut Context) {
    let Some(exchange) = ctx.exchange.as_mut().filter(|e| e.opened()) else { return };
    if let Some(cause) = &ctx.cause {
        exchange.message().facts.code_details = Some(cause.to_string().into());
    }
    with_request(exchange, session, |e| e.finish());
}
