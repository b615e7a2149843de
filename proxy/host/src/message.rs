//! The message under treatment: heads, trailers, the body in hand and facts about the exchange.
//!
//! It is moved into the store for one callback and moved out after it; nothing of it is shared.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use crate::{Body, Head, Note, TracePlace, head::Look};

/// One exchange's message.
#[derive(Default)]
pub struct Message {
    /// Head of the request.
    pub request: Option<Box<dyn Head>>,
    /// Head of the response. Where there is none, filters see the one that was sent ([`Head::sent`]), if one was.
    pub response: Option<Box<dyn Head>>,
    /// Trailers of the request.
    pub request_trailers: Option<Box<dyn Head>>,
    /// Trailers of the response.
    pub response_trailers: Option<Box<dyn Head>>,
    /// The body that the running callback may read; `None` outside of body callbacks.
    pub(crate) body: Option<(Direction, Body)>,
    /// It is a TCP connection: there are no heads, and the bodies are its bytes.
    pub(crate) tcp: bool,
    /// Facts that filters read as properties.
    pub facts: ExchangeFacts,
    /// What filters set with `proxy_set_property`: path (segments joined by NUL) and value.
    pub(crate) properties: Vec<(Box<[u8]>, Box<[u8]>)>,
    /// What the filter under way added to its span.
    pub(crate) notes: Vec<Note>,
}

impl Message {
    /// A message of which only these facts are known yet.
    pub fn new(facts: ExchangeFacts) -> Self {
        Self { facts, ..Self::default() }
    }

    /// The response's head to look at: the one in hand, else the one that was sent.
    pub(crate) fn response(&self) -> Option<Look<'_>> {
        match self.response.as_deref() {
            Some(head) => Some(Look::Lent(head)),
            None => self.request.as_deref()?.sent().map(Look::Sent),
        }
    }

    /// What filters set with `proxy_set_property`: path (segments joined by NUL) and value.
    pub fn set_properties(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.properties.iter().map(|(p, v)| (&p[..], &v[..]))
    }
}

/// Which half of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    Request,
    /// To the client.
    Response,
}

/// Facts that filters read as properties; what is not known stays `None` and is `NOT_FOUND` to the guest.
#[derive(Debug, Clone, Default)]
pub struct ExchangeFacts {
    /// The client's address.
    pub source: Option<SocketAddr>,
    /// The address the client connected to.
    pub destination: Option<SocketAddr>,
    /// Number of the client's connection in this process.
    pub connection: u64,
    /// `HTTP/1.1`, `HTTP/2`, …; empty for TCP.
    pub protocol: &'static str,
    /// Wall clock at the first byte, since 1970.
    pub started: Duration,
    /// The same moment on the monotonic clock.
    pub started_monotonic: Duration,
    /// Facts of the client's TLS session.
    pub tls: Option<Arc<TlsFacts>>,
    /// The route that matched.
    pub route: Option<Arc<RouteFacts>>,
    /// The upstream that was tried last.
    pub upstream: Option<SocketAddr>,
    /// Body bytes from the client so far.
    pub request_bytes: u64,
    /// Body bytes to the client so far.
    pub response_bytes: u64,
    /// Details of a response that the proxy made by itself.
    pub code_details: Option<Arc<str>>,
    /// Where it stands in a trace, where there is one.
    pub trace: Option<TracePlace>,
}

/// Facts of a TLS session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.3`, ….
    pub version: String,
    /// The name that the client asked for.
    pub server_name: Option<String>,
    /// Whether the client showed a certificate that was verified.
    pub mutual: bool,
}

/// Facts of a route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteFacts {
    /// Its name.
    pub name: String,
    /// The upstream's name; empty for a direct response.
    pub upstream: String,
    /// Properties written in the configuration: path with dots and value.
    pub properties: Vec<(String, String)>,
}
