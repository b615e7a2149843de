//! The road of chains in which a filter holds a head while it reads the body (`on_headers_stop_iteration`).
//!
//! Pingora hands a head on before it reads the body behind it, so on this road the proxy itself reads the request, asks
//! the upstream through the clients of `dial.rs`, and writes the response. Everything on it can wait: for events, for
//! pieces of a body, for the other side.

use bytes::Bytes;
use http::{
    HeaderMap, Request, Uri, Version,
    header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use pingora_core::Result;
use pingora_proxy::Session;
use quanta::Instant;
use sluice_host::{Direction, Step};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    cause::Cause,
    context::Context,
    dial::{Body, BoxError},
    endpoint::Endpoint,
    heads::{Changed, with_request},
    held::{ClientGone, Wait},
    relay_response,
    request::{finish, leave, refuse},
    request_body::{End, filter_body},
    site::Action,
    traffic,
    upstream::Kind,
};

/// Pieces of a request's body that may wait for the upstream.
const WAITING: usize = 4;

/// Shows the body to filters that hold the head, until the head passes or the request is over another way.
pub(crate) async fn read_behind_head(
    session: &mut Session,
    ctx: &mut Context,
    mut step: Step,
    changed: &mut Changed,
) -> Result<std::result::Result<Step, ClientGone>> {
    let mut waiting = Wait::begin();
    loop {
        let Some(exchange) = ctx.exchange.as_mut() else { return Ok(Ok(step)) };
        if !matches!(step, Step::Hold | Step::Continue) || exchange.headers_passed(Direction::Request) {
            return Ok(Ok(step));
        }
        let Some(inbox) = exchange.inbox().cloned() else { return Ok(Ok(step)) };
        let next = if ctx.request_ended {
            match waiting.next(session, &inbox).await {
                Ok(event) => Next::Event(event),
                Err(gone) => return Ok(Err(gone)),
            }
        } else {
            tokio::select! {
                chunk = session.downstream_session.read_request_body() => Next::Chunk(chunk?),
                event = waiting.event(&inbox) => Next::Event(event),
            }
        };
        let (next, touched) = with_request(exchange, session, |e| match next {
            Next::Event(Some(event)) => e.handle(event),
            Next::Event(None) => e.give_up(Direction::Request),
            // A piece of nothing is the head of a chunk that came by itself.
            Next::Chunk(Some(chunk)) if chunk.is_empty() => Step::Hold,
            Next::Chunk(chunk) => {
                // Whoever sends is not waited for too long.
                waiting = Wait::begin();
                ctx.request_ended = chunk.is_none();
                let chunk = chunk.unwrap_or_default();
                e.message().facts.request_bytes += chunk.len() as u64;
                e.request_body(chunk, ctx.request_ended)
            }
        });
        *changed |= touched;
        step = next;
    }
}

enum Next {
    Event(Option<sluice_host::Event>),
    Chunk(Option<Bytes>),
}

/// Asks the upstream and answers the client, until the generation is cut off.
pub(crate) async fn run(session: &mut Session, ctx: &mut Context) -> Result<()> {
    let Some(cut) = ctx.site.as_ref().map(|site| site.cut.clone()) else { return Ok(()) };
    tokio::select! {
        answered = ask(session, ctx) => answered.map(drop),
        () = cut.done() => ctx.goes_on(),
    }
}

/// Always answers, so always true.
async fn ask(session: &mut Session, ctx: &mut Context) -> Result<bool> {
    let (body, mut feed) = match request_body(session, ctx) {
        Some(parts) => parts,
        None => return Ok(true),
    };
    let (endpoint, request) = match prepare(session, ctx, body) {
        Ok(ready) => ready,
        Err(cause) => return refuse(session, ctx, cause).await,
    };
    let answer = endpoint.http_client().request(request);
    tokio::pin!(answer);
    let waits = endpoint.read_timeout();
    let response = loop {
        tokio::select! {
            response = tokio::time::timeout(waits, &mut answer) => break response,
            chunk = next_chunk(session, &feed), if feed.is_some() => {
                match pass_on(session, ctx, chunk?, &mut feed).await {
                    Ok(()) => {}
                    Err(End::Step(step)) => return finish(session, ctx, step).await.map(|answered| answered.unwrap_or(true)),
                    Err(End::ClientGone) => return Ok(leave(session, ctx)),
                }
            }
        }
    };
    match &response {
        Ok(Ok(_)) => endpoint.answered(),
        _ => endpoint.unanswered(),
    }
    match response {
        Ok(Ok(response)) => relay_response::run(session, ctx, response, feed, waits).await,
        Ok(Err(error)) if error.is_connect() => refuse(session, ctx, Cause::connect()).await,
        Ok(Err(_)) => refuse(session, ctx, Cause::upstream_reset()).await,
        Err(_) => refuse(session, ctx, Cause::upstream_timeout()).await,
    }
}

