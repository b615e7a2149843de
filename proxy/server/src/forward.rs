//! The road of most requests: to an endpoint that speaks HTTP/1.1 and back, in one loop.
//!
//! Pingora's own road cuts a request into two halves that talk over channels. What it knows of HTTP/1.1 is used as it is:
//! its client reads and writes the upstream, its server the client. Upstreams of HTTP/2 take Pingora's road, chains that
//! read a body behind a held head that of `relay.rs`.

use std::{
    pin::pin,
    task::{Poll, Waker},
};

use bytes::Bytes;
use http::{
    Method, Version,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE},
};
use pingora_core::{
    Error, ErrorType, Result, RetryType,
    protocols::{
        Stream,
        http::{HttpTask, authority::validate_request_authority, v1::client::HttpSession},
    },
};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use quanta::Instant;

use crate::{
    attempt::{self, MAX_TRIES},
    context::{Context, Stash},
    framing,
    held::gone,
    hop, instead,
    request::to_upstream,
    request_body, response,
};

/// Pieces of a response that are filtered and written together when they are there.
const TOGETHER: usize = 4;

/// Whether a request can take this road.
pub(crate) fn takes(ctx: &Context) -> bool {
    attempt::servers(ctx).is_some_and(|servers| servers.speak_http1())
}

/// Asks the upstream and answers the client.
///
/// # Errors
/// What the last attempt failed with. The error path answers, unless a head is out.
pub(crate) async fn run(session: &mut Session, ctx: &mut Context) -> Result<()> {
    ctx.forwarded = true;
    if !ctx.bodiless {
        session.downstream_session.enable_retry_buffering();
    }
    loop {
        match attempt(session, ctx).await {
            Ok(()) => break,
            Err(error) if error.retry() && ctx.tries < MAX_TRIES => {}
            Err(error) => return Err(error),
        }
    }
    if session.downstream_session.finish_body().await.is_err() {
        session.set_keepalive(None);
    }
    Ok(())
}

async fn attempt(session: &mut Session, ctx: &mut Context) -> Result<()> {
    let (endpoint, address) = attempt::begin(session, ctx)?;
    // A connection that rests may be closed without a sign of it yet: the second attempt takes no chance.
    let rested = if ctx.tries == 1 { endpoint.resting.take(address, Instant::now()) } else { None };
    let reused = rested.is_some();
    let stream: Stream = match rested {
        Some(stream) => stream,
        None => match Box::pin(endpoint.connect(address)).await {
            Ok(stream) => stream,
            Err(error) => return Err(attempt::unreached(session, ctx, error.into_up())),
        },
    };
    attempt::connected(ctx, reused);
    let mut upstream = HttpSession::new(stream);
    upstream.read_timeout = Some(endpoint.read_timeout());
    upstream.write_timeout = Some(endpoint.write_timeout());
    match exchange(session, ctx, &mut upstream).await {
        Ok(whole) => {
            upstream.respect_keepalive();
            if whole && let Some(stream) = upstream.reuse().await {
                endpoint.resting.put(stream, address, Instant::now(), endpoint.idle());
            }
            Ok(())
        }
        Err(error) => Err(attempt::failed(session, ctx, reused, error)),
    }
}

/// What came next.
enum Next {
    Response(Result<HttpTask>),
    Request(Result<Option<Bytes>>),
}

/// Sends the request and brings the answer. True when the upstream's connection can be used again.
async fn exchange(session: &mut Session, ctx: &mut Context, upstream: &mut HttpSession) -> Result<bool> {
    let head = request_head(session, ctx)?;
    upstream.write_request_header(head).await.map_err(|mut error| {
        // The other side of a connection that rested was gone.
        error.retry = RetryType::ReusedOnly;
        error.into_up()
    })?;
    let mut reading = !session.downstream_session.is_body_done();
    // Why the upstream takes no more of the request; it may answer all the same.
    let mut refused = None;
    let replayed = session.as_ref().get_retry_buffer();
    if ctx.bodiless || replayed.is_some() {
        refused = feed(session, ctx, upstream, replayed, !reading).await?;
    }
    let (mut answered, mut whole, mut upgraded) = (false, true, false);
    while reading || !answered {
        if refused.is_some() {
            (reading, whole) = (false, false);
        }
        // Whoever asks for a tunnel waits for the answer; what comes all the same is read behind it.
        let watched = reading || (refused.is_none() && !ctx.tunnel);
        let next = tokio::select! {
            task = upstream.read_response_task(), if !answered => Next::Response(task),
            piece = from_client(session, reading), if watched => Next::Request(piece),
            else => break,
        };
        match next {
            Next::Response(task) => {
                let task = task.unwrap_or_else(|error| HttpTask::Failed(why(error, refused.take())));
                match respond(session, ctx, upstream, task).await? {
                    Answer::Goes => {}
                    Answer::Whole => answered = true,
                    Answer::Replaced => (answered, whole) = (true, false),
                }
                if !upgraded && session.was_upgraded() {
                    (reading, whole, upgraded) = (true, false, true);
                }
            }
            Next::Request(Err(_)) if !reading => return Err(instead::client_gone(ctx)),
            Next::Request(piece) => {
                let piece = piece.map_err(|e| e.into_down())?;
                let end = piece.is_none() || session.downstream_session.is_body_done();
                upstream.maybe_upgrade_body_writer();
                refused = feed(session, ctx, upstream, piece, end).await?;
                reading = !end;
            }
        }
        // Either side ends a tunnel, and nothing comes behind one.
        if upgraded && (answered || !reading) {
            session.set_keepalive(None);
            break;
        }
    }
    Ok(whole && refused.is_none())
}

