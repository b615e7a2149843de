//! The request's half up to its body: checks, route, filters, and answers from inside the proxy.

use bytes::BytesMut;
use http::{
    Method, Version,
    header::{CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING},
};
use pingora_core::Result;
use pingora_proxy::Session;
use sluice_host::{Direction, Exchange, ExchangeFacts, Message, Step};

use crate::{
    answer::{self, Answer, is_grpc},
    cause::Cause,
    context::Context,
    echo,
    framing::FramingModule,
    heads::{Changed, Request, settle_authority, settle_cookies, take_out, with_request},
    held::{ClientGone, Wait},
    hop::{self, Survey},
    live::Live,
    method, normalize, nothing, relay,
    request_body::{End, early_body, filter_body, is_read_early},
    site::{Action, Limits},
    tls_facts,
    upstream::Kind,
};

/// Takes a request up to the point where an upstream is needed. True when it was answered here. `last`: no other is wanted
/// on its connection.
///
/// Every request pays for the size of this future, so what few requests wait for is in a box of its own.
pub(crate) async fn begin(live: &Live, last: bool, session: &mut Session, ctx: &mut Context) -> Result<bool> {
    let site = live.get();
    ctx.method = method::known(&session.req_header().method);
    // Pingora would keep a connection of HTTP/1.0 open that nobody asked to keep, and its client waits for the end.
    let keep = !last && (session.req_header().version != Version::HTTP_10 || asks_to_keep(session));
    session.set_keepalive(keep.then(|| site.limits.keepalive.as_secs().max(1)));
    session.set_read_timeout(Some(site.limits.read_timeout));
    session.set_write_timeout(Some(site.limits.read_timeout));
    let head = session.downstream_session.req_header();
    let (http10, head_only) = (head.version == Version::HTTP_10, head.method == Method::HEAD);
    // Finding the module costs a hash.
    if (http10 || head_only)
        && let Some(module) = session.downstream_modules_ctx.get_mut::<FramingModule>()
    {
        (module.http10, module.head_only) = (http10, head_only);
    }
    ctx.keepalive = session.as_http1().filter(|s| s.will_keepalive()).and_then(|s| s.get_keepalive_timeout());
    settle_authority(session.req_header_mut());
    settle_cookies(session.req_header_mut());
    ctx.seen = Survey::of(session.req_header());
    let settled = check(session, &ctx.seen, &site.limits).and_then(|()| normalize(session));
    // Held once: whoever drains a generation counts its requests by that.
    ctx.site = Some(site);
    match settled.and_then(|()| hop::settle(session.req_header_mut(), &ctx.seen)) {
        Ok(tunnel) => ctx.tunnel = tunnel,
        Err(cause) => return refuse(session, ctx, cause).await,
    }
    take_expect(session, ctx);
    match find(session, ctx) {
        None => return refuse(session, ctx, Cause::no_route()).await,
        Some(chain) if chain.is_empty() => ctx.exchange = Some(chain.open_unread()),
        Some(chain) => {
            let mut message = Box::new(message(session, ctx));
            let spare = ctx.spare.take().unwrap_or_else(nothing::session);
            message.request = Some(Box::new(Request::of(session, spare)));
            ctx.exchange = Some(chain.open(message));
        }
    }
    if let Some(exchange) = &mut ctx.exchange
        && (ctx.remembered || ctx.trace.as_ref().is_some_and(|trace| trace.records()))
    {
        exchange.record();
    }
    if let Some(answered) = filter_headers(session, ctx).await? {
        return Ok(answered);
    }
    let local = ctx
        .route
        .as_ref()
        .is_some_and(|r| !matches!(&r.action, Action::Upstream(u) if matches!(u.kind, Kind::Servers(_))));
    if local {
        return Box::pin(respond(session, ctx)).await;
    }
    if !ctx.tunnel && ctx.exchange.as_ref().is_some_and(|e| e.chain().reads_behind_head()) {
        return Box::pin(relay::run(session, ctx)).await.map(|()| true);
    }
    if ctx.request_ended || ctx.tunnel {
        return Ok(false);
    }
    say_continue(session, ctx).await?;
    if is_read_early(ctx) { Box::pin(early_body(session, ctx)).await } else { Ok(false) }
}

fn asks_to_keep(session: &Session) -> bool {
    let values = session.req_header().headers.get_all(CONNECTION);
    values.iter().any(|v| v.as_bytes().to_ascii_lowercase().windows(10).any(|w| w == b"keep-alive"))
}

