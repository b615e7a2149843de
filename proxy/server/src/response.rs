//! The response's half: head, body and trailers of the upstream's answer through the filters.

use bytes::Bytes;
use http::{
    HeaderMap, Method,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};
use pingora_core::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use sluice_host::{Direction, Exchange, Step, TrailersHead};

use crate::{
    answer::is_out,
    context::Context,
    framing::Framing,
    heads::{lend, lend_both},
    held::{ClientGone, Wait},
    instead,
};

/// Pingora's hook for the head.
pub(crate) async fn headers(session: &mut Session, ctx: &mut Context, head: &mut ResponseHeader) -> Result<()> {
    // 100 and 103 go by; 101 is a final answer that filters see.
    if head.status.is_informational() && head.status.as_u16() != 101 {
        ctx.interim = true;
        return Ok(());
    }
    if std::mem::take(&mut ctx.interim) {
        session.set_keepalive(ctx.keepalive);
    }
    // An upstream that does not switch answers like any other, and its body is filtered like any other.
    ctx.tunnel &= head.status.as_u16() == 101;
    let Some(exchange) = ctx.exchange.as_mut().filter(|e| !e.chain().is_empty()) else { return Ok(()) };
    if std::mem::replace(&mut ctx.response_begun, true) {
        return Ok(());
    }
    exchange.message().facts.upstream = ctx.upstream;
    let length = length(head);
    let end = ends_here(session, head, length);
    if let Some(length) = length {
        ctx.response_ends_soon = length <= instead::DROPPED;
        exchange.declare_length(Direction::Response, length);
    }
    // Filters see what the upstream sent.
    let hidden = length.is_none() && !ctx.origin_chunked && head.remove_header(&TRANSFER_ENCODING).is_some();
    let step = lend_both(exchange, session, head, |e| e.response_headers(end));
    let step = if exchange.is_held(Direction::Response) {
        Box::pin(settle(session, exchange, head, step)).await
    } else {
        Ok(step)
    };
    let may_edit = exchange.chain().may_edit_response();
    match step {
        Ok(Step::Continue | Step::Hold) => {}
        Ok(step) => return Box::pin(instead::of_head(session, ctx, head, step, end)).await,
        Err(ClientGone) => return Err(instead::client_gone(ctx)),
    }
    if (may_edit || hidden) && !end && head.status.as_u16() != 101 {
        ctx.framing = Framing::Unknown;
    }
    Ok(())
}

/// Whether no body follows this head.
pub(crate) fn ends_here(session: &Session, head: &ResponseHeader, length: Option<u64>) -> bool {
    session.req_header().method == Method::HEAD || matches!(head.status.as_u16(), 101 | 204 | 304) || length == Some(0)
}

