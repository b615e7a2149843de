//! From what a case says to the events of an exchange, in the order in which they come.

use std::collections::VecDeque;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header::HOST};
use sluice_host::{Direction, RequestParts, ResponseParts};

use crate::case::{self, Pair};

/// Something that comes in from one of the two sides.
pub(crate) enum Event {
    Headers(Direction, Option<ResponseParts>, bool),
    Body(Direction, Bytes, bool),
    Trailers(Direction, HeaderMap),
    Connected,
    Data(Direction, Bytes, bool),
    Closed(Direction),
}

/// Puts a message as a case has it behind what is to come.
pub(crate) fn write(
    todo: &mut VecDeque<Event>,
    direction: Direction,
    head: Option<ResponseParts>,
    body: &[String],
    trailers: &[Pair],
) -> Result<(), String> {
    let body = body.iter().map(|piece| Bytes::copy_from_slice(piece.as_bytes())).collect();
    let trailers = if trailers.is_empty() { None } else { Some(fields(trailers)?) };
    schedule(todo, direction, head, body, trailers);
    Ok(())
}

/// Puts a message behind what is to come; the end of the stream is where nothing of it follows.
pub(crate) fn schedule(
    todo: &mut VecDeque<Event>,
    direction: Direction,
    head: Option<ResponseParts>,
    body: Vec<Bytes>,
    trailers: Option<HeaderMap>,
) {
    let pieces = body.len();
    todo.push_back(Event::Headers(direction, head, pieces == 0 && trailers.is_none()));
    for (number, piece) in body.into_iter().enumerate() {
        todo.push_back(Event::Body(direction, piece, number + 1 == pieces && trailers.is_none()));
    }
    todo.extend(trailers.map(|map| Event::Trailers(direction, map)));
}

/// A TCP connection: the client's bytes, the upstream's, and then both close.
pub(crate) fn connection(connection: &case::Connection) -> VecDeque<Event> {
    let data = |direction, pieces: &[String]| -> Vec<Event> {
        let last = pieces.len();
        let number = |(n, piece): (usize, &String)| Event::Data(direction, piece.clone().into(), n + 1 == last);
        pieces.iter().enumerate().map(number).collect()
    };
    let mut todo = VecDeque::from([Event::Connected]);
    todo.extend(data(Direction::Request, &connection.downstream));
    todo.extend(data(Direction::Response, &connection.upstream));
    todo.extend([Event::Closed(Direction::Request), Event::Closed(Direction::Response)]);
    todo
}

/// The head of a request.
pub(crate) fn request(message: &case::Message) -> Result<RequestParts, String> {
    let mut parts = http::Request::new(()).into_parts().0;
    parts.method = message.method.parse().map_err(|_| format!("`{}` is no method", message.method))?;
    parts.uri = message.path.parse::<Uri>().map_err(|e| format!("path `{}`: {e}", message.path))?;
    if !message.authority.is_empty() {
        parts.headers.insert(HOST, value(&message.authority)?);
    }
    for (name, text) in &message.headers {
        parts.headers.append(self::name(name)?, value(text)?);
    }
    Ok(RequestParts(parts))
}

/// The head of a response.
pub(crate) fn response(status: u16, headers: HeaderMap) -> Result<ResponseParts, String> {
    let mut parts = http::Response::new(()).into_parts().0;
    parts.status = StatusCode::from_u16(status).map_err(|_| format!("{status} is no status"))?;
    parts.headers = headers;
    Ok(ResponseParts(parts))
}

/// Fields in order.
pub(crate) fn fields(pairs: &[Pair]) -> Result<HeaderMap, String> {
    pairs.iter().map(|(n, v)| Ok((name(n)?, value(v)?))).collect()
}

fn name(text: &str) -> Result<HeaderName, String> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| format!("`{text}` is no header name"))
}

fn value(text: &str) -> Result<HeaderValue, String> {
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    let value = bytes.and_then(|bytes| HeaderValue::from_bytes(&bytes).ok());
    value.ok_or_else(|| format!("`{text}` is no header value (each character is one byte)"))
}
