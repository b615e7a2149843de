//! The response's half of `relay.rs`: an upstream's answer through filters that may hold its head while they read it.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderMap, Version,
    header::{CONNECTION, TRANSFER_ENCODING, UPGRADE},
};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use pingora_core::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use sluice_host::{Direction, Event, Step, TrailersHead};

use crate::{
    answer::{self, Answer, is_grpc},
    cause::Cause,
    context::Context,
    dial,
    framing::{self, Framing},
    heads::lend_both,
    held::Wait,
    relay::{Feed, next_chunk, pass_on},
    request_body::End,
    response::{ends_here, length},
};

/// Fields that belong to the connection with the upstream.
const HOP_BY_HOP: [&str; 3] = ["keep-alive", "proxy-connection", "te"];

/// What came next.
enum Next {
    Event(Option<Event>),
    Data(Bytes),
    Trailers(HeaderMap),
    /// The body's end.
    End,
    /// A piece of the request, which an upstream may still be reading.
    Request(Option<Bytes>),
    /// The upstream broke off, or was silent for too long.
    Broken(Cause),
}

/// An answer on its way.
struct Relay {
    head: ResponseHeader,
    /// The head is written.
    out: bool,
    /// Nothing more comes from the upstream.
    ended: bool,
}

/// Answers the client with what the filters make of the response. Always answers, so always true.
pub(crate) async fn run(
    session: &mut Session,
    ctx: &mut Context,
    response: http::Response<Incoming>,
    mut feed: Option<Feed>,
    waits: Duration,
) -> Result<bool> {
    if let Some(attempt) = &mut ctx.attempt {
        attempt.answered(response.status().as_u16(), response.version());
        ctx.upstream_reused = dial::is_reused(&response);
        if ctx.upstream_reused {
            attempt.connected(true);
        }
    }
    let (parts, mut body) = response.into_parts();
    let mut relay = Relay { head: head(&parts)?, out: false, ended: false };
    ctx.response_begun = true;
    if let Some(trace) = &mut ctx.trace {
        trace.answered(parts.status.as_u16());
    }
    ctx.upstream_times.head();
    let declared = length(&relay.head);
    relay.ended = ends_here(session, &relay.head, declared);
    let Some(exchange) = ctx.exchange.as_mut() else { return Ok(true) };
    exchange.message().facts.upstream = ctx.upstream;
    if let Some(length) = declared {
        exchange.declare_length(Direction::Response, length);
    }
    let end = relay.ended;
    let mut step = lend_both(exchange, session, &mut relay.head, |e| e.response_headers(end));
    let mut waiting = Wait::begin();
    loop {
        if !matches!(step, Step::Continue | Step::Hold) {
            return instead(session, ctx, &relay, step).await;
        }
        if relay.write(session, ctx).await? {
            break;
        }
        let next = relay.next(session, ctx, &mut body, &feed, &waiting, waits).await?;
        if matches!(next, Next::End | Next::Trailers(_) | Next::Broken(_)) {
            ctx.upstream_times.end();
        }
        let Some(exchange) = ctx.exchange.as_mut() else { return Ok(true) };
        step = match next {
            Next::Event(event) => relay.with(exchange, session, |e| match event {
                Some(event) => e.handle(event),
                None => e.give_up(Direction::Response),
            }),
            Next::Data(data) => {
                waiting = Wait::begin();
                exchange.message().facts.response_bytes += data.len() as u64;
                relay.with(exchange, session, |e| e.response_body(data, false))
            }
            Next::End => {
                relay.ended = true;
                relay.with(exchange, session, |e| e.response_body(Bytes::new(), true))
            }
            Next::Trailers(map) => {
                relay.ended = true;
                exchange.message().response_trailers = Some(Box::new(TrailersHead(map)));
                relay.with(exchange, session, |e| e.response_trailers())
            }
            Next::Request(chunk) => match pass_on(session, ctx, chunk, &mut feed).await {
                Ok(()) => Step::Continue,
                Err(End::Step(step)) => step,
                Err(End::ClientGone) => Step::Reset,
            },
            Next::Broken(cause) => return broken(session, ctx, &relay, cause).await,
        };
    }
    if !ctx.request_ended {
        session.set_keepalive(None);
    }
    Ok(true)
}

fn head(parts: &http::response::Parts) -> Result<ResponseHeader> {
    let mut head = ResponseHeader::build(parts.status, Some(parts.headers.len()))?;
    let hop = |name: &http::HeaderName| {
        *name == CONNECTION || *name == TRANSFER_ENCODING || *name == UPGRADE || HOP_BY_HOP.contains(&name.as_str())
    };
    for (name, value) in parts.headers.iter().filter(|(name, _)| !hop(name)) {
        head.append_header(name.clone(), value.clone())?;
    }
    Ok(head)
}