pub(crate) type Feed = mpsc::Sender<std::result::Result<Frame<Bytes>, BoxError>>;

/// The body of the request to the upstream: what has passed the filters, and a way to send more when more may come.
fn request_body(session: &mut Session, ctx: &mut Context) -> Option<(RequestBody, Option<Feed>)> {
    if let Some(whole) = ctx.body.take() {
        return Some((RequestBody::Whole(whole), None));
    }
    let (bytes, ended) = ctx.exchange.as_mut()?.take_body(Direction::Request);
    if ended || session.is_body_empty() {
        return Some((RequestBody::Whole(bytes), None));
    }
    let (sender, receiver) = mpsc::channel(WAITING);
    if !bytes.is_empty() {
        let _ = sender.try_send(Ok(Frame::data(bytes)));
    }
    Some((RequestBody::Coming(receiver), Some(sender)))
}

enum RequestBody {
    Whole(Bytes),
    Coming(mpsc::Receiver<std::result::Result<Frame<Bytes>, BoxError>>),
}

/// The next piece of the request, as soon as there is room for it on the way to the upstream.
pub(crate) async fn next_chunk(session: &mut Session, feed: &Option<Feed>) -> Result<Option<Bytes>> {
    if let Some(feed) = feed {
        // An upstream that is gone takes nothing more; what is read then is thrown away.
        let _ = feed.reserve().await;
    }
    session.downstream_session.read_request_body().await
}

/// Lets a piece of the request's body through the filters and on to the upstream.
pub(crate) async fn pass_on(
    session: &mut Session,
    ctx: &mut Context,
    chunk: Option<Bytes>,
    feed: &mut Option<Feed>,
) -> std::result::Result<(), End> {
    let end = chunk.is_none();
    let bytes = filter_body(session, ctx, chunk.unwrap_or_default(), end).await?;
    if let Some(sender) = feed
        && !bytes.is_empty()
    {
        // There is room: that was asked before. An upstream that has answered and gone takes no more.
        let _ = sender.try_send(Ok(Frame::data(bytes)));
    }
    if end {
        ctx.request_ended = true;
        *feed = None;
    }
    Ok(())
}

/// The upstream's endpoint and the request as it is sent.
fn prepare(
    session: &Session,
    ctx: &mut Context,
    body: RequestBody,
) -> std::result::Result<(std::sync::Arc<Endpoint>, Request<Body>), Cause> {
    let servers = match ctx.route.as_ref().map(|r| &r.action) {
        Some(Action::Upstream(upstream)) => match &upstream.kind {
            Kind::Servers(servers) => servers,
            Kind::Echo => return Err(Cause::no_endpoint()),
        },
        _ => return Err(Cause::no_route()),
    };
    ctx.tries = 1;
    let now = Instant::now();
    let (endpoint, address) = servers.next(now, None).ok_or_else(Cause::no_endpoint)?;
    let endpoint = endpoint.clone();
    ctx.upstream = Some(address);
    ctx.upstream_times.ask(now);
    traffic::begin(session, ctx, endpoint.clone(), now);
    let head = session.req_header();
    let mut headers: HeaderMap = head.headers.clone();
    if let Some(trace) = &mut ctx.trace {
        trace.attempt(now, ctx.upstream, ctx.route.as_ref().map(|route| route.facts.clone()));
        trace.tell(&mut headers);
    }
    headers.remove(TRANSFER_ENCODING);
    headers.remove(CONTENT_LENGTH);
    let authority = headers.get(HOST).map_or_else(|| endpoint.authority().into_bytes(), |h| h.as_bytes().to_vec());
    let uri = Uri::builder()
        .scheme(endpoint.scheme())
        .authority(authority.as_slice())
        .path_and_query(head.raw_path())
        .build()
        .map_err(|_| Cause::bad_request(400, "the request's target is not valid"))?;
    let body = match body {
        RequestBody::Whole(bytes) => {
            if !bytes.is_empty() || ctx.declared.is_some() {
                headers.insert(CONTENT_LENGTH, bytes.len().into());
            }
            Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
        }
        RequestBody::Coming(receiver) => StreamBody::new(ReceiverStream::new(receiver)).boxed_unsync(),
    };
    let mut request = Request::new(body);
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = headers;
    Ok((endpoint, request))
}
