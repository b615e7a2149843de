//! The request's half: checks, route, filters, and a small body read before the upstream is chosen.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{
    Method, Version,
    header::{CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING},
};
use pingora_core::{Error, ErrorType, Result};
use pingora_proxy::Session;
use sluice_host::{Direction, Exchange, ExchangeFacts, Message, Step, TlsFacts};

use crate::{
    answer::{self, Answer, is_grpc},
    cause::Cause,
    context::{Context, Stash},
    echo,
    framing::FramingModule,
    heads::{settle_authority, with_request},
    live::Live,
    normalize,
    site::{Action, Limits},
    upstream::Kind,
};

/// Longest that a paused exchange waits for somebody to continue it.
pub(crate) const PAUSE_LIMIT: Duration = Duration::from_secs(30);
/// Largest request body that is read before the upstream is chosen, when a filter may change its length. Pingora keeps
/// this much for replaying and no more.
const EARLY_BODY: u64 = 64 << 10;

/// Takes a request up to the point where an upstream is needed. True when it was answered here.
pub(crate) async fn begin(live: &Live, session: &mut Session, ctx: &mut Context) -> Result<bool> {
    let site = live.get();
    ctx.site = Some(site.clone());
    // Pingora would keep a connection of HTTP/1.0 open that nobody asked to keep, and its client waits for the end.
    let keep = session.req_header().version != Version::HTTP_10 || asks_to_keep(session);
    session.set_keepalive(keep.then(|| site.limits.keepalive.as_secs().max(1)));
    session.set_read_timeout(Some(site.limits.read_timeout));
    session.set_write_timeout(Some(site.limits.read_timeout));
    if let Some(module) = session.downstream_modules_ctx.get_mut::<FramingModule>() {
        module.http10 = session.downstream_session.req_header().version == Version::HTTP_10;
        module.head_only = session.downstream_session.req_header().method == Method::HEAD;
    }
    settle_authority(session.req_header_mut());
    if let Err(cause) = check(session, &site.limits).and_then(|()| normalize(session)) {
        return refuse(session, ctx, cause).await;
    }
    ctx.tunnel = session.is_upgrade_req();
    match find(session, ctx) {
        None => return refuse(session, ctx, Cause::no_route()).await,
        Some(chain) => ctx.exchange = Some(chain.open(Box::new(message(session, ctx)))),
    }
    if let Some(answered) = filter_headers(session, ctx).await? {
        return Ok(answered);
    }
    let local = ctx
        .route
        .as_ref()
        .is_some_and(|r| !matches!(&r.action, Action::Upstream(u) if matches!(u.kind, Kind::Servers(_))));
    if local {
        return respond(session, ctx).await;
    }
    if !ctx.request_ended && !ctx.tunnel {
        expect_continue(session).await?;
    }
    early_body(session, ctx).await
}

fn asks_to_keep(session: &Session) -> bool {
    let values = session.req_header().headers.get_all(CONNECTION);
    values.iter().any(|v| v.as_bytes().to_ascii_lowercase().windows(10).any(|w| w == b"keep-alive"))
}

/// Sizes that no filter and no upstream should have to meet.
fn check(session: &mut Session, limits: &Limits) -> std::result::Result<(), Cause> {
    let head = session.req_header();
    let bytes: usize = head.headers.iter().map(|(n, v)| n.as_str().len() + v.len() + 4).sum();
    if head.headers.len() > limits.max_headers {
        return Err(Cause::bad_request(431, "the request has more header fields than server.max_headers"));
    }
    if head.raw_path().len() > limits.max_header_bytes {
        return Err(Cause::bad_request(414, "the request's target is longer than server.max_header_bytes"));
    }
    if bytes > limits.max_header_bytes {
        return Err(Cause::bad_request(431, "the request's header fields are longer than server.max_header_bytes"));
    }
    Ok(())
}

/// Brings the target into the form in which it is matched, filtered and forwarded.
fn normalize(session: &mut Session) -> std::result::Result<(), Cause> {
    let head = session.req_header();
    let wanted = match normalize::target(head.raw_path()) {
        None => return Err(Cause::bad_request(400, "the request's path climbs above the root")),
        Some(target) if *target == *head.raw_path() => return Ok(()),
        Some(target) => target.into_owned(),
    };
    session
        .req_header_mut()
        .set_raw_path(&wanted)
        .map_err(|_| Cause::bad_request(400, "the request's target is not valid"))
}

