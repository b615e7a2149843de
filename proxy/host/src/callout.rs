//! Calls that filters make by themselves, as an embedder sees them: HTTP requests and gRPC calls.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::TracePlace;

/// Header fields in order.
pub type FieldList = Vec<(HeaderName, HeaderValue)>;

/// A request that a filter makes by itself.
#[derive(Debug, Clone)]
pub struct Callout {
    /// Which filter.
    pub filter: Arc<str>,
    /// The name of an upstream, or `host:port`.
    pub upstream: String,
    /// `:method`.
    pub method: http::Method,
    /// `:path`.
    pub path: Vec<u8>,
    /// `:authority`.
    pub authority: HeaderValue,
    /// Fields in order, without pseudo headers.
    pub headers: FieldList,
    /// The whole body.
    pub body: Bytes,
    /// Trailers; mostly none.
    pub trailers: FieldList,
    /// How long the whole call may take.
    pub timeout: Duration,
    /// Where the exchange that makes it stands in a trace.
    pub trace: Option<TracePlace>,
}

/// What came of a callout; the text of a failure is what `proxy_get_status` tells.
pub type CalloutOutcome = Result<CalloutResponse, String>;

/// What is called with the outcome of a callout.
pub type Done = Box<dyn FnOnce(CalloutOutcome) + Send>;

/// A callout's response.
#[derive(Debug, Clone, Default)]
pub struct CalloutResponse {
    /// 100 to 999.
    pub status: u16,
    /// Its fields.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// Its trailers.
    pub trailers: HeaderMap,
}

/// A gRPC call that a filter makes by itself.
#[derive(Debug, Clone)]
pub struct GrpcCall {
    /// Which filter.
    pub filter: Arc<str>,
    /// The name of an upstream, or `host:port`.
    pub upstream: String,
    /// `/service/method`.
    pub path: String,
    /// Initial metadata in order.
    pub metadata: FieldList,
    /// The one message of a unary call; `None` opens a stream, whose messages come through the [`GrpcSink`].
    pub message: Option<Bytes>,
    /// How long the whole call may take; a stream has no such limit.
    pub timeout: Option<Duration>,
    /// Where the exchange that makes it stands in a trace.
    pub trace: Option<TracePlace>,
}

/// What comes back on a gRPC call, in this order; `Closed` comes once and last.
#[derive(Debug, Clone)]
pub enum GrpcEvent {
    /// Initial metadata: the fields of the response's head.
    Metadata(HeaderMap),
    /// One message, without its frame.
    Message(Bytes),
    /// Trailing metadata.
    Trailers(HeaderMap),
    /// The call is over.
    Closed {
        /// A status code of gRPC; 0 is success.
        status: u32,
        /// The server's words, or those of what failed.
        message: String,
    },
}

/// Takes what comes back on a gRPC call. False: nobody listens any more; a call that should end then is dropped by the host.
pub type GrpcEvents = Box<dyn FnMut(GrpcEvent) -> bool + Send>;

/// The sending half of a gRPC call. Dropping it cancels the call.
pub trait GrpcSink: Send + Sync {
    /// Queues a message; `end`: it is the last. Never blocks.
    fn send(&mut self, message: Bytes, end: bool);

    /// Bytes that are queued and not on their way yet.
    fn queued(&self) -> usize;

    /// Says that nothing more is sent and nothing more is listened to; what is queued still goes out.
    fn close(self: Box<Self>);
}

/// What came back, whatever kind of call it was.
#[derive(Debug)]
pub enum Answer {
    /// An HTTP callout is over.
    Http(CalloutOutcome),
    /// Something came on a gRPC call.
    Grpc(GrpcEvent),
}

impl Answer {
    /// Bytes that it holds, for the caps of what waits for a paused stream.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Http(Ok(response)) => response.body.len(),
            Self::Grpc(GrpcEvent::Message(message)) => message.len(),
            _ => 0,
        }
    }
}
