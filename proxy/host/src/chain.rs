//! The filters of a route in their order: a plain value.

use std::sync::Arc;

use crate::{Exchange, Filter, Message};

/// One filter at one place of a chain.
#[derive(Debug, Clone)]
pub struct Link {
    /// The filter.
    pub filter: Arc<Filter>,
    /// Which of its configurations.
    pub configuration: usize,
}

/// The filters of a route in their order; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    links: Arc<[Link]>,
    reads_request_body: bool,
    reads_response_body: bool,
    edits: bool,
    behind_head: bool,
}

impl Chain {
    /// A chain of these filters; requests meet them in this order, responses in reverse.
    pub fn new(links: Vec<Link>) -> Self {
        let any = |f: fn(&Filter) -> bool| links.iter().any(|l| f(&l.filter));
        Self {
            reads_request_body: any(|f| f.exports.request_body),
            reads_response_body: any(|f| f.exports.response_body),
            edits: any(|f| f.exports.edits_bodies),
            behind_head: any(|f| f.stop_iteration && (f.exports.request_body || f.exports.response_body)),
            links: links.into(),
        }
    }

    /// The filters in order.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Whether a filter wants to see the body of requests.
    pub fn reads_request_body(&self) -> bool {
        self.reads_request_body
    }

    /// Whether a filter wants to see the body of responses.
    pub fn reads_response_body(&self) -> bool {
        self.reads_response_body
    }

    /// Whether a filter may hold a head while it reads the body behind it.
    pub fn reads_behind_head(&self) -> bool {
        self.behind_head
    }

    /// Whether a filter is able to change the length of a request's body.
    pub fn may_edit_request(&self) -> bool {
        self.edits && self.reads_request_body
    }

    /// Whether a filter is able to change the length of a response's body.
    pub fn may_edit_response(&self) -> bool {
        self.edits && self.reads_response_body
    }

    /// Begins an exchange.
    pub fn open(&self, message: Box<Message>) -> Exchange {
        Exchange::new(self.clone(), Some(message))
    }

    /// Begins an exchange of an empty chain, whose message nobody reads.
    pub fn open_unread(&self) -> Exchange {
        Exchange::new(self.clone(), None)
    }

    /// Begins a TCP connection: an exchange without heads, driven by [`Exchange::connected`], [`Exchange::data`] and
    /// [`Exchange::closed`].
    pub fn connect(&self, mut message: Box<Message>) -> Exchange {
        message.tcp = true;
        Exchange::new(self.clone(), Some(message))
    }
}
