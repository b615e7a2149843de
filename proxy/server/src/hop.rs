//! Fields of a request that belong to its connection and not to the message (RFC 9110, 7.6.1): filters never see them.

use http::{
    HeaderName, Method, Version,
    header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE},
};
use pingora_http::RequestHeader;

use crate::{cause::Cause, heads::take_out};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
/// Most names in `Connection`; Pingora refuses as many, and each costs a walk over the fields.
const MAX_NAMED: usize = 9;
/// What a client must not make the proxy drop: these tell later hops who asked, and for what.
const PROTECTED: [&str; 3] = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];

/// Which fields that the proxy itself looks at are there, and how large all are: found in one walk, as each look-up costs
/// a hash.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Survey {
    /// Names, values and what stands between them, as in HTTP/1.
    pub(crate) bytes: usize,
    /// `Connection` or one that belongs to it; `TE` too.
    of_connection: bool,
    /// One that no upstream gets.
    private: bool,
    pub(crate) expect: bool,
    pub(crate) length: bool,
    pub(crate) encoding: bool,
}

impl Survey {
    pub(crate) fn of(head: &RequestHeader) -> Self {
        let mut seen = Self::default();
        for (name, value) in &head.headers {
            seen.bytes += name.as_str().len() + value.len() + 4;
            seen.expect |= *name == EXPECT;
            seen.length |= *name == CONTENT_LENGTH;
            if is_private(name) {
                seen.private = true;
                seen.of_connection |= [CONNECTION, UPGRADE, TE, KEEP_ALIVE, PROXY_CONNECTION].contains(name);
                seen.encoding |= *name == TRANSFER_ENCODING;
            }
        }
        seen
    }
}

/// Takes the fields of the connection away. True when the request wants a tunnel: it keeps them all, as they are the
/// handshake, and they reach the upstream by Pingora's own rules.
pub(crate) fn settle(head: &mut RequestHeader, seen: &Survey) -> Result<bool, Cause> {
    if !seen.of_connection {
        return Ok(false);
    }
    let named = named(head)?;
    if wants_tunnel(head, &named) {
        return Ok(true);
    }
    let always = [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, UPGRADE];
    // A client that takes trailers says so to the filters, too; what else `TE` says is between it and the proxy.
    let te = head.headers.get(TE).is_some_and(|v| !v.as_bytes().eq_ignore_ascii_case(b"trailers")).then_some(TE);
    let gone = named.into_iter().filter(|n| *n != TE).chain(always).chain(te);
    gone.for_each(|name| take_out(head, &name));
    Ok(false)
}

/// As [`settle`], for the head on its way to an upstream: what filters may look at and no upstream gets, and what they put
/// in themselves.
pub(crate) fn strip(head: &mut RequestHeader, seen: &Survey, changed: bool) -> Result<(), Cause> {
    if !seen.private && !changed {
        return Ok(());
    }
    let mut gone = named(head)?;
    gone.extend(head.headers.keys().filter(|name| is_private(name)).cloned());
    gone.iter().for_each(|name| take_out(head, name));
    Ok(())
}

/// The fields of a connection, and those between a client and a proxy (RFC 9110, 11.7).
fn is_private(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// What `Connection` names.
fn named(head: &RequestHeader) -> Result<Vec<HeaderName>, Cause> {
    let mut names = Vec::new();
    let values = head.headers.get_all(CONNECTION).iter().flat_map(|v| v.as_bytes().split(|b| *b == b','));
    for token in values.map(<[u8]>::trim_ascii).filter(|t| !t.is_empty()) {
        let name = HeaderName::from_bytes(token).ok().filter(|n| *n != HOST && !PROTECTED.contains(&n.as_str()));
        match name {
            Some(name) if names.len() < MAX_NAMED => names.push(name),
            _ => return Err(Cause::bad_request(400, "the request's Connection field names what it must not")),
        }
    }
    Ok(names)
}

/// Only a whole handshake of a WebSocket makes a tunnel. Anything less is an ordinary request: what passes through a
/// tunnel is hidden from filters that look at bodies, so asking for one must not be enough.
fn wants_tunnel(head: &RequestHeader, named: &[HeaderName]) -> bool {
    let websocket = |v: &http::HeaderValue| v.as_bytes().eq_ignore_ascii_case(b"websocket");
    let body = head.headers.contains_key(TRANSFER_ENCODING)
        || head.headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
    head.version == Version::HTTP_11
        && head.method == Method::GET
        && head.headers.get(UPGRADE).is_some_and(websocket)
        && named.contains(&UPGRADE)
        && !body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, fields: &[(&'static str, &'static str)]) -> RequestHeader {
        let mut head = RequestHeader::build(method, b"/", None).expect("valid");
        fields.iter().for_each(|(n, v)| drop(head.append_header(*n, *v)));
        head
    }

    fn settle_all(head: &mut RequestHeader) -> Result<bool, Cause> {
        let seen = Survey::of(head);
        settle(head, &seen)
    }

    fn left(head: &RequestHeader) -> Vec<&str> {
        head.headers.keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn fields_of_the_connection_go_and_the_others_keep_their_order() {
        let fields = [
            ("connection", "x-hop, close"),
            ("a", "1"),
            ("x-hop", "1"),
            ("keep-alive", "5"),
            ("upgrade", "x"),
            ("b", "2"),
        ];
        let mut head = head("GET", &fields);
        assert_eq!(settle_all(&mut head), Ok(false));
        assert_eq!(left(&head), ["a", "b"]);
    }

    #[test]
    fn only_trailers_stay_in_te() {
        for (value, kept) in [("trailers", true), ("gzip", false), ("trailers, gzip", false)] {
            let mut head = head("GET", &[("te", value), ("connection", "te")]);
            assert_eq!(settle_all(&mut head), Ok(false));
            assert_eq!(head.headers.contains_key(TE), kept, "{value}");
        }
    }

    #[test]
    fn only_a_whole_handshake_makes_a_tunnel() {
        let handshake = [("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")];
        assert_eq!(settle_all(&mut head("GET", &handshake)), Ok(true));
        let body = [handshake[0], handshake[1], ("content-length", "5")];
        for (method, fields) in [
            ("POST", &handshake[..]),
            ("GET", &handshake[1..]),
            ("GET", &body),
            ("GET", &[("connection", "upgrade"), ("upgrade", "h2c")]),
        ] {
            let mut head = head(method, fields);
            assert_eq!(settle_all(&mut head), Ok(false), "{method} {fields:?}");
            assert!(!head.headers.contains_key(UPGRADE));
        }
    }

    #[test]
    fn what_must_not_be_dropped_cannot_be_named() {
        for value in ["host", "X-Forwarded-For", "a b", ":path", "a,b,c,d,e,f,g,h,i,j"] {
            assert!(settle_all(&mut head("GET", &[("connection", value)])).is_err(), "{value}");
        }
    }
}
