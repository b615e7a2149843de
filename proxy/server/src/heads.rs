//! Pingora's header types as the host's heads: lent by moving them, never converted.

mod in_order;

use std::{mem, ops::BitOrAssign, sync::LazyLock};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header, uri::Authority};
use pingora_core::protocols::http::ServerSession;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use sluice_host::{Exchange, Fields, RequestFields, RequestHead, ResponseFields, ResponseHead, Sent};

use self::in_order::InOrder;
use crate::answer;

/// A request's head on loan: with its whole session, as that is moved by moving a pointer.
pub(crate) struct Request {
    /// While it is not lent, one of nothing.
    http: Box<ServerSession>,
    lent: bool,
    scheme: &'static [u8],
    changed: Changed,
}

impl Request {
    /// The place for the head of this session's requests; `spare` is a session of nothing.
    pub(crate) fn of(session: &Session, spare: Box<ServerSession>) -> RequestHead<Self> {
        let tls = session.digest().is_some_and(|d| d.ssl_digest.is_some());
        let scheme: &'static [u8] = if tls { b"https" } else { b"http" };
        RequestHead(Self { http: spare, lent: false, scheme, changed: Changed::default() })
    }

    fn header(&self) -> &RequestHeader {
        if self.lent { self.http.req_header() } else { &NO_HEAD }
    }

    fn change(&mut self, f: impl FnOnce(&mut RequestHeader)) {
        if self.lent {
            self.changed.fields = true;
            f(self.http.req_header_mut());
        }
    }

    /// Changes the request line, if that can be done.
    fn change_line(&mut self, f: impl FnOnce(&mut RequestHeader) -> bool) -> bool {
        let changed = self.lent && f(self.http.req_header_mut());
        self.changed.line |= changed;
        changed
    }
}

/// What is seen of a head that is not there.
static NO_HEAD: LazyLock<RequestHeader> =
    LazyLock::new(|| RequestHeader::from(http::request::Request::new(()).into_parts().0));

/// What filters changed of a request's head; routes are matched by both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Method, target or authority.
    pub(crate) line: bool,
    /// Any other field.
    pub(crate) fields: bool,
}

impl BitOrAssign for Changed {
    fn bitor_assign(&mut self, more: Self) {
        self.line |= more.line;
        self.fields |= more.fields;
    }
}

/// A response's head on loan.
struct Response(ResponseHeader);

// Names and values were checked by the host, so that none of these can be refused.
impl Fields for Request {
    fn fields(&self) -> &HeaderMap {
        &self.header().headers
    }

    fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.change(|head| _ = head.append_header(name, value));
    }

    fn insert(&mut self, name: HeaderName, value: HeaderValue) {
        self.change(|head| _ = head.insert_header(name, value));
    }

    fn remove(&mut self, name: &HeaderName) {
        if self.fields().contains_key(name) {
            self.change(|head| head.take_out(name));
        }
    }

    fn clear(&mut self) {
        self.change(InOrder::take_all_out);
    }
}

impl Fields for Response {
    fn fields(&self) -> &HeaderMap {
        &self.0.headers
    }

    fn append(&mut self, name: HeaderName, value: HeaderValue) {
        let _ = self.0.append_header(name, value);
    }

    fn insert(&mut self, name: HeaderName, value: HeaderValue) {
        let _ = self.0.insert_header(name, value);
    }

    fn remove(&mut self, name: &HeaderName) {
        self.0.take_out(name);
    }

    fn clear(&mut self) {
        self.0.take_all_out();
    }
}

impl RequestFields for Request {
    fn method(&self) -> &[u8] {
        self.header().method.as_str().as_bytes()
    }

    fn set_method(&mut self, value: &[u8]) -> bool {
        self.change_line(|head| set_method(head, value))
    }

    fn path(&self) -> &[u8] {
        self.header().raw_path()
    }

    fn set_path(&mut self, value: &[u8]) -> bool {
        self.change_line(|head| set_path(head, value))
    }

    fn authority(&self) -> &[u8] {
        let head = self.header();
        match head.headers.get(header::HOST) {
            Some(host) => host.as_bytes(),
            None => head.uri.authority().map_or(b"", |a| a.as_str().as_bytes()),
        }
    }

    fn set_authority(&mut self, value: &[u8]) -> bool {
        self.change_line(|head| set_authority(head, value))
    }

    fn scheme(&self) -> &[u8] {
        self.scheme
    }

    fn sent(&self) -> Option<Sent<'_>> {
        let head = self.lent.then(|| answer::sent(&self.http)).flatten()?;
        Some(Sent { status: head.status.as_u16(), fields: &head.headers })
    }
}

/// Changing to CONNECT would change what the connection is.
fn set_method(head: &mut RequestHeader, value: &[u8]) -> bool {
    let method = Method::from_bytes(value).ok().filter(|method| *method != Method::CONNECT);
    method.map(|method| head.set_method(method)).is_some()
}