/// Matches the route and returns its chain.
fn find(session: &Session, ctx: &mut Context) -> Option<sluice_host::Chain> {
    let head = session.req_header();
    let authority = head.headers.get(http::header::HOST).map_or(&b""[..], |h| h.as_bytes());
    let route = ctx.site.as_ref()?.route(authority, head.method.as_str().as_bytes(), head.raw_path(), &head.headers)?;
    ctx.route = Some(route.clone());
    Some(route.chain.clone())
}

/// The facts that filters read as properties.
fn message(session: &Session, ctx: &Context) -> Message {
    let address = |a: Option<&pingora_core::protocols::l4::socket::SocketAddr>| a.and_then(|a| a.as_inet().copied());
    let tls = session.digest().and_then(|d| d.ssl_digest.as_ref()).map(|d| {
        std::sync::Arc::new(TlsFacts {
            version: d.version.to_string(),
            server_name: None,
            mutual: !d.cert_digest.is_empty(),
        })
    });
    Message::new(ExchangeFacts {
        source: address(session.client_addr()),
        destination: address(session.server_addr()),
        protocol: protocol(session.req_header().version),
        started: ctx.began_wall,
        tls,
        route: ctx.route.as_ref().map(|r| r.facts.clone()),
        ..ExchangeFacts::default()
    })
}

pub(crate) fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// Lets the request's head through the filters. `Some` when the request needs no upstream any more.
async fn filter_headers(session: &mut Session, ctx: &mut Context) -> Result<Option<bool>> {
    let end = session.is_body_empty();
    ctx.request_ended = end;
    ctx.declared = content_length(session);
    // How a body is framed is no business of filters; Pingora has read the field by now, and frames anew upstream.
    if !ctx.tunnel && ctx.exchange.as_ref().is_some_and(|e| !e.chain().is_empty()) {
        ctx.chunked = session.req_header_mut().remove_header(&TRANSFER_ENCODING).is_some();
    }
    let Some(exchange) = ctx.exchange.as_mut() else { return Ok(None) };
    if exchange.chain().is_empty() {
        return Ok(None);
    }
    if let Some(length) = ctx.declared {
        exchange.declare_length(Direction::Request, length);
    }
    let (step, mut changed) = with_request(exchange, session, |e| e.request_headers(end));
    let step = match wait(session, exchange, step, &mut changed).await {
        Ok(step) => step,
        Err(ClientGone) => {
            session.set_keepalive(None);
            ctx.cause = Some(Cause::client_gone());
            return Ok(Some(true));
        }
    };
    if let Some(answered) = finish(session, ctx, step).await? {
        return Ok(Some(answered));
    }
    // Filters may have changed what routes are matched by: match once more, with the chain that ran.
    if changed && find(session, ctx).is_none() {
        return refuse(session, ctx, Cause::no_route()).await.map(Some);
    }
    if changed && let (Some(exchange), Some(route)) = (ctx.exchange.as_mut(), ctx.route.as_ref()) {
        exchange.message().facts.route = Some(route.facts.clone());
    }
    Ok(None)
}

/// The client went away while its request was held: nobody waits for the answer.
struct ClientGone;

/// Ends when the client closes the connection; never while its request is not read to the end.
async fn gone(session: &mut Session) {
    if session.downstream_session.is_body_done() {
        match session.downstream_session.read_body_or_idle(true).await {
            Err(e) if matches!(e.etype(), ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::H2Error) => {
                return;
            }
            // A client that sends its next request early is still there.
            _ => {}
        }
    }
    std::future::pending().await
}