impl Relay {
    /// One call into the exchange, with the head on loan as long as it is not out.
    fn with(
        &mut self,
        exchange: &mut sluice_host::Exchange,
        session: &mut Session,
        f: impl FnOnce(&mut sluice_host::Exchange) -> Step,
    ) -> Step {
        lend_both(exchange, session, &mut self.head, f)
    }

    /// Writes what has passed the filters; true when that was all.
    async fn write(&mut self, session: &mut Session, ctx: &mut Context) -> Result<bool> {
        let Some(exchange) = ctx.exchange.as_mut() else { return Ok(true) };
        if !exchange.headers_passed(Direction::Response) {
            return Ok(false);
        }
        let (bytes, mut end) = exchange.take_body(Direction::Response);
        let bodiless = ends_here(session, &self.head, length(&self.head)) && bytes.is_empty() && self.ended;
        let trailers = exchange.trailers_passed(Direction::Response);
        end |= trailers || bodiless;
        if !std::mem::replace(&mut self.out, true) {
            let framing = match (end, exchange.chain().may_edit_response(), length(&self.head)) {
                (true, ..) => Framing::Known(bytes.len()),
                (false, false, Some(_)) => Framing::Keep,
                _ => Framing::Unknown,
            };
            framing::tell(session, if bodiless { Framing::Keep } else { framing });
            session.write_response_header(Box::new(self.head.clone()), bodiless).await?;
        }
        if bodiless {
            return Ok(true);
        }
        let map = if trailers { trailers_of(ctx) } else { HeaderMap::new() };
        let with_trailers = !map.is_empty() && session.req_header().version == Version::HTTP_2;
        if !bytes.is_empty() || (end && !with_trailers) {
            session.write_response_body(Some(bytes).filter(|b| !b.is_empty()), end && !with_trailers).await?;
        }
        if with_trailers {
            session.downstream_session.write_response_trailers(map).await?;
        }
        Ok(end)
    }

    /// Waits for what comes next from anywhere.
    async fn next(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        body: &mut Incoming,
        feed: &Option<Feed>,
        waiting: &Wait,
        waits: Duration,
    ) -> Result<Next> {
        let inbox = ctx.exchange.as_ref().filter(|e| e.is_held(Direction::Response)).and_then(|e| e.inbox().cloned());
        if self.ended
            && let Some(inbox) = &inbox
        {
            return Ok(waiting.next(session, inbox).await.map_or(Next::Broken(Cause::client_gone()), Next::Event));
        }
        let event = async {
            match &inbox {
                Some(inbox) => waiting.event(inbox).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = event => Ok(Next::Event(event)),
            chunk = next_chunk(session, feed), if feed.is_some() => Ok(Next::Request(chunk?)),
            frame = tokio::time::timeout(waits, body.frame()), if !self.ended => Ok(match frame {
                Err(_) => Next::Broken(Cause::upstream_timeout()),
                Ok(None) => Next::End,
                Ok(Some(Err(_))) => Next::Broken(Cause::upstream_reset()),
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => Next::Data(data),
                    Err(frame) => frame.into_trailers().map_or(Next::Data(Bytes::new()), Next::Trailers),
                },
            }),
            // Nothing is left that could come: a filter let its hold go without a word.
            else => Ok(Next::Broken(Cause::upstream_reset())),
        }
    }
}

fn trailers_of(ctx: &mut Context) -> HeaderMap {
    let head = ctx.exchange.as_mut().and_then(|e| e.message().response_trailers.as_mut());
    head.and_then(|head| head.as_any_mut().downcast_mut::<TrailersHead>()).map(|t| t.0.clone()).unwrap_or_default()
}

/// Another answer in the place of this one, as long as its head is not out; else the connection is cut.
async fn instead(session: &mut Session, ctx: &mut Context, relay: &Relay, step: Step) -> Result<bool> {
    let grpc = is_grpc(session);
    let answer = match step {
        Step::Reply(reply) => answer::note_reply(ctx, *reply, grpc)?,
        Step::Fail(fault) => return broken(session, ctx, relay, Cause::fault(&fault)).await,
        _ => return broken(session, ctx, relay, Cause::closed()).await,
    };
    if relay.out {
        return Ok(cut(session).await);
    }
    answer::write(session, answer).await?;
    Ok(true)
}

async fn broken(session: &mut Session, ctx: &mut Context, relay: &Relay, cause: Cause) -> Result<bool> {
    let answer = if relay.out || cause.status == 0 { None } else { Some(Answer::cause(&cause, is_grpc(session))?) };
    ctx.cause = Some(cause);
    match answer {
        Some(answer) => answer::write(session, answer).await?,
        None => return Ok(cut(session).await),
    }
    Ok(true)
}

/// Ends the connection in the middle, so that the client sees that the response is not whole.
async fn cut(session: &mut Session) -> bool {
    session.set_keepalive(None);
    session.downstream_session.shutdown().await;
    true
}
