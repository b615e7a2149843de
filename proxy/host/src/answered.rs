//! What came back on a call, as a guest reads it in the callback that tells of it.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};

use crate::{CalloutOutcome, GrpcEvent, Head, ResponseHead, ResponseParts, TrailersHead};

/// What Envoy's host calls a broken connection; a number, not a status of this ABI.
const BROKEN: u32 = 11;

/// What hostcalls read while a callback tells of a call.
pub(crate) struct Answered {
    /// An HTTP response's head, or the initial metadata of a gRPC call.
    pub(crate) headers: Option<ResponseHead<ResponseParts>>,
    /// An HTTP response's trailers, or the trailing metadata of a gRPC call.
    pub(crate) trailers: Option<TrailersHead>,
    /// An HTTP response's body, or a gRPC message.
    pub(crate) body: Option<Bytes>,
    /// What `proxy_get_status` tells: a code, and words.
    pub(crate) status: (u32, String),
    /// It is a gRPC call, which has maps and a buffer of its own.
    pub(crate) grpc: bool,
}

fn head(status: u16, headers: HeaderMap) -> ResponseHead<ResponseParts> {
    let mut parts = Response::new(()).into_parts().0;
    parts.status = StatusCode::from_u16(status).unwrap_or_default();
    parts.headers = headers;
    ResponseHead(ResponseParts(parts))
}

impl Answered {
    fn none(grpc: bool) -> Self {
        Self { headers: None, trailers: None, body: None, status: (0, String::new()), grpc }
    }

    /// The outcome of an HTTP callout. A failure has neither head nor body nor trailers: that is how a guest knows it.
    pub(crate) fn http(outcome: CalloutOutcome) -> Self {
        match outcome {
            Ok(response) => Self {
                headers: Some(head(response.status, response.headers)),
                trailers: Some(TrailersHead(response.trailers)).filter(|t| t.count() > 0),
                body: Some(response.body),
                ..Self::none(false)
            },
            Err(failure) => Self { status: (BROKEN, failure), body: Some(Bytes::new()), ..Self::none(false) },
        }
    }

    /// Something on a gRPC call.
    pub(crate) fn grpc(event: GrpcEvent) -> Self {
        let none = Self::none(true);
        match event {
            GrpcEvent::Metadata(map) => Self { headers: Some(head(200, map)), ..none },
            GrpcEvent::Message(message) => Self { body: Some(message), ..none },
            GrpcEvent::Trailers(map) => Self { trailers: Some(TrailersHead(map)), ..none },
            GrpcEvent::Closed { status, message } => Self { status: (status, message), ..none },
        }
    }

    /// Pairs of the head, bytes of the body, pairs of the trailers.
    pub(crate) fn sizes(&self) -> (u32, u32, u32) {
        let size = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        (
            size(self.headers.as_ref().map_or(0, Head::count)),
            size(self.body.as_ref().map_or(0, Bytes::len)),
            size(self.trailers.as_ref().map_or(0, Head::count)),
        )
    }
}