/// Waits while the request's half is held, up to [`PAUSE_LIMIT`].
async fn wait(
    session: &mut Session,
    exchange: &mut Exchange,
    mut step: Step,
    changed: &mut bool,
) -> std::result::Result<Step, ClientGone> {
    let deadline = tokio::time::Instant::now() + PAUSE_LIMIT;
    while matches!(step, Step::Hold) && !exchange.headers_passed(Direction::Request) {
        let Some(inbox) = exchange.inbox().cloned() else { break };
        let event = tokio::select! {
            event = tokio::time::timeout_at(deadline, std::future::poll_fn(|cx| inbox.poll_next(cx))) => event,
            () = gone(session) => return Err(ClientGone),
        };
        let (next, touched) = with_request(exchange, session, |e| match event {
            Ok(event) => e.handle(event),
            Err(_) => e.give_up(Direction::Request),
        });
        *changed |= touched;
        step = match next {
            Step::Continue if !exchange.headers_passed(Direction::Request) => Step::Hold,
            next => next,
        };
    }
    Ok(step)
}

/// Turns a step that ends the request into its answer; `None` when the request goes on.
async fn finish(session: &mut Session, ctx: &mut Context, step: Step) -> Result<Option<bool>> {
    let grpc = is_grpc(session);
    let answer = match step {
        Step::Continue | Step::Hold => return Ok(None),
        Step::Reply(reply) => answer::note_reply(ctx, *reply, grpc)?,
        Step::Fail(fault) => return refuse(session, ctx, Cause::fault(&fault)).await.map(Some),
        Step::Reset => {
            session.set_keepalive(None);
            ctx.cause = Some(Cause::closed());
            return Ok(Some(true));
        }
    };
    answer::send(session, ctx, answer).await?;
    Ok(Some(true))
}

/// Answers with what is wrong; the response's filters see that too.
pub(crate) async fn refuse(session: &mut Session, ctx: &mut Context, cause: Cause) -> Result<bool> {
    let answer = Answer::cause(&cause, is_grpc(session))?;
    ctx.cause = Some(cause);
    answer::send(session, ctx, answer).await?;
    Ok(true)
}

/// Answers from inside the proxy: a direct response, or the echo.
async fn respond(session: &mut Session, ctx: &mut Context) -> Result<bool> {
    let Some(route) = ctx.route.clone() else { return refuse(session, ctx, Cause::no_route()).await };
    if let Action::Respond(direct) = &route.action {
        let mut answer = Answer::new(direct.status, direct.headers.iter().cloned(), direct.body.clone())?;
        let note = format!("sluice; error=proxy_internal_response; details=\"route={}\"", quotable(&route.facts.name));
        answer.note = Some(note);
        answer::send(session, ctx, answer).await?;
        return Ok(true);
    }
    let mut kept = BytesMut::new();
    let mut length = 0u64;
    if !session.is_body_empty() {
        expect_continue(session).await?;
        let mut end = false;
        while !end {
            let chunk = session.downstream_session.read_request_body().await?;
            end = chunk.is_none();
            match filter_body(session, ctx, chunk.unwrap_or_default(), end).await {
                Ok(bytes) => {
                    length += bytes.len() as u64;
                    kept.extend_from_slice(&bytes[..bytes.len().min(echo::MAX_BODY - kept.len())]);
                }
                Err(step) => return finish(session, ctx, step).await.map(|answered| answered.unwrap_or(true)),
            }
        }
    }
    // A length that a filter's change made wrong is put right, as it would be on the way to a real upstream.
    if session.req_header().headers.contains_key(CONTENT_LENGTH) {
        session.req_header_mut().insert_header(CONTENT_LENGTH, length)?;
    }
    let body = echo::body(session.req_header(), &kept, length);
    let json = http::HeaderValue::from_static("application/json");
    let answer = Answer::new(200, [(http::header::CONTENT_TYPE, json)], body)?;
    answer::send(session, ctx, answer).await?;
    Ok(true)
}

/// A name in a quoted string of a header.
fn quotable(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_graphic() && c != '"' && c != '\\' { c } else { '_' }).collect()
}

/// Reads a small body now, when a filter may change its length: then the upstream gets the right length, the filter's
/// answer keeps the connection, and no upstream is bothered with a request that is refused.
async fn early_body(session: &mut Session, ctx: &mut Context) -> Result<bool> {
    let may_edit = ctx.exchange.as_ref().is_some_and(|e| e.chain().may_edit_request());
    let small = ctx.declared.is_some_and(|n| n <= EARLY_BODY);
    if !may_edit || !small || ctx.tunnel || ctx.request_ended {
        return Ok(false);
    }
    session.downstream_session.enable_retry_buffering();
    let mut whole = BytesMut::new();
    loop {
        let chunk = session.downstream_session.read_request_body().await?;
        let end = chunk.is_none();
        match filter_body(session, ctx, chunk.unwrap_or_default(), end).await {
            Ok(bytes) => whole.extend_from_slice(&bytes),
            Err(step) => return finish(session, ctx, step).await.map(|answered| answered.unwrap_or(true)),
        }
        if end {
            break;
        }
    }
    ctx.request_ended = true;
    ctx.body = Some(whole.freeze());
    Ok(false)
}

