//! Pingora's header types as the host's heads: lent by moving them, never converted.

use std::{mem, ops::BitOrAssign};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header, uri::Authority};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use sluice_host::{Exchange, Fields, RequestFields, RequestHead, ResponseFields, ResponseHead};

/// A request's head on loan.
pub(crate) struct Request {
    pub(crate) header: RequestHeader,
    scheme: &'static [u8],
    pub(crate) changed: Changed,
}

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
pub(crate) struct Response {
    pub(crate) header: ResponseHeader,
}

macro_rules! fields {
    ($name:ident, |$s:ident| $touch:block) => {
        impl Fields for $name {
            fn fields(&self) -> &HeaderMap {
                &self.header.headers
            }

            // Names and values were checked by the host, so that none of these can be refused.
            fn append(&mut self, name: HeaderName, value: HeaderValue) {
                let $s = &mut *self;
                $touch
                let _ = self.header.append_header(name, value);
            }

            fn insert(&mut self, name: HeaderName, value: HeaderValue) {
                let $s = &mut *self;
                $touch
                let _ = self.header.insert_header(name, value);
            }

            fn remove(&mut self, name: &HeaderName) {
                if !self.header.headers.contains_key(name) {
                    return;
                }
                let $s = &mut *self;
                $touch
                // The map fills a gap with its last entry. To keep the order, everything behind the gap is taken out
                // from the end (which moves nothing) and put back.
                let behind: Vec<HeaderName> =
                    self.header.headers.keys().skip_while(|n| *n != name).skip(1).cloned().collect();
                let with_case = self.header.case_header_iter().map(|(n, v)| (n.as_slice(), v));
                let pairs = pairs_behind(&self.header.headers, with_case, &behind);
                behind.iter().rev().for_each(|n| drop(self.header.remove_header(n)));
                self.header.remove_header(name);
                for (name, value) in pairs {
                    let _ = self.header.append_header(name, value);
                }
            }

            fn clear(&mut self) {
                let $s = &mut *self;
                $touch
                let names: Vec<HeaderName> = self.header.headers.keys().cloned().collect();
                names.iter().rev().for_each(|n| drop(self.header.remove_header(n)));
            }
        }
    };
}

/// Every pair under these names in order, with the letters' case where it is kept.
fn pairs_behind<'a>(
    headers: &'a HeaderMap,
    with_case: impl Iterator<Item = (&'a [u8], &'a HeaderValue)>,
    names: &[HeaderName],
) -> Vec<(Bytes, HeaderValue)> {
    let wanted = |name: &[u8]| names.iter().any(|n| n.as_str().as_bytes().eq_ignore_ascii_case(name));
    let pair = |(name, value): (&[u8], &HeaderValue)| (Bytes::copy_from_slice(name), value.clone());
    let mut pairs: Vec<_> = with_case.filter(|(n, _)| wanted(n)).map(pair).collect();
    if pairs.is_empty() {
        let plain = headers.iter().map(|(n, v)| (n.as_str().as_bytes(), v));
        pairs = plain.filter(|(n, _)| wanted(n)).map(pair).collect();
    }
    pairs
}

fields!(Request, |s| {
    s.changed.fields = true;
});
fields!(Response, |_s| {});

impl RequestFields for Request {
    fn method(&self) -> &[u8] {
        self.header.method.as_str().as_bytes()
    }

    fn set_method(&mut self, value: &[u8]) -> bool {
        // Changing to CONNECT would change what the connection is.
        match Method::from_bytes(value) {
            Ok(method) if method != Method::CONNECT => {
                self.changed.line = true;
                self.header.set_method(method);
                true
            }
            _ => false,
        }
    }

    fn path(&self) -> &[u8] {
        self.header.raw_path()
    }

    fn set_path(&mut self, value: &[u8]) -> bool {
        // Only origin form and `*` are paths; control bytes and spaces would split the request line.
        let whole = value.first() == Some(&b'/') || value == b"*";
        if !whole || value.iter().any(|b| *b <= b' ' || *b == 0x7f) {
            return false;
        }
        self.changed.line = true;
        self.header.set_raw_path(value).is_ok()
    }

    fn authority(&self) -> &[u8] {
        match self.header.headers.get(header::HOST) {
            Some(host) => host.as_bytes(),
            None => self.header.uri.authority().map_or(b"", |a| a.as_str().as_bytes()),
        }
    }

    fn set_authority(&mut self, value: &[u8]) -> bool {
        let Ok(authority) = Authority::try_from(value) else { return false };
        if authority.as_str().contains('@') {
            return false;
        }
        self.changed.line = true;
        self.header.insert_header(header::HOST, authority.as_str()).is_ok()
    }

    fn scheme(&self) -> &[u8] {
        self.scheme
    }
}

impl ResponseFields for Response {
    fn status(&self) -> u16 {
        self.header.status.as_u16()
    }

