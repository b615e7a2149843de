//! Answers that the proxy writes by itself: of filters, of routes, of the echo, and of everything that went wrong.
//!
//! One road for all of them: through the response's filters where they have a say, then out with a length.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use pingora_core::{
    Result,
    protocols::http::{HttpTask, ServerSession},
};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use sluice_host::{Direction, Reply, Step};

use crate::{
    cause::Cause,
    context::Context,
    framing::{Framing, FramingModule},
    heads::lend_both,
    held::ClientGone,
    response::settle,
};

/// RFC 9209.
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) head: ResponseHeader,
    pub(crate) body: Bytes,
    /// `Proxy-Status`: added when the answer is written, so that filters see the answer as its author made it.
    pub(crate) note: Option<String>,
}

impl Answer {
    /// An answer with these fields; a status that is none becomes 500.
    pub(crate) fn new(
        status: u16,
        headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
        body: Bytes,
    ) -> Result<Self> {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut head = ResponseHeader::build(status, Some(8))?;
        for (name, value) in headers {
            // The length is counted, never believed.
            if name != CONTENT_LENGTH {
                head.append_header(name, value)?;
            }
        }
        Ok(Self { head, body, note: None })
    }

    /// What a filter answered.
    pub(crate) fn reply(reply: Reply, grpc: bool) -> Result<Self> {
        let note = format!("sluice; error=proxy_internal_response; details=\"filter={}\"", reply.filter);
        if grpc {
            let status = reply.grpc_status.unwrap_or_else(|| grpc_status(reply.status));
            return Self::grpc(status, &String::from_utf8_lossy(&reply.body), reply.headers, &note);
        }
        let mut answer = Self::new(reply.status, reply.headers, reply.body)?;
        // Text unless its author says otherwise, as in Envoy: browsers do not have to guess.
        if !answer.body.is_empty() && !answer.head.headers.contains_key(CONTENT_TYPE) {
            answer.head.insert_header(CONTENT_TYPE, "text/plain")?;
        }
        answer.note = Some(note);
        Ok(answer)
    }

    /// What went wrong.
    pub(crate) fn cause(cause: &Cause, grpc: bool) -> Result<Self> {
        if grpc {
            return Self::grpc(grpc_status(cause.status), &cause.sentence, Vec::new(), &cause.proxy_status());
        }
        let body = Bytes::from(format!("{} ({cause})\n", cause.sentence));
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        let mut answer = Self::new(cause.status, [(CONTENT_TYPE, text)], body)?;
        answer.note = Some(cause.proxy_status());
        Ok(answer)
    }

    /// A gRPC answer without a message: its status stands in the head ("trailers only").
    fn grpc(status: u32, message: &str, headers: Vec<(HeaderName, HeaderValue)>, note: &str) -> Result<Self> {
        let mut answer = Self::new(200, headers, Bytes::new())?;
        answer.head.insert_header(CONTENT_TYPE, "application/grpc")?;
        answer.head.insert_header("grpc-status", status.to_string())?;
        if !message.is_empty() {
            answer.head.insert_header("grpc-message", percent(message))?;
        }
        answer.note = Some(note.to_owned());
        Ok(answer)
    }
}

