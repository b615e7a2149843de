//! The request's body: a small one is read before the upstream is chosen, any other passes the filters on its way.

use bytes::{Bytes, BytesMut};
use pingora_core::{Error, Result};
use pingora_proxy::Session;
use sluice_host::{Direction, Exchange, Step};

use crate::{
    cause::Cause,
    context::{Context, Stash},
    heads::with_request,
    held::{ClientGone, Wait},
    request::{finish, leave},
};

/// Largest request body that is read before the upstream is chosen, when a filter may change its length. Pingora keeps
/// this much for replaying and no more.
const EARLY_BODY: u64 = 64 << 10;

/// Whether the body is to be read before the upstream is chosen.
pub(crate) fn is_read_early(ctx: &Context) -> bool {
    let may_edit = ctx.exchange.as_ref().is_some_and(|e| e.chain().may_edit_request());
    may_edit && ctx.declared.is_some_and(|n| n <= EARLY_BODY) && !ctx.tunnel && !ctx.request_ended
}

/// Reads a small body now, as a filter may change its length: then the upstream gets the right length, the filter's
/// answer keeps the connection, and no upstream is bothered with a request that is refused.
pub(crate) async fn early_body(session: &mut Session, ctx: &mut Context) -> Result<bool> {
    session.downstream_session.enable_retry_buffering();
    let mut whole = BytesMut::new();
    loop {
        let chunk = session.downstream_session.read_request_body().await?;
        let end = chunk.is_none();
        match filter_body(session, ctx, chunk.unwrap_or_default(), end).await {
            Ok(bytes) => whole.extend_from_slice(&bytes),
            Err(End::Step(step)) => return finish(session, ctx, step).await.map(|answered| answered.unwrap_or(true)),
            Err(End::ClientGone) => return Ok(leave(session, ctx)),
        }
        if end {
            break;
        }
    }
    ctx.request_ended = true;
    ctx.body = Some(whole.freeze());
    Ok(false)
}

/// How a request ends before it came to its end.
pub(crate) enum End {
    Step(Step),
    ClientGone,
}

/// Lets a piece of the body through the filters and returns what passed; `Err` when that ends the request.
pub(crate) async fn filter_body(
    session: &mut Session,
    ctx: &mut Context,
    chunk: Bytes,
    end: bool,
) -> std::result::Result<Bytes, End> {
    let Some(exchange) = ctx.exchange.as_mut().filter(|e| !e.chain().is_empty()) else { return Ok(chunk) };
    exchange.message().facts.request_bytes += chunk.len() as u64;
    // A piece of nothing is the head of a chunk that came by itself.
    if !exchange.chain().reads_request_body() || (chunk.is_empty() && !end) {
        return Ok(chunk);
    }
    let (step, _) = with_request(exchange, session, |e| e.request_body(chunk, end));
    let settled = if end && exchange.is_held(Direction::Request) {
        Box::pin(wait_for_body(session, exchange, step)).await
    } else {
        Ok(step)
    };
    match settled {
        Ok(Step::Continue | Step::Hold) => Ok(exchange.take_body(Direction::Request).0),
        Ok(step) => Err(End::Step(step)),
        Err(ClientGone) => Err(End::ClientGone),
    }
}

/// A body that is held at its end has nothing more to wait for but an event.
async fn wait_for_body(
    session: &mut Session,
    exchange: &mut Exchange,
    mut step: Step,
) -> std::result::Result<Step, ClientGone> {
    let waiting = Wait::begin();
    while matches!(step, Step::Hold | Step::Continue) && exchange.is_held(Direction::Request) {
        let Some(inbox) = exchange.inbox().cloned() else { break };
        let event = waiting.next(session, &inbox).await?;
        step = with_request(exchange, session, |e| match event {
            Some(event) => e.handle(event),
            None => e.give_up(Direction::Request),
        })
        .0;
    }
    Ok(step)
}

/// Pingora's hook for a piece of the request's body on its way to the upstream.
pub(crate) async fn body(session: &mut Session, ctx: &mut Context, piece: &mut Option<Bytes>, end: bool) -> Result<()> {
    // Waiting here would close a tunnel; and a tunnel's bytes are nobody's body.
    if ctx.tunnel || session.was_upgraded() {
        return Ok(());
    }
    if let Some(whole) = &ctx.body {
        // Pingora replays what the client sent; the upstream gets what the filters made of it, also on a retry.
        *piece = if end { Some(whole.clone()) } else { Some(Bytes::new()) };
        return Ok(());
    }
    if ctx.request_ended {
        return Ok(());
    }
    let chunk = piece.take().unwrap_or_default();
    // `None` would end the body: from here on there is always something.
    *piece = Some(Bytes::new());
    match filter_body(session, ctx, chunk, end).await {
        Ok(bytes) => {
            *piece = if end && bytes.is_empty() { None } else { Some(bytes) };
            ctx.request_ended |= end;
            Ok(())
        }
        Err(end) => Err(stop(ctx, end)),
    }
}

/// Ends the request from inside the upstream's phases: the answer goes by way of Pingora's error path.
fn stop(ctx: &mut Context, end: End) -> Box<Error> {
    let stash = match end {
        End::Step(Step::Reply(reply)) => Stash::Request(reply),
        End::Step(Step::Fail(fault)) => Stash::Cause(Cause::fault(&fault)),
        End::Step(Step::Reset | Step::Continue | Step::Hold) => Stash::Cause(Cause::closed()),
        End::ClientGone => Stash::Cause(Cause::client_gone()),
    };
    stash.put(ctx)
}