/// Why there is no more of an answer: why the upstream took no more of the request says more, unless it never heard of it.
fn why(error: Box<Error>, refused: Option<Box<Error>>) -> Box<Error> {
    let unheard = matches!(error.retry, RetryType::ReusedOnly);
    refused.filter(|_| !unheard).unwrap_or(error).into_up()
}

/// The head as the upstream gets it.
fn request_head(session: &Session, ctx: &mut Context) -> Result<Box<RequestHeader>> {
    let mut head = Box::new(session.req_header().clone());
    head.set_version(Version::HTTP_11);
    hop::strip(&mut head, &ctx.seen, ctx.changed).map_err(|cause| Stash::Cause(cause).put(ctx))?;
    if ctx.tunnel {
        head.insert_header(CONNECTION, "Upgrade")?;
        head.insert_header(UPGRADE, "websocket")?;
    }
    if let Some(trace) = &mut ctx.trace {
        trace.tell_head(&mut head);
    }
    to_upstream(session, ctx, &mut head)?;
    if ctx.changed {
        validate_request_authority(&head).map_err(|e| e.into_in())?;
    }
    let framed =
        |head: &RequestHeader| [CONTENT_LENGTH, TRANSFER_ENCODING].iter().any(|n| head.headers.contains_key(n));
    if !ctx.bodiless && !framed(&head) {
        head.insert_header(TRANSFER_ENCODING, "chunked")?;
    }
    Ok(head)
}

/// The next piece of the request; of one that is read to its end, an error when the client leaves.
async fn from_client(session: &mut Session, reading: bool) -> Result<Option<Bytes>> {
    if reading {
        return session.downstream_session.read_body_or_idle(false).await;
    }
    gone(session).await;
    Err(Error::new(ErrorType::ConnectionClosed))
}

/// Lets a piece of the request through the filters and on. Returns why the upstream does not take it, if it does not.
async fn feed(
    session: &mut Session,
    ctx: &mut Context,
    upstream: &mut HttpSession,
    mut piece: Option<Bytes>,
    end: bool,
) -> Result<Option<Box<Error>>> {
    let end = end || piece.is_none();
    ctx.goes_on()?;
    request_body::body(session, ctx, &mut piece, end).await?;
    if let Some(bytes) = piece.filter(|bytes| !bytes.is_empty())
        && let Err(error) = upstream.write_body(&bytes).await
    {
        return Ok(Some(error));
    }
    Ok(if end { upstream.finish_body().await.err() } else { None })
}

/// How far an answer has come.
enum Answer {
    Goes,
    Whole,
    /// The client has its end, the upstream not yet: a filter put another one in its place.
    Replaced,
}

/// Lets a piece of the answer, and what came with it, through the filters and on to the client.
async fn respond(
    session: &mut Session,
    ctx: &mut Context,
    upstream: &mut HttpSession,
    first: HttpTask,
) -> Result<Answer> {
    let mut tasks = Vec::with_capacity(TOGETHER);
    let mut end = first.is_end();
    tasks.push(first);
    while !end && tasks.len() < TOGETHER {
        let Poll::Ready(next) = look(upstream.read_response_task()) else { break };
        let next = next.unwrap_or_else(|error| HttpTask::Failed(error.into_up()));
        end = next.is_end();
        tasks.push(next);
    }
    let upgraded = upstream.was_upgraded();
    let mut unsent = None;
    for task in &mut tasks {
        match task {
            HttpTask::Header(head, end) => {
                response_head(session, ctx, head, *end, upgraded).await?;
                unsent = Some(head);
            }
            HttpTask::Body(piece, end) | HttpTask::UpgradedBody(piece, end) => {
                if *end {
                    ctx.upstream_times.end();
                }
                ctx.goes_on()?;
                response::body(session, ctx, piece, *end, unsent.as_deref_mut().map(|head| &mut **head))?;
            }
            _ => {}
        }
    }
    framing::tell(session, ctx.framing);
    let written = session.write_response_tasks(tasks).await?;
    Ok(match (end, written) {
        (true, _) => Answer::Whole,
        (false, true) => Answer::Replaced,
        (false, false) => Answer::Goes,
    })
}

async fn response_head(
    session: &mut Session,
    ctx: &mut Context,
    head: &mut ResponseHeader,
    end: bool,
    upgraded: bool,
) -> Result<()> {
    attempt::answered(ctx, head);
    if head.status.as_u16() == 101 && !(ctx.tunnel && upgraded) {
        let error = Error::explain(ErrorType::InvalidHTTPHeader, "the upstream switches protocols, unasked");
        return Err(error.into_up());
    }
    // One with a body that ends with its connection: the client's goes on.
    let endless = !end
        && !head.status.is_informational()
        && !matches!(head.status.as_u16(), 204 | 304)
        && session.req_header().method != Method::HEAD
        && ![CONTENT_LENGTH, TRANSFER_ENCODING].iter().any(|name| head.headers.contains_key(name));
    ctx.origin_chunked = !endless;
    if endless {
        head.set_version(Version::HTTP_11);
        head.insert_header(TRANSFER_ENCODING, "chunked")?;
    }
    response::headers(session, ctx, head).await
}

/// What there is of a future now. It is asked once and given up when it would wait.
fn look<F: Future>(future: F) -> Poll<F::Output> {
    pin!(tokio::task::unconstrained(future)).poll(&mut std::task::Context::from_waker(Waker::noop()))
}
