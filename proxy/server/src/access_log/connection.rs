//! What is known of a TCP connection.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use opentelemetry::trace::SpanContext;
use sluice_config::plan::Field;
use sluice_host::{Exchange, RouteFacts, TlsFacts};

use super::{
    line::{Known, Side},
    value::Value,
};
use crate::cause::Cause;

/// One TCP connection from its beginning to its end.
pub(crate) struct Connection {
    pub(crate) route: Arc<RouteFacts>,
    pub(crate) client: Option<SocketAddr>,
    /// Where it was taken.
    pub(crate) listener: Option<SocketAddr>,
    /// `None` where the listener does not speak it.
    pub(crate) tls: Option<Arc<TlsFacts>>,
    pub(crate) began: Instant,
    pub(crate) began_wall: Duration,
    pub(crate) generation: u64,
    /// Where it stands in a trace.
    pub(crate) place: Option<SpanContext>,
    pub(crate) upstream: Option<SocketAddr>,
    pub(crate) tries: usize,
    /// Bytes from the client and to the client that passed the filters.
    pub(crate) received: u64,
    pub(crate) sent: u64,
    /// What ended it before its peers did.
    pub(crate) cause: Option<Cause>,
}

/// A connection at its end.
pub(super) struct Ended<'a> {
    pub(super) connection: &'a Connection,
    pub(super) exchange: &'a Exchange,
}

impl Known for Ended<'_> {
    fn value(&self, field: Field) -> Value<'_> {
        let c = self.connection;
        let known = match field {
            Field::Time => Some(Value::Time(c.began_wall)),
            Field::TraceId => c.place.as_ref().map(|place| Value::display(place.trace_id())),
            Field::SpanId => c.place.as_ref().map(|place| Value::display(place.span_id())),
            Field::Client => c.client.map(Value::Address),
            Field::Protocol => Some(Value::Text("TCP".into())),
            Field::BytesReceived => Some(Value::Number(c.received)),
            Field::BytesSent => Some(Value::Number(c.sent)),
            Field::Duration => Some(Value::Micros(c.began.elapsed())),
            Field::FiltersDuration => Some(Value::Micros(self.exchange.ran().map(|ran| ran.used).sum())),
            Field::TlsVersion => c.tls.as_ref().map(|tls| Value::Text(tls.version.as_str().into())),
            Field::TlsServerName => {
                c.tls.as_ref().and_then(|tls| tls.server_name.as_deref()).map(|name| Value::Text(name.into()))
            }
            Field::Route => Some(Value::Text(c.route.name.as_str().into())),
            Field::Upstream => Some(Value::Text(c.route.upstream.as_str().into())),
            Field::UpstreamAddress => c.upstream.map(Value::Address),
            Field::UpstreamAttempts => Some(Value::Number(c.tries as u64)),
            Field::Generation => Some(Value::Number(c.generation)),
            Field::Filters => Some(Value::Chain(self.exchange)),
            Field::Properties => Some(Value::Properties(self.exchange)),
            Field::Error => c.cause.as_ref().map(|cause| Value::Text(cause.token.into())),
            Field::ErrorDetails => c.cause.as_ref().map(Value::display),
            _ => None,
        };
        known.unwrap_or(Value::Absent)
    }

    fn header(&self, _side: Side, _name: &str) -> Value<'_> {
        Value::Absent
    }

    fn place(&self) -> Option<SpanContext> {
        self.connection.place.clone()
    }
}