    fn set_status(&mut self, status: u16) {
        // The host lets only 200 to 599 through.
        let _ = self.header.set_status(status);
        let _ = self.header.set_reason_phrase(None);
    }
}

/// Runs `f` with the session's request head lent to the exchange. Returns what was changed of it, too.
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

/// Moves the head in or out; whichever it is, the other side keeps an empty one.
fn swap_request(exchange: &mut Exchange, session: &mut Session) -> Changed {
    let slot = exchange.message().request.get_or_insert_with(|| {
        let tls = session.digest().is_some_and(|d| d.ssl_digest.is_some());
        let scheme: &'static [u8] = if tls { b"https" } else { b"http" };
        Box::new(RequestHead(Request { header: empty_request(), scheme, changed: Changed::default() }))
    });
    let Some(head) = slot.as_any_mut().downcast_mut::<RequestHead<Request>>() else { return Changed::default() };
    mem::swap(&mut head.0.header, session.req_header_mut());
    mem::take(&mut head.0.changed)
}

/// Runs `f` with a response head lent to the exchange.
pub(crate) fn with_response<R>(
    exchange: &mut Exchange,
    header: &mut ResponseHeader,
    f: impl FnOnce(&mut Exchange) -> R,
) -> R {
    swap_response(exchange, header);
    let result = f(exchange);
    swap_response(exchange, header);
    result
}

fn swap_response(exchange: &mut Exchange, header: &mut ResponseHeader) {
    let slot = exchange
        .message()
        .response
        .get_or_insert_with(|| Box::new(ResponseHead(Response { header: empty_response() })));
    if let Some(head) = slot.as_any_mut().downcast_mut::<ResponseHead<Response>>() {
        mem::swap(&mut head.0.header, header);
    }
}

/// Runs `f` with both heads lent: response filters may read the request's.
pub(crate) fn lend_both<R>(
    exchange: &mut Exchange,
    session: &mut Session,
    header: &mut ResponseHeader,
    f: impl FnOnce(&mut Exchange) -> R,
) -> R {
    with_request(exchange, session, |exchange| with_response(exchange, header, f)).0
}

fn empty_request() -> RequestHeader {
    RequestHeader::from(http::request::Request::new(()).into_parts().0)
}

fn empty_response() -> ResponseHeader {
    ResponseHeader::from(http::response::Response::new(()).into_parts().0)
}

/// Takes a field out of a request that nobody has on loan; the others keep their order.
pub(crate) fn take_out(header: &mut RequestHeader, name: &HeaderName) {
    if header.headers.contains_key(name) {
        let mut lent =
            Request { header: mem::replace(header, empty_request()), scheme: b"http", changed: Changed::default() };
        lent.remove(name);
        *header = lent.header;
    }
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

    fn response(pairs: &[(&'static str, &'static str)]) -> Response {
        let mut header = ResponseHeader::build(200, None).expect("valid");
        pairs.iter().for_each(|(n, v)| drop(header.append_header(*n, *v)));
        Response { header }
    }

    fn shown(r: &Response) -> String {
        let mut wire = Vec::new();
        r.header.header_to_h1_wire(&mut wire);
        String::from_utf8(wire).expect("text").replace("\r\n", "|")
    }

    #[test]
    fn removing_a_field_keeps_the_order_and_case_of_the_others() {
        let mut r = response(&[("A", "1"), ("X-Gone", "x"), ("b", "2"), ("X-Gone", "y"), ("b", "3"), ("C", "4")]);
        r.remove(&HeaderName::from_static("x-gone"));
        assert_eq!(shown(&r), "A: 1|b: 2|b: 3|C: 4|");
        r.remove(&HeaderName::from_static("not-there"));
        r.remove(&HeaderName::from_static("c"));
        assert_eq!(shown(&r), "A: 1|b: 2|b: 3|");
        r.clear();
        assert_eq!(shown(&r), "");
    }

    #[test]
    fn what_could_split_a_request_line_is_refused() {
        let mut r = Request {
            header: RequestHeader::build("GET", b"/", None).expect("valid"),
            scheme: b"http",
            changed: Changed::default(),
        };
        for bad in [&b"/a b"[..], b"/a\r\nx: y", b"", b"a", b"http://x/", b"/\0"] {
            assert!(!r.set_path(bad), "{bad:?}");
        }
        assert_eq!(r.changed, Changed::default());
        assert!(r.set_path(b"/new?q=1") && r.changed.line);
        assert_eq!(r.path(), b"/new?q=1");
        assert!(!r.set_authority(b"user@host") && !r.set_authority(b"a b") && !r.set_authority(b""));
        assert!(r.set_authority(b"example.com:81"));
        assert_eq!(r.authority(), b"example.com:81");
        assert!(!r.set_method(b"CONNECT") && !r.set_method(b"BAD METHOD") && r.set_method(b"PATCH"));
    }
}