/// Whether the client speaks gRPC.
pub(crate) fn is_grpc(session: &Session) -> bool {
    // `application/grpc-web` is another protocol, whose clients read the status of HTTP.
    let rest =
        session.req_header().headers.get(CONTENT_TYPE).and_then(|v| v.as_bytes().strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

/// The gRPC status for an HTTP status, as gRPC's own mapping has it.
fn grpc_status(http: u16) -> u32 {
    match http {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// The percent encoding of `grpc-message`.
fn percent(message: &str) -> String {
    message.bytes().fold(String::with_capacity(message.len()), |mut out, b| {
        if (0x20..0x7f).contains(&b) && b != b'%' {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
        out
    })
}

/// Lets an answer go through the response's filters. What comes back is what is sent: the answer as they left it, or
/// another one that a filter put in its place.
pub(crate) async fn through_filters(
    session: &mut Session,
    ctx: &mut Context,
    mut answer: Answer,
) -> Result<Option<Answer>> {
    let grpc = is_grpc(session);
    let no_body = answer.body.is_empty() || bodiless(session, &answer.head);
    let Some(exchange) = ctx.exchange.as_mut() else { return Ok(Some(answer)) };
    if exchange.chain().is_empty() || ctx.response_begun {
        return Ok(Some(answer));
    }
    ctx.response_begun = true;
    if !answer.body.is_empty() {
        answer.head.insert_header(CONTENT_LENGTH, answer.body.len())?;
    }
    let step = lend_both(exchange, session, &mut answer.head, |e| e.response_headers(no_body));
    let step = settle(session, exchange, &mut answer.head, step).await;
    match next(ctx, step, grpc)? {
        Next::GoOn if !no_body => {}
        Next::GoOn => return Ok(Some(answer)),
        Next::Instead(other) => return Ok(Some(*other)),
        Next::Close(cause) => return close(ctx, cause),
    }
    let Some(exchange) = ctx.exchange.as_mut() else { return Ok(Some(answer)) };
    let body = std::mem::take(&mut answer.body);
    let step = lend_both(exchange, session, &mut answer.head, |e| e.response_body(body, true));
    let step = settle(session, exchange, &mut answer.head, step).await;
    answer.body = exchange.take_body(Direction::Response).0;
    match next(ctx, step, grpc)? {
        Next::GoOn => Ok(Some(answer)),
        Next::Instead(other) => Ok(Some(*other)),
        Next::Close(cause) => close(ctx, cause),
    }
}

/// Nothing is sent, for this reason.
fn close(ctx: &mut Context, cause: Cause) -> Result<Option<Answer>> {
    ctx.cause = Some(cause);
    Ok(None)
}

/// What a step of the response's filters means for an answer that is under way.
enum Next {
    GoOn,
    /// A filter answered with something else, or failed.
    Instead(Box<Answer>),
    Close(Cause),
}

fn next(ctx: &mut Context, step: std::result::Result<Step, ClientGone>, grpc: bool) -> Result<Next> {
    let Ok(step) = step else { return Ok(Next::Close(Cause::client_gone())) };
    Ok(match step {
        Step::Continue | Step::Hold => Next::GoOn,
        Step::Reset => Next::Close(Cause::closed()),
        Step::Reply(reply) => Next::Instead(Box::new(note_reply(ctx, *reply, grpc)?)),
        Step::Fail(fault) => {
            let cause = Cause::fault(&fault);
            let answer = Answer::cause(&cause, grpc)?;
            ctx.cause = Some(cause);
            Next::Instead(Box::new(answer))
        }
    })
}

/// Whether no body may follow this head.
fn bodiless(session: &Session, head: &ResponseHeader) -> bool {
    session.req_header().method == Method::HEAD || matches!(head.status.as_u16(), 204 | 304)
}

/// Remembers for the log who answered.
pub(crate) fn note_reply(ctx: &mut Context, reply: Reply, grpc: bool) -> Result<Answer> {
    ctx.replied = Some((reply.filter.clone(), reply.details.clone()));
    Answer::reply(reply, grpc)
}

/// Whether the head of the final answer is out; interim ones do not count.
pub(crate) fn is_out(session: &ServerSession) -> bool {
    sent(session).is_some()
}

/// The head of the final answer, as it was sent.
pub(crate) fn sent(session: &ServerSession) -> Option<&ResponseHeader> {
    session.response_written().filter(|head| !head.status.is_informational() || head.status == 101)
}

/// Frames an answer and takes its body, if one is to be sent.
pub(crate) fn dress(session: &Session, answer: &mut Answer) -> Result<Option<Bytes>> {
    if let Some(note) = answer.note.take() {
        answer.head.insert_header(PROXY_STATUS, note)?;
    }
    answer.head.remove_header(&http::header::TRANSFER_ENCODING);
    if matches!(answer.head.status.as_u16(), 204 | 304) {
        answer.head.remove_header(&CONTENT_LENGTH);
    } else {
        answer.head.insert_header(CONTENT_LENGTH, answer.body.len())?;
    }
    let body = std::mem::take(&mut answer.body);
    Ok(Some(body).filter(|b| !b.is_empty() && !bodiless(session, &answer.head)))
}

/// Writes an answer. The connection is kept when the request was read to its end.
pub(crate) async fn write(session: &mut Session, mut answer: Answer) -> Result<()> {
    take_rest(session).await;
    if let Some(module) = session.downstream_modules_ctx.get_mut::<FramingModule>() {
        module.framing = Framing::Keep;
    }
    let body = dress(session, &mut answer)?;
    if body.is_none() && session.is_http2() {
        // A head without a body has to end the stream by itself: clients of gRPC take an empty frame behind it for an error.
        session.write_response_tasks(vec![HttpTask::Header(Box::new(answer.head), true)]).await?;
        return Ok(());
    }
    session.write_response_header(Box::new(answer.head), body.is_none()).await?;
    if let Some(body) = body {
        session.write_response_body(Some(body), true).await?;
    }
    Ok(())
}

/// Most of a request body that is read and thrown away before an early answer.
const REST_BYTES: usize = 64 << 10;

/// Reads what has already come of a request that is answered early: a short body mostly comes with its head, and with
/// all of it read the connection can be kept.
async fn take_rest(session: &mut Session) {
    if session.as_http1().is_none() || session.downstream_session.is_body_done() {
        return;
    }
    let mut left = REST_BYTES;
    // A timeout of nothing asks once and does not wait.
    while let Ok(Ok(Some(chunk))) =
        tokio::time::timeout(Duration::ZERO, session.downstream_session.read_request_body()).await
    {
        match left.checked_sub(chunk.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// Most of a request body that is read and thrown away after an early answer, and for how long.
const LINGER_BYTES: usize = 1 << 20;
const LINGER: Duration = Duration::from_secs(1);

/// Reads what the client is still sending after it got its answer. Closing at once would reset the connection, and
/// the reset would overtake the answer.
pub(crate) async fn linger(session: &mut Session) {
    let _ = tokio::time::timeout(LINGER, async {
        let mut left = LINGER_BYTES;
        while let Ok(Some(chunk)) = session.downstream_session.read_request_body().await {
            match left.checked_sub(chunk.len()) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    })
    .await;
}

/// Runs an answer through the filters and writes it.
pub(crate) async fn send(session: &mut Session, ctx: &mut Context, answer: Answer) -> Result<()> {
    match through_filters(session, ctx, answer).await? {
        Some(answer) => write(session, answer).await,
        None => {
            session.set_keepalive(None);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_status_line_of_rfc_9209() {
        let cause = Cause::no_route();
        assert_eq!(cause.proxy_status(), "sluice; error=destination_not_found; details=\"kind=no_route\"");
        let answer = Answer::cause(&cause, false).expect("builds");
        assert_eq!(answer.head.status, 404);
        assert_eq!(answer.note, Some(cause.proxy_status()));
    }

    #[test]
    fn grpc_clients_get_a_status_in_the_head() {
        let answer = Answer::cause(&Cause::no_route(), true).expect("builds");
        assert_eq!((answer.head.status.as_u16(), answer.body.is_empty()), (200, true));
        assert_eq!(answer.head.headers["grpc-status"], "12");
        assert_eq!(percent("50% of ä"), "50%25 of %C3%A4");
    }

    #[test]
    fn a_status_of_grpc_is_for_its_clients_alone() {
        let reply = || Reply {
            status: 401,
            headers: Vec::new(),
            body: Bytes::new(),
            details: String::new(),
            grpc_status: Some(16),
            filter: "f".into(),
        };
        let plain = Answer::reply(reply(), false).expect("builds");
        assert_eq!((plain.head.status.as_u16(), plain.head.headers.contains_key("grpc-status")), (401, false));
        let grpc = Answer::reply(reply(), true).expect("builds");
        assert_eq!(
            (grpc.head.status.as_u16(), &grpc.head.headers["grpc-status"]),
            (200, &HeaderValue::from_static("16"))
        );
    }
}