/// Only origin form and `*` are paths; control bytes and spaces would split the request line.
fn set_path(head: &mut RequestHeader, value: &[u8]) -> bool {
    let whole = value.first() == Some(&b'/') || value == b"*";
    whole && !value.iter().any(|b| *b <= b' ' || *b == 0x7f) && head.set_raw_path(value).is_ok()
}

fn set_authority(head: &mut RequestHeader, value: &[u8]) -> bool {
    let authority = Authority::try_from(value).ok().filter(|authority| !authority.as_str().contains('@'));
    authority.is_some_and(|authority| head.insert_header(header::HOST, authority.as_str()).is_ok())
}

impl ResponseFields for Response {
    fn status(&self) -> u16 {
        self.0.status.as_u16()
    }

    fn set_status(&mut self, status: u16) {
        // The host lets only 200 to 599 through.
        let _ = self.0.set_status(status);
        let _ = self.0.set_reason_phrase(None);
    }
}

/// Runs `f` with the session's request head lent to the exchange, and with it the response's that was sent. Returns what was
/// changed, too.
pub(crate) fn with_request<R>(
    exchange: &mut Exchange,
    session: &mut Session,
    f: impl FnOnce(&mut Exchange) -> R,
) -> (R, Changed) {
    swap_request(exchange, session);
    let result = f(exchange);
    let changed = swap_request(exchange, session);
    (result, changed)
}

/// Moves the session in or out; whichever it is, the other side keeps one of nothing.
fn swap_request(exchange: &mut Exchange, session: &mut Session) -> Changed {
    let head = exchange.message().request.as_mut();
    let Some(head) = head.and_then(|head| head.as_any_mut().downcast_mut::<RequestHead<Request>>()) else {
        return Changed::default();
    };
    let request = &mut head.0;
    mem::swap(&mut request.http, &mut session.downstream_session);
    request.lent = !request.lent;
    mem::take(&mut request.changed)
}

/// Runs `f` with the request's head lent to the exchange, and one of a response that is not out yet.
pub(crate) fn lend_both<R>(
    exchange: &mut Exchange,
    session: &mut Session,
    header: &mut ResponseHeader,
    f: impl FnOnce(&mut Exchange) -> R,
) -> R {
    let lent = mem::replace(header, ResponseHeader::from(http::response::Response::new(()).into_parts().0));
    exchange.message().response = Some(Box::new(ResponseHead(Response(lent))));
    let (result, _) = with_request(exchange, session, f);
    if let Some(mut head) = exchange.message().response.take()
        && let Some(head) = head.as_any_mut().downcast_mut::<ResponseHead<Response>>()
    {
        mem::swap(&mut head.0.0, header);
    }
    result
}

/// As [`lend_both`], of a response that may be out: then filters see what was sent.
pub(crate) fn lend<R>(
    exchange: &mut Exchange,
    session: &mut Session,
    header: Option<&mut ResponseHeader>,
    f: impl FnOnce(&mut Exchange) -> R,
) -> R {
    match header {
        Some(header) => lend_both(exchange, session, header, f),
        None => with_request(exchange, session, f).0,
    }
}

/// Takes a field out of a request; the others keep their order.
pub(crate) fn take_out(header: &mut RequestHeader, name: &HeaderName) {
    header.take_out(name);
}

/// HTTP/2 may cut cookies into several fields; for everybody else they are one (RFC 9113, 8.2.3).
pub(crate) fn settle_cookies(header: &mut RequestHeader) {
    if header.version == Version::HTTP_2 {
        let all: Vec<&[u8]> = header.headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
        if all.len() > 1
            && let Ok(one) = HeaderValue::from_bytes(&all.join(&b"; "[..]))
        {
            let _ = header.insert_header(header::COOKIE, one);
        }
    }
}

/// Puts the authority of HTTP/2 where every later step looks for it: in `host`, and only there. Pingora would send the
/// one of the target otherwise, whatever a filter made of it.
pub(crate) fn settle_authority(header: &mut RequestHeader) {
    if header.version == Version::HTTP_2
        && let Some(authority) = header.uri.authority().map(ToString::to_string)
    {
        let path = header.raw_path().to_vec();
        let _ = header.insert_header(header::HOST, authority);
        let _ = header.set_raw_path(&path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_split_a_request_line_is_refused() {
        let mut r = RequestHeader::build("GET", b"/", None).expect("valid");
        for bad in [&b"/a b"[..], b"/a\r\nx: y", b"", b"a", b"http://x/", b"/\0"] {
            assert!(!set_path(&mut r, bad), "{bad:?}");
        }
        assert!(set_path(&mut r, b"/new?q=1"));
        assert_eq!(r.raw_path(), b"/new?q=1");
        for bad in [&b"user@host"[..], b"a b", b""] {
            assert!(!set_authority(&mut r, bad), "{bad:?}");
        }
        assert!(set_authority(&mut r, b"example.com:81"));
        assert_eq!(r.headers[header::HOST], "example.com:81");
        assert!(!set_method(&mut r, b"CONNECT") && !set_method(&mut r, b"BAD METHOD") && set_method(&mut r, b"PATCH"));
    }
}