async fn expect_continue(session: &mut Session) -> Result<()> {
    if session.req_header().headers.get(EXPECT).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        session.downstream_session.write_continue_response().await?;
        session.req_header_mut().remove_header(&EXPECT);
    }
    Ok(())
}

/// Lets a piece of the body through the filters and returns what passed; `Err` with a step that ends the request.
async fn filter_body(
    session: &mut Session,
    ctx: &mut Context,
    chunk: Bytes,
    end: bool,
) -> std::result::Result<Bytes, Step> {
    let Some(exchange) = ctx.exchange.as_mut() else { return Ok(chunk) };
    exchange.message().facts.request_bytes += chunk.len() as u64;
    if !exchange.chain().reads_request_body() {
        return Ok(chunk);
    }
    let (step, _) = with_request(exchange, session, |e| e.request_body(chunk, end));
    let step = wait_for_body(session, exchange, step, end).await;
    match step {
        Step::Continue | Step::Hold => Ok(exchange.take_body(Direction::Request).0),
        step => Err(step),
    }
}

/// A body that is held at its end has nothing more to wait for but an event.
async fn wait_for_body(session: &mut Session, exchange: &mut Exchange, mut step: Step, end: bool) -> Step {
    let deadline = tokio::time::Instant::now() + PAUSE_LIMIT;
    while end && matches!(step, Step::Hold | Step::Continue) && exchange.is_held(Direction::Request) {
        let Some(inbox) = exchange.inbox().cloned() else { break };
        let event = tokio::time::timeout_at(deadline, std::future::poll_fn(|cx| inbox.poll_next(cx))).await;
        step = with_request(exchange, session, |e| match event {
            Ok(event) => e.handle(event),
            Err(_) => e.give_up(Direction::Request),
        })
        .0;
    }
    step
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
        Err(step) => Err(stop(ctx, step)),
    }
}

/// Ends the request from inside the upstream's phases: the answer goes by way of Pingora's error path.
fn stop(ctx: &mut Context, step: Step) -> Box<Error> {
    let status = match step {
        Step::Reply(reply) => {
            let status = reply.status;
            ctx.stash = Some(Stash::Request(reply));
            status
        }
        Step::Fail(fault) => {
            let cause = Cause::fault(&fault);
            let status = cause.status;
            ctx.stash = Some(Stash::Cause(cause));
            status
        }
        Step::Reset | Step::Continue | Step::Hold => {
            ctx.stash = Some(Stash::Cause(Cause::closed()));
            500
        }
    };
    Error::explain(ErrorType::HTTPStatus(status), "ended by a filter")
}

/// The head on its way to the upstream: framing of what the filters made of the body.
pub(crate) fn to_upstream(session: &Session, ctx: &Context, head: &mut pingora_http::RequestHeader) -> Result<()> {
    if ctx.tunnel {
        return Ok(());
    }
    if let Some(whole) = &ctx.body {
        head.remove_header(&TRANSFER_ENCODING);
        head.insert_header(CONTENT_LENGTH, whole.len())?;
        return Ok(());
    }
    let may_edit = ctx.exchange.as_ref().is_some_and(|e| e.chain().may_edit_request());
    if ctx.request_ended {
        // A length of nothing is still a length, also when a filter took it away.
        if ctx.declared == Some(0) {
            head.insert_header(CONTENT_LENGTH, 0)?;
        }
    } else if (may_edit || ctx.chunked) && session.req_header().method != Method::HEAD {
        head.remove_header(&CONTENT_LENGTH);
        if head.version != Version::HTTP_2 {
            head.insert_header(TRANSFER_ENCODING, "chunked")?;
        }
    }
    Ok(())
}

pub(crate) fn content_length(session: &Session) -> Option<u64> {
    session.req_header().headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
