//! Why the proxy answered by itself: one token for the log, one error type of RFC 9209 for the client.

use std::{borrow::Cow, fmt};

use pingora_core::{Error, ErrorSource, ErrorType};
use sluice_host::{Fault, Phase, Token};

/// Why the proxy answered by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cause {
    /// Status of the answer; 0 when there is nobody left to answer.
    pub(crate) status: u16,
    /// The token in the log and in `details`.
    pub(crate) token: &'static str,
    /// An error type of RFC 9209 section 2.3.
    pub(crate) error: &'static str,
    /// What goes before `kind=` in `details`, such as `filter=auth`.
    pub(crate) subject: Cow<'static, str>,
    /// One sentence for the body.
    pub(crate) sentence: Cow<'static, str>,
}

impl Cause {
    fn new(status: u16, token: &'static str, error: &'static str, sentence: &'static str) -> Self {
        Self { status, token, error, subject: Cow::Borrowed(""), sentence: Cow::Borrowed(sentence) }
    }

    /// No route matches.
    pub(crate) fn no_route() -> Self {
        Self::new(404, "no_route", "destination_not_found", "no route matches this host, path, method and headers")
    }

    /// The request's target or headers are not what the proxy takes.
    pub(crate) fn bad_request(status: u16, sentence: &'static str) -> Self {
        Self::new(status, "bad_request", "http_request_error", sentence)
    }

    /// The upstream has no address now.
    pub(crate) fn no_endpoint() -> Self {
        Self::new(502, "upstream_connect", "dns_error", "the upstream's name means no address now")
    }

    /// A filter closed the stream.
    pub(crate) fn closed() -> Self {
        Self::new(0, "closed_by_filter", "proxy_internal_error", "a filter closed the stream")
    }

    /// The client closed the connection before it got an answer.
    pub(crate) fn client_gone() -> Self {
        Self::new(0, "client_closed", "http_request_error", "the client went away")
    }

    /// No endpoint of the upstream takes a TCP connection.
    pub(crate) fn tcp_connect() -> Self {
        Self::new(0, "upstream_connect", "destination_unavailable", "the upstream cannot be reached")
    }

    /// The upstream broke a TCP connection off.
    pub(crate) fn tcp_reset() -> Self {
        Self::new(0, "upstream_reset", "connection_terminated", "the upstream broke the connection off")
    }

    /// No connection to the upstream.
    pub(crate) fn connect() -> Self {
        Self { status: 502, ..Self::tcp_connect() }
    }

    /// The upstream broke off before its answer was whole.
    pub(crate) fn upstream_reset() -> Self {
        Self { status: 502, ..Self::tcp_reset() }
    }

    /// The upstream was silent for too long.
    pub(crate) fn upstream_timeout() -> Self {
        Self::new(504, "upstream_timeout", "http_response_timeout", "the upstream did not answer in time")
    }

    /// Nothing moved on a TCP connection for too long.
    pub(crate) fn idle() -> Self {
        Self::new(0, "idle", "connection_timeout", "nothing moved on the connection for too long")
    }

    /// The configuration that it began with was replaced, and its time is over.
    pub(crate) fn drained() -> Self {
        Self::new(503, "drained", "proxy_internal_response", "the configuration of this request was replaced long ago")
    }

    /// A filter failed and fails closed.
    pub(crate) fn fault(fault: &Fault) -> Self {
        let request = matches!(fault.phase, Phase::RequestHeaders | Phase::RequestBody | Phase::RequestTrailers);
        let (status, error, sentence) = match fault.token {
            Token::BodyTooLarge if request => {
                (413, "http_request_error", "the request's body is larger than a filter may hold")
            }
            Token::BodyTooLarge => {
                (502, "http_response_body_size", "the response's body is larger than a filter may hold")
            }
            Token::PausedTooLong => {
                (504, "proxy_internal_error", "a filter paused the exchange and nothing continued it in time")
            }
            _ => (503, "proxy_internal_error", "a filter of this route failed"),
        };
        Self {
            subject: Cow::Owned(format!("filter={}", fault.filter)),
            ..Self::new(status, fault.token.name(), error, sentence)
        }
    }

    /// What Pingora gave up with.
    pub(crate) fn error(error: &Error) -> Self {
        let connect = |error, sentence| Self::new(502, "upstream_connect", error, sentence);
        match (error.esource(), error.etype()) {
            (_, ErrorType::HTTPStatus(status)) => {
                Self::new(*status, "error", "proxy_internal_error", "the request was refused")
            }
            // The client is gone or silent.
            (ErrorSource::Downstream, ErrorType::ReadTimedout) => {
                Self::new(408, "client_timeout", "http_request_error", "the client was silent for too long")
            }
            (
                ErrorSource::Downstream,
                ErrorType::WriteError | ErrorType::WriteTimedout | ErrorType::ReadError | ErrorType::ConnectionClosed,
            ) => Self::client_gone(),
            (ErrorSource::Downstream, _) => Self::bad_request(400, "the request is not valid HTTP"),
            (_, ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout) => Self::new(
                504,
                "upstream_timeout",
                "connection_timeout",
                "the upstream did not accept the connection in time",
            ),
            (_, ErrorType::ConnectRefused) => connect("connection_refused", "the upstream refused the connection"),
            (_, ErrorType::InvalidCert) => {
                connect("tls_certificate_error", "the upstream's certificate is not trusted")
            }
            (_, ErrorType::TLSHandshakeFailure | ErrorType::HandshakeError | ErrorType::TLSWantX509Lookup) => {
                connect("tls_protocol_error", "the TLS handshake with the upstream failed")
            }
            (
                _,
                ErrorType::ConnectNoRoute | ErrorType::ConnectError | ErrorType::SocketError | ErrorType::BindError,
            ) => connect("destination_unavailable", "the upstream cannot be reached"),
            (ErrorSource::Upstream, ErrorType::ReadTimedout | ErrorType::WriteTimedout) => {
                Self::new(504, "upstream_timeout", "http_response_timeout", "the upstream did not answer in time")
            }
            (ErrorSource::Upstream, ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError) => {
                Self::new(
                    502,
                    "upstream_reset",
                    "connection_terminated",
                    "the upstream closed the connection before it answered",
                )
            }
            (ErrorSource::Upstream, _) => {
                Self::new(502, "upstream_protocol", "http_protocol_error", "the upstream's answer is not valid HTTP")
            }
            _ => Self::new(500, "internal", "proxy_internal_error", "the proxy failed"),
        }
    }

    /// The value of `Proxy-Status` (RFC 9209).
    pub(crate) fn proxy_status(&self) -> String {
        format!("sluice; error={}; details=\"{self}\"", self.error)
    }
}

/// The words of `details`: safe in a quoted string, as names in the configuration have no quotes.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.subject.is_empty() {
            write!(f, "{} ", self.subject)?;
        }
        write!(f, "kind={}", self.token)
    }
}
