//! The outcome of a callout as a guest reads it.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{CalloutOutcome, Fields, Head, ResponseFields, ResponseHead, TrailersHead, state::Answered};

/// The head of a callout's response; nobody changes it.
pub(crate) struct CallHead {
    status: u16,
    headers: HeaderMap,
}

impl Fields for CallHead {
    fn fields(&self) -> &HeaderMap {
        &self.headers
    }
    fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.append(name, value);
    }
    fn insert(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.insert(name, value);
    }
    fn remove(&mut self, name: &HeaderName) {
        self.headers.remove(name);
    }
    fn clear(&mut self) {
        self.headers.clear();
    }
}

impl ResponseFields for CallHead {
    fn status(&self) -> u16 {
        self.status
    }
    fn set_status(&mut self, status: u16) {
        self.status = status;
    }
}

impl Answered {
    /// A failure has neither head nor body nor trailers: that is how a guest knows it.
    pub(crate) fn new(outcome: CalloutOutcome) -> Self {
        match outcome {
            Ok(response) => Self {
                headers: Some(ResponseHead(CallHead { status: response.status, headers: response.headers })),
                trailers: Some(TrailersHead(response.trailers)).filter(|t| t.count() > 0),
                body: response.body,
                failure: String::new(),
            },
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
