//! What a case expects of an exchange: only what is written is compared, but trouble that is not written is an error.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::case::Pair;

/// What is expected of one exchange.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// What reaches the upstream.
    pub upstream: Option<Wanted>,
    /// Whether the head of the request reaches it at all.
    pub reaches_upstream: Option<bool>,
    /// What reaches the client.
    pub client: Option<Wanted>,
    /// Log lines that contain these, in this order, with others between: `<level> <filter>: <message>`.
    pub logs: Vec<String>,
    /// The messages of all log lines.
    pub logs_exactly: Option<Vec<String>>,
    /// No log line contains any of these.
    pub no_logs: Vec<String>,
    /// `<token> in <phase> of <filter>`, or its beginning. Without it no filter may fail the exchange.
    pub fault: Option<String>,
    /// Guests that die: each `<filter> in <phase>: <kind>: <message and frames>` contains one of these, in order.
    /// Without it, and without a fault, no guest may die.
    pub crashes: Option<Vec<String>>,
    /// Whether a filter answers by itself.
    pub reply: Option<bool>,
    /// Name of the filter that holds the exchange when nothing more happens. Without it none may.
    pub held: Option<String>,
    /// A filter closes the stream, or an answer comes too late.
    pub reset: bool,
    /// Calls that filters make, all of them in their order.
    pub calls: Option<Vec<WantedCall>>,
    /// How filters fared: name and word.
    pub outcomes: BTreeMap<String, String>,
    /// Every event and what the chain said to it: `<event>: <step>`.
    pub steps: Option<Vec<String>>,
}

/// What one side is expected to see.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wanted {
    /// The status, for the client.
    pub status: Option<u16>,
    /// Among others: all values of each of these names, pseudo headers included.
    pub headers: BTreeMap<String, Values>,
    /// All pairs in order, pseudo headers first.
    pub pairs: Option<Vec<Pair>>,
    /// Names that are not there.
    pub absent: Vec<String>,
    /// The whole body.
    pub body: Option<String>,
    /// The pieces in which the body leaves the chain.
    pub pieces: Option<Vec<String>>,
    /// All trailers in order.
    pub trailers: Option<Vec<Pair>>,
    /// Whether the message is complete; true when it is not said.
    pub complete: Option<bool>,
}

/// What is expected of a call that a filter makes. What is not said is not compared.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WantedCall {
    /// The filter.
    pub filter: Option<String>,
    /// The upstream.
    pub upstream: Option<String>,
    /// Among others: all values of each of these names; `:method`, `:path` and `:authority` too.
    pub headers: BTreeMap<String, Values>,
    /// All pairs in order, those three first.
    pub pairs: Option<Vec<Pair>>,
    /// Names that are not there.
    pub absent: Vec<String>,
    /// The body.
    pub body: Option<String>,
    /// All trailers in order.
    pub trailers: Option<Vec<Pair>>,
    /// Milliseconds that it may take; a stream has no such time.
    pub timeout_ms: Option<u64>,
    /// All messages of a gRPC call.
    pub messages: Option<Vec<String>>,
    /// Whether the last message was said to be the last.
    pub ended: Option<bool>,
    /// Whether the filter closed it.
    pub closed: Option<bool>,
    /// Whether the filter let go of it before its end.
    pub cancelled: Option<bool>,
}

/// One value or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Values {
    /// Exactly one.
    One(String),
    /// Exactly these in order.
    Many(Vec<String>),
}

impl Values {
    pub(crate) fn as_slice(&self) -> &[String] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}
