//! The outcome of a callout as a guest reads it.

use http::{Response, StatusCode};

use crate::{CalloutOutcome, Head, ResponseHead, ResponseParts, TrailersHead, state::Answered};

impl Answered {
    /// A failure has neither head nor body nor trailers: that is how a guest knows it.
    pub(crate) fn new(outcome: CalloutOutcome) -> Self {
        match outcome {
            Ok(response) => {
                let mut parts = Response::new(()).into_parts().0;
                parts.status = StatusCode::from_u16(response.status).unwrap_or_default();
                parts.headers = response.headers;
                Self {
                    headers: Some(ResponseHead(ResponseParts(parts))),
                    trailers: Some(TrailersHead(response.trailers)).filter(|t| t.count() > 0),
                    body: response.body,
                    failure: String::new(),
                }
            }
            Err(failure) => Self { headers: None, trailers: None, body: bytes::Bytes::new(), failure },
        }
    }

    /// Pairs of the head, bytes of the body, pairs of the trailers.
    pub(crate) fn sizes(&self) -> (u32, u32, u32) {
        let size = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        (
            size(self.headers.as_ref().map_or(0, Head::count)),
            size(self.body.len()),
            size(self.trailers.as_ref().map_or(0, Head::count)),
        )
    }
}
