//! The words spoken with an embedder: what to do next, what to answer, what went wrong.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use sluice_engine::CrashKind;

use crate::Direction;

/// What an embedder does after it gave the exchange something.
#[derive(Debug)]
pub enum Step {
    /// Every filter let it pass.
    Continue,
    /// A filter paused; what it holds comes out later.
    Hold,
    /// A filter answered by itself; nothing more of the request goes upstream.
    Reply(Box<Reply>),
    /// A filter failed and its policy is to fail closed.
    Fail(Box<Fault>),
    /// A filter closed the stream.
    Reset,
}

/// An answer that did not come from an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 599.
    pub status: u16,
    /// Fields in order; names and values were checked.
    pub headers: Vec<(http::HeaderName, http::HeaderValue)>,
    /// The whole body.
    pub body: Bytes,
    /// The filter's own words for the log.
    pub details: String,
    /// gRPC status for gRPC clients.
    pub grpc_status: Option<u32>,
    /// Which filter said it.
    pub filter: Arc<str>,
}

/// The one vocabulary of what goes wrong: in responses, logs, spans and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Token {
    /// A guest did what it must not.
    Trap,
    /// A CPU budget is used up.
    CpuExceeded,
    /// A memory ceiling was reached.
    MemoryExceeded,
    /// A guest could not be started.
    StartFailed,
    /// A body is larger than a filter may hold.
    BodyTooLarge,
    /// A callout failed.
    CalloutFailed,
    /// A filter is out of service after too many crashes.
    Quarantined,
    /// A filter paused and nothing continued the stream in time.
    PausedTooLong,
}

impl Token {
    /// Every token.
    pub const ALL: [Self; 8] = [
        Self::Trap,
        Self::CpuExceeded,
        Self::MemoryExceeded,
        Self::StartFailed,
        Self::BodyTooLarge,
        Self::CalloutFailed,
        Self::Quarantined,
        Self::PausedTooLong,
    ];

    /// The token as it is written everywhere.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::CpuExceeded => "cpu_exceeded",
            Self::MemoryExceeded => "memory_exceeded",
            Self::StartFailed => "start_failed",
            Self::BodyTooLarge => "body_too_large",
            Self::CalloutFailed => "callout_failed",
            Self::Quarantined => "quarantined",
            Self::PausedTooLong => "paused_too_long",
        }
    }
}

impl From<CrashKind> for Token {
    fn from(kind: CrashKind) -> Self {
        match kind {
            CrashKind::CpuExceeded => Self::CpuExceeded,
            CrashKind::MemoryExceeded => Self::MemoryExceeded,
            CrashKind::Trap | CrashKind::Exit(_) | CrashKind::HostPanic => Self::Trap,
        }
    }
}

/// A filter that failed an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What kind of failure.
    pub token: Token,
    /// Which filter.
    pub filter: Arc<str>,
    /// In which callback.
    pub phase: Phase,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "filter={} kind={} phase={}", self.filter, self.token.name(), self.phase.name())
    }
}

/// What a guest is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(missing_docs, reason = "the names are those of the callbacks")]
pub enum Phase {
    /// Instantiation, `_initialize`, `_start`, `main`.
    #[default]
    Instantiate,
    Start,
    Configure,
    Create,
    RequestHeaders,
    RequestBody,
    RequestTrailers,
    ResponseHeaders,
    ResponseBody,
    ResponseTrailers,
    NewConnection,
    DownstreamData,
    UpstreamData,
    DownstreamClose,
    UpstreamClose,
    Done,
    Log,
    Delete,
    Tick,
    Queue,
    Callout,
    Grpc,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 22] = [
        Self::Instantiate,
        Self::Start,
        Self::Configure,
        Self::Create,
        Self::RequestHeaders,
        Self::RequestBody,
        Self::RequestTrailers,
        Self::ResponseHeaders,
        Self::ResponseBody,
        Self::ResponseTrailers,
        Self::NewConnection,
        Self::DownstreamData,
        Self::UpstreamData,
        Self::DownstreamClose,
        Self::UpstreamClose,
        Self::Done,
        Self::Log,
        Self::Delete,
        Self::Tick,
        Self::Queue,
        Self::Callout,
        Self::Grpc,
    ];

    /// The name in logs, spans and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Instantiate => "instantiate",
            Self::Start => "start",
            Self::Configure => "configure",
            Self::Create => "create",
            Self::RequestHeaders => "request_headers",
            Self::RequestBody => "request_body",
            Self::RequestTrailers => "request_trailers",
            Self::ResponseHeaders => "response_headers",
            Self::ResponseBody => "response_body",
            Self::ResponseTrailers => "response_trailers",
            Self::NewConnection => "new_connection",
            Self::DownstreamData => "downstream_data",
            Self::UpstreamData => "upstream_data",
            Self::DownstreamClose => "downstream_close",
            Self::UpstreamClose => "upstream_close",
            Self::Done => "done",
            Self::Log => "log",
            Self::Delete => "delete",
            Self::Tick => "tick",
            Self::Queue => "queue",
            Self::Callout => "callout",
            Self::Grpc => "grpc",
        }
    }

    /// The direction that its callback may pause; `None` for one that says nothing of that.
    pub(crate) const fn direction(self) -> Option<Direction> {
        match self {
            Self::RequestHeaders | Self::RequestBody | Self::RequestTrailers => Some(Direction::Request),
            Self::ResponseHeaders | Self::ResponseBody | Self::ResponseTrailers => Some(Direction::Response),
            Self::NewConnection | Self::DownstreamData => Some(Direction::Request),
            Self::UpstreamData => Some(Direction::Response),
            _ => None,
        }
    }

    /// Whether a callback of an HTTP stream runs, in which it may answer.
    pub(crate) const fn is_stream(self) -> bool {
        matches!(
            self,
            Self::RequestHeaders
                | Self::RequestBody
                | Self::RequestTrailers
                | Self::ResponseHeaders
                | Self::ResponseBody
                | Self::ResponseTrailers
        )
    }
}