pub(crate) fn length(head: &ResponseHeader) -> Option<u64> {
    head.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Waits while the response's head or a whole body is held.
pub(crate) async fn settle(
    session: &mut Session,
    exchange: &mut Exchange,
    head: &mut ResponseHeader,
    mut step: Step,
) -> std::result::Result<Step, ClientGone> {
    let waiting = Wait::begin();
    while matches!(step, Step::Hold | Step::Continue) && exchange.is_held(Direction::Response) {
        let Some(inbox) = exchange.inbox().cloned() else { break };
        let event = waiting.next(session, &inbox).await?;
        step = lend_both(exchange, session, head, |e| match event {
            Some(event) => e.handle(event),
            None => e.give_up(Direction::Response),
        });
    }
    Ok(step)
}

/// Pingora's hook for a piece of the body; `head` is the one before it, if that is not out yet. The hook cannot wait, so a
/// body that is held at its end with an event to come is waited for on a thread that Tokio is told about.
pub(crate) fn body(
    session: &mut Session,
    ctx: &mut Context,
    piece: &mut Option<Bytes>,
    end: bool,
    mut head: Option<&mut ResponseHeader>,
) -> Result<()> {
    if ctx.tunnel || session.was_upgraded() {
        return Ok(());
    }
    if ctx.replaced {
        // Dropped: the answer in its place is complete.
        *piece = Some(Bytes::new());
        return Ok(());
    }
    let Some(exchange) = ctx.exchange.as_mut().filter(|e| !e.chain().is_empty()) else { return Ok(()) };
    exchange.message().facts.response_bytes += piece.as_ref().map_or(0, |p| p.len() as u64);
    if !exchange.chain().reads_response_body() {
        return Ok(());
    }
    let chunk = piece.take().unwrap_or_default();
    // A piece of nothing is the head of a chunk that came by itself.
    if chunk.is_empty() && !end {
        *piece = Some(chunk);
        return Ok(());
    }
    // Whatever comes of it, there is something: no piece must end a body by itself.
    *piece = Some(Bytes::new());
    let step = lend(exchange, session, head.as_deref_mut(), |e| e.response_body(chunk, end));
    match if end { wait_blocking(session, exchange, step, head) } else { Ok(step) } {
        Ok(Step::Continue | Step::Hold) => {}
        Ok(step) => return instead::of_body(session, ctx, step, end),
        Err(ClientGone) => return Err(instead::client_gone(ctx)),
    }
    let (bytes, ended) = exchange.take_body(Direction::Response);
    ctx.response_passed += bytes.len();
    // Only means something while the head is still in the same batch: then the whole length is known in time.
    if end && ended && exchange.chain().may_edit_response() {
        ctx.framing = Framing::Known(ctx.response_passed);
    }
    *piece = Some(bytes);
    Ok(())
}

fn wait_blocking(
    session: &mut Session,
    exchange: &mut Exchange,
    mut step: Step,
    mut head: Option<&mut ResponseHeader>,
) -> std::result::Result<Step, ClientGone> {
    if !exchange.is_held(Direction::Response) {
        return Ok(step);
    }
    let waiting = Wait::begin();
    while matches!(step, Step::Hold | Step::Continue) && exchange.is_held(Direction::Response) {
        let Some(inbox) = exchange.inbox().cloned() else { break };
        let event = waiting.next_blocking(session, &inbox)?;
        step = lend(exchange, session, head.as_deref_mut(), |e| match event {
            Some(event) => e.handle(event),
            None => e.give_up(Direction::Response),
        });
    }
    Ok(step)
}

/// Pingora's hook for trailers (HTTP/2 upstreams only). Body bytes that a filter lets go of here take the trailers'
/// place, as this version of Pingora can send one or the other.
pub(crate) fn trailers(session: &mut Session, ctx: &mut Context, trailers: &mut HeaderMap) -> Result<Option<Bytes>> {
    if ctx.replaced {
        return Ok(None);
    }
    let Some(exchange) = ctx.exchange.as_mut().filter(|e| !e.chain().is_empty()) else { return Ok(None) };
    let map = std::mem::take(trailers);
    exchange.message().response_trailers = Some(Box::new(TrailersHead(map)));
    let mut head = ctx.unsent.take().filter(|_| !is_out(session));
    let step = lend(exchange, session, head.as_deref_mut(), |e| e.response_trailers());
    let step = wait_blocking(session, exchange, step, head.as_deref_mut());
    if let Some(head) = exchange.message().response_trailers.as_mut()
        && let Some(head) = head.as_any_mut().downcast_mut::<TrailersHead>()
    {
        *trailers = head.0.clone();
    }
    match step {
        Ok(Step::Continue | Step::Hold) => {}
        Ok(step) => return Err(instead::stash(step).put(ctx)),
        Err(ClientGone) => return Err(instead::client_gone(ctx)),
    }
    let (bytes, _) = exchange.take_body(Direction::Response);
    if bytes.is_empty() {
        return Ok(None);
    }
    tracing::warn!("a filter held the body until its trailers; the body is sent, the trailers are dropped");
    Ok(Some(bytes))
}