/// Sizes that no filter and no upstream should have to meet.
fn check(session: &Session, seen: &Survey, limits: &Limits) -> std::result::Result<(), Cause> {
    let head = session.req_header();
    if head.headers.len() > limits.max_headers {
        return Err(Cause::bad_request(431, "the request has more header fields than server.max_headers"));
    }
    if head.raw_path().len() > limits.max_header_bytes {
        return Err(Cause::bad_request(414, "the request's target is longer than server.max_header_bytes"));
    }
    if seen.bytes > limits.max_header_bytes {
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
    let tls = session.digest().and_then(|digest| digest.ssl_digest.as_deref()).and_then(tls_facts::facts);
    Message::new(ExchangeFacts {
        source: address(session.client_addr()),
        destination: address(session.server_addr()),
        protocol: protocol(session.req_header().version),
        started: ctx.began_wall,
        tls,
        route: ctx.route.as_ref().map(|r| r.facts.clone()),
        trace: ctx.trace.as_ref().map(|trace| trace.place()),
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
    (ctx.bodiless, ctx.request_ended) = (end, end);
    ctx.declared = if ctx.seen.length { content_length(session) } else { None };
    // How a body is framed is no business of filters; Pingora has read the field by now, and frames anew upstream.
    if ctx.seen.encoding && !ctx.tunnel && ctx.exchange.as_ref().is_some_and(|e| !e.chain().is_empty()) {
        let head = session.req_header_mut();
        ctx.chunked = head.headers.contains_key(TRANSFER_ENCODING);
        take_out(head, &TRANSFER_ENCODING);
    }
    let Some(exchange) = ctx.exchange.as_mut() else { return Ok(None) };
    if exchange.chain().is_empty() {
        return Ok(None);
    }
    if let Some(length) = ctx.declared {
        exchange.declare_length(Direction::Request, length);
    }
    let (step, mut changed) = with_request(exchange, session, |e| e.request_headers(end));
    let settled = if !end && exchange.chain().reads_behind_head() {
        Box::pin(async {
            say_continue(session, ctx).await?;
            relay::read_behind_head(session, ctx, step, &mut changed).await
        })
        .await?
    } else if matches!(step, Step::Hold) {
        Box::pin(wait(session, exchange, step, &mut changed)).await
    } else {
        Ok(step)
    };
    match settled {
        Ok(Step::Continue | Step::Hold) => {}
        Ok(step) => {
            if let Some(answered) = finish(session, ctx, step).await? {
                return Ok(Some(answered));
            }
        }
        Err(ClientGone) => return Ok(Some(leave(session, ctx))),
    }
    ctx.changed = changed.line || changed.fields;
    // Filters may have changed what routes are matched by: match once more, with the chain that ran.
    let changed = ctx.site.as_ref().is_some_and(|site| site.routes_by(changed));
    if changed && find(session, ctx).is_none() {
        return refuse(session, ctx, Cause::no_route()).await.map(Some);
    }
    if changed && let (Some(exchange), Some(route)) = (ctx.exchange.as_mut(), ctx.route.as_ref()) {
        exchange.message().facts.route = Some(route.facts.clone());
    }
    Ok(None)
}

/// Waits while the request's head is held.
async fn wait(
    session: &mut Session,
    exchange: &mut Exchange,
    mut step: Step,
    changed: &mut Changed,
) -> std::result::Result<Step, ClientGone> {
    let waiting = Wait::begin();
    while matches!(step, Step::Hold) && !exchange.headers_passed(Direction::Request) {
        let Some(inbox) = exchange.inbox().cloned() else { break };
        let event = waiting.next(session, &inbox).await?;
        let (next, touched) = with_request(exchange, session, |e| match event {
            Some(event) => e.handle(event),
            None => e.give_up(Direction::Request),
        });
        *changed |= touched;
        step = match next {
            Step::Continue if !exchange.headers_passed(Direction::Request) => Step::Hold,
            next => next,
        };
    }
    Ok(step)
}

/// Nobody is there to be answered.
pub(crate) fn leave(session: &mut Session, ctx: &mut Context) -> bool {
    session.set_keepalive(None);
    ctx.cause = Some(Cause::client_gone());
    true
}

/// Turns a step that ends the request into its answer; `None` when the request goes on.
pub(crate) async fn finish(session: &mut Session, ctx: &mut Context, step: Step) -> Result<Option<bool>> {
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
    Box::pin(answer::send(session, ctx, answer)).await?;
    Ok(Some(true))
}

/// Answers with what is wrong; the response's filters see that too.
pub(crate) async fn refuse(session: &mut Session, ctx: &mut Context, cause: Cause) -> Result<bool> {
    let answer = Answer::cause(&cause, is_grpc(session))?;
    ctx.cause = Some(cause);
    Box::pin(answer::send(session, ctx, answer)).await?;
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
    // What passed the filters while one of them held the head comes first.
    let passed = ctx.exchange.as_mut().map(|e| e.take_body(Direction::Request).0).unwrap_or_default();
    let mut length = passed.len() as u64;
    let mut kept = BytesMut::from(&passed[..passed.len().min(echo::MAX_BODY)]);
    if !session.is_body_empty() && !ctx.request_ended {
        say_continue(session, ctx).await?;
        let mut end = false;
        while !end {
            let chunk = session.downstream_session.read_request_body().await?;
            end = chunk.is_none();
            match filter_body(session, ctx, chunk.unwrap_or_default(), end).await {
                Ok(bytes) => {
                    length += bytes.len() as u64;
                    kept.extend_from_slice(&bytes[..bytes.len().min(echo::MAX_BODY - kept.len())]);
                }
                Err(End::Step(step)) => {
                    return finish(session, ctx, step).await.map(|answered| answered.unwrap_or(true));
                }
                Err(End::ClientGone) => return Ok(leave(session, ctx)),
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

/// A client that waits for a 100 gets it from the proxy, so its wish is nothing for filters and upstreams.
fn take_expect(session: &mut Session, ctx: &mut Context) {
    if !ctx.seen.expect {
        return;
    }
    let head = session.req_header_mut();
    ctx.expects = head.headers.get(EXPECT).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if ctx.expects {
        take_out(head, &EXPECT);
    }
}

async fn say_continue(session: &mut Session, ctx: &mut Context) -> Result<()> {
    if std::mem::take(&mut ctx.expects) {
        Box::pin(session.downstream_session.write_continue_response()).await?;
        ctx.interim = true;
        session.set_keepalive(ctx.keepalive);
    }
    Ok(())
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
