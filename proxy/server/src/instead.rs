//! An answer in the place of a response that an upstream has begun: of a filter in its response's callbacks, or for one
//! that failed there.
//!
//! Pingora closes every connection of HTTP/1.1 whose request ended in its error path. So the answer is written on the
//! spot where that can be done, and what still comes of the upstream's response is dropped or not waited for.

use http::{StatusCode, Version};
use pingora_core::{Error, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use sluice_host::Step;

use crate::{
    answer::{self, Answer, is_grpc, is_out, note_reply},
    cause::Cause,
    context::{Context, Stash},
    framing::FramingModule,
};

/// Most of an upstream's body that is read and dropped so that the client's connection can be kept. On its own road Pingora
/// does not let go of an upstream in the middle of its response, so one of unknown length could keep the client's next
/// request waiting.
pub(crate) const DROPPED: u64 = 64 << 10;

/// From the hook of the head: writes the answer now.
pub(crate) async fn of_head(
    session: &mut Session,
    ctx: &mut Context,
    head: &mut ResponseHeader,
    step: Step,
    end: bool,
) -> Result<()> {
    let answer = answer(session, ctx, step, end)?;
    answer::write(session, answer).await?;
    // An interim head can be told not to be sent. Behind it Pingora finds that the response is complete.
    session.set_ignore_info_resp(true);
    head.set_status(StatusCode::EARLY_HINTS)?;
    Ok(())
}

/// From the hook of the body, which cannot write: while the head waits in the same batch as this piece, both are
/// exchanged when the batch is written.
pub(crate) fn of_body(session: &mut Session, ctx: &mut Context, step: Step, end: bool) -> Result<()> {
    if is_out(session) || session.downstream_modules_ctx.get::<FramingModule>().is_none() {
        return Err(stash(step).put(ctx));
    }
    let mut answer = answer(session, ctx, step, end)?;
    let body = answer::dress(session, &mut answer)?.unwrap_or_default();
    if let Some(module) = session.downstream_modules_ctx.get_mut::<FramingModule>() {
        module.replace(answer.head, body);
    }
    Ok(())
}

/// The answer, if this is a place and a time where the connection can be kept; else the way to Pingora's error path.
fn answer(session: &mut Session, ctx: &mut Context, step: Step, end: bool) -> Result<Answer> {
    let http2 = session.req_header().version == Version::HTTP_2;
    let whole = session.downstream_session.is_body_done();
    let soon = end || ctx.response_ends_soon || ctx.forwarded;
    if http2 || !whole || !soon || ctx.tunnel || ctx.keepalive.is_none() {
        return Err(stash(step).put(ctx));
    }
    let grpc = is_grpc(session);
    let answer = match step {
        Step::Reply(reply) => note_reply(ctx, *reply, grpc)?,
        Step::Fail(fault) => {
            let cause = Cause::fault(&fault);
            let answer = Answer::cause(&cause, grpc)?;
            ctx.cause = Some(cause);
            answer
        }
        step => return Err(stash(step).put(ctx)),
    };
    ctx.replaced = true;
    Ok(answer)
}

/// What the error path is to write.
pub(crate) fn stash(step: Step) -> Stash {
    match step {
        Step::Reply(reply) => Stash::Response(reply),
        Step::Fail(fault) => Stash::Cause(Cause::fault(&fault)),
        Step::Reset | Step::Continue | Step::Hold => Stash::Cause(Cause::closed()),
    }
}

/// Ends the exchange without an answer, as its client is gone.
pub(crate) fn client_gone(ctx: &mut Context) -> Box<Error> {
    Stash::Cause(Cause::client_gone()).put(ctx)
}
