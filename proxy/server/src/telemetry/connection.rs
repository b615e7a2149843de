//! The spans of one TCP connection: the connection itself, and each visit to a filter.

use std::sync::Arc;

use opentelemetry::trace::{SpanContext, SpanKind};
use sluice_host::{Exchange, TracePlace};

use super::{
    Tracer, Tracing,
    span::{self, Span},
    visits,
};
use crate::{access_log::Connection, outside::Machine};

/// Ends that are nobody's failure.
const WELL: [&str; 3] = ["closed_by_filter", "idle", "drained"];

/// A TCP connection in a trace, which begins with it: bytes say nothing of another one.
pub(crate) struct ConnectionTrace {
    tracer: Arc<Tracer>,
    place: SpanContext,
    /// It is written down: it was drawn, or it will be wanted if it fails.
    records: bool,
}

impl Tracing {
    /// Begins the span of a connection.
    pub(crate) fn connection(&self) -> Option<ConnectionTrace> {
        let tracer = self.0.clone()?;
        let mut place = tracer.place(None, false);
        if tracer.draws(place.trace_id()) {
            place = span::place(place.trace_id(), place.span_id(), true);
        }
        let records = place.is_sampled() || tracer.sampler.keeps_errors();
        Some(ConnectionTrace { tracer, place, records })
    }
}

impl ConnectionTrace {
    /// Whether it is written down.
    pub(crate) fn records(&self) -> bool {
        self.records
    }

    /// Where it stands.
    pub(crate) fn context(&self) -> &SpanContext {
        &self.place
    }

    /// Where its filters stand.
    pub(crate) fn place(&self) -> TracePlace {
        let trace = u128::from_be_bytes(self.place.trace_id().to_bytes());
        TracePlace::new(trace, visits::number(&self.place), self.place.is_sampled())
    }

    /// Everything is over.
    pub(crate) fn end(self, connection: &Connection, exchange: &Exchange) {
        let cause = connection.cause.as_ref();
        let failed = cause.filter(|cause| !WELL.contains(&cause.token));
        let wanted = self.place.is_sampled() || self.records && failed.is_some() && self.tracer.keeps();
        if !wanted {
            return;
        }
        self.tracer.visits(exchange, &self.place);
        let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let times = (connection.began_wall, Machine::wall_clock_now());
        let span = Span::new(connection.route.name.clone(), SpanKind::Server, &self.place, times)
            .with("network.transport", "tcp")
            .with_some("server.address", connection.listener.map(|at| at.ip().to_string()))
            .with_some("server.port", connection.listener.map(|at| i64::from(at.port())))
            .with_some("client.address", connection.client.map(|client| client.ip().to_string()))
            .with_some("network.peer.address", connection.client.map(|client| client.ip().to_string()))
            .with_some("network.peer.port", connection.client.map(|client| i64::from(client.port())))
            .with("sluice.route", connection.route.name.clone())
            .with("sluice.upstream", connection.route.upstream.clone())
            .with_some("sluice.upstream_address", connection.upstream.map(|at| at.to_string()))
            .with("sluice.bytes_received", number(connection.received))
            .with("sluice.bytes_sent", number(connection.sent))
            .with("sluice.generation", number(connection.generation));
        self.tracer.send(match (failed, cause) {
            (Some(cause), _) => span.failed(cause.token, cause.to_string()),
            (None, Some(cause)) => span.with("error.type", cause.token),
            (None, None) => span,
        });
    }
}
