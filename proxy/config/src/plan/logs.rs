//! What is written of the proxy and of each request, how, and what is left out of it.

use std::path::PathBuf;

use super::{LogFormat, LogLevel, Position};

/// The proxy's own log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log {
    /// What is logged of everything that has no level of its own.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
    /// Filters with a level of their own.
    pub filters: Vec<(String, LogLevel)>,
    /// Parts of the proxy with a level of their own.
    pub modules: Vec<(LogModule, LogLevel)>,
}

impl LogLevel {
    /// Every level, the lowest first.
    pub const ALL: [Self; 5] = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error];

    /// What the configuration calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// A part of the proxy that speaks for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum LogModule {
    Server,
    Host,
    Pingora,
    Wasmtime,
}

impl LogModule {
    /// Every part.
    pub const ALL: [Self; 4] = [Self::Server, Self::Host, Self::Pingora, Self::Wasmtime];

    /// What the configuration calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Host => "host",
            Self::Pingora => "pingora",
            Self::Wasmtime => "wasmtime",
        }
    }
}

/// The access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// Which way its lines go.
    pub to: AccessTo,
    /// `None` is standard output.
    pub path: Option<PathBuf>,
    /// How a line looks.
    pub format: AccessFormat,
    /// What is not written.
    pub redact: Redact,
    /// Where it stands.
    pub at: Position,
}

/// Which way the access log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessTo {
    /// Lines to standard output or a file.
    Path,
    /// Log records to the collector.
    Otlp,
}

/// How a line of the access log looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessFormat {
    /// A JSON object of all fields that are known of the request.
    Json,
    /// Pieces one after the other.
    Line {
        /// As the file has it.
        text: String,
        /// What it means.
        pieces: Vec<Piece>,
    },
}

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(String),
    /// What is known under this name, or `-`.
    Field(Field),
    /// A field of the request's head: its name, in lower case.
    RequestHeader(String),
    /// A field of the response's head: its name, in lower case.
    ResponseHeader(String),
}

/// What is never written to the access log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Redact {
    /// Names of query parameters in lower case; a `*` stands for any text.
    pub query: Vec<String>,
    /// Names of header fields in lower case.
    pub headers: Vec<String>,
}

macro_rules! fields {
    ($($field:ident: $name:literal, $doc:literal;)+) => {
        /// What may be known of a request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Field {
            $(#[doc = $doc] $field,)+
        }

        impl Field {
            /// Every one, in the order in which they are written.
            pub const ALL: &'static [Self] = &[$(Self::$field),+];

            /// Its name in JSON and in a format.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$field => $name,)+ }
            }

            /// What it is, for people.
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$field => $doc,)+ }
            }
        }
    };
}

fields! {
    Time: "time", "When the request began: RFC 3339, UTC, milliseconds.";
    TraceId: "trace_id", "The trace that it belongs to: 32 hex digits.";
    SpanId: "span_id", "The span in that trace: 16 hex digits.";
    RequestId: "request_id", "Its `x-request-id`.";
    Client: "client", "Address and port that the connection came from.";
    Method: "method", "Its method.";
    Host: "host", "Its host.";
    Path: "path", "Its path and query, as filters left them; values of the parameters in `redact.query` are not written.";
    UserAgent: "user_agent", "What its client calls itself.";
    Protocol: "protocol", "`HTTP/1.0`, `HTTP/1.1`, `HTTP/2` or `TCP`.";
    Status: "status", "Status of the answer; 0 when there was none.";
    BytesReceived: "bytes_received", "Bytes of its body.";
    BytesSent: "bytes_sent", "Bytes of the answer's body.";
    Duration: "duration_us", "Microseconds from its head to the last byte of the answer.";
    UpstreamFirstByte: "upstream_first_byte_us", "Microseconds from the first attempt until the head of the upstream's answer was there.";
    UpstreamDuration: "upstream_us", "Microseconds from the first attempt until that answer was whole, or failed.";
    FiltersDuration: "filters_us", "Microseconds in callbacks of filters.";
    TlsVersion: "tls_version", "Version of TLS, when the listener speaks it.";
    TlsCipher: "tls_cipher", "Its cipher suite.";
    TlsServerName: "tls_server_name", "The name that its client asked for (SNI).";
    Route: "route", "The route that matched.";
    Upstream: "upstream", "The upstream of that route.";
    UpstreamAddress: "upstream_address", "The endpoint that was tried last.";
    UpstreamAttempts: "upstream_attempts", "How many were tried.";
    UpstreamReused: "upstream_reused", "Whether the connection to it was there already.";
    Generation: "generation", "The generation of the configuration.";
    Filters: "filters", "The chain that ran, in its order: of each filter `filter`, `digest`, `us` (microseconds in its callbacks) and `outcome`.";
    Properties: "properties", "What filters set with `proxy_set_property`, by path.";
    RepliedBy: "replied_by", "The filter that answered, if one did.";
    Details: "details", "The details that it gave.";
    Error: "error", "The token of what went wrong.";
    ErrorDetails: "error_details", "The same, with the filter and more words.";
    ErrorCause: "error_cause", "The same in the words of the library below.";
}
