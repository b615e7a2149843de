//! Spans of callouts: what a filter asks of others by itself, below the callback that asked.

use std::{sync::Arc, time::Duration};

use opentelemetry::{
    SpanId, TraceId,
    trace::{SpanContext, SpanKind},
};
use sluice_host::{FieldList, TracePlace};

use super::{
    Tracer, Tracing,
    propagate::{self, TRACEPARENT},
    span::{self, Span},
};
use crate::outside::Machine;

/// A callout on its way.
pub(crate) struct CalloutTrace {
    tracer: Arc<Tracer>,
    place: SpanContext,
    /// Nothing when the filter calls by itself and not for a request.
    parent: Option<SpanContext>,
    began: Duration,
    what: What,
}

/// What a callout is.
pub(crate) struct What {
    /// The method, or the gRPC method with its service.
    pub(crate) name: String,
    pub(crate) filter: Arc<str>,
    pub(crate) upstream: String,
}

/// How the other side answered.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Status {
    Http(u16),
    Grpc(u32),
}

impl Tracing {
    /// Begins a callout and tells its server of it, unless the filter said something else there by itself. `None` when
    /// nobody will read it. Calls of filters that serve no request are drawn like requests.
    pub(crate) fn callout(
        &self,
        at: Option<TracePlace>,
        fields: &mut FieldList,
        what: impl FnOnce() -> What,
    ) -> Option<CalloutTrace> {
        let tracer = self.0.clone()?;
        let of = |at: TracePlace, span: u64| span::place(TraceId::from(at.trace), SpanId::from(span), at.sampled);
        let parent = at.map(|at| of(at, at.current()));
        let place = tracer.place(parent.as_ref(), true);
        if !parent.as_ref().map_or_else(|| tracer.draws(place.trace_id()), SpanContext::is_sampled) {
            return None;
        }
        // What the host puts there for the exchange.
        let hosts = at.map(|at| propagate::traceparent(&of(at, at.span)));
        match fields.iter_mut().find(|(name, _)| *name == TRACEPARENT) {
            Some((_, value)) if Some(&*value) == hosts.as_ref() => *value = propagate::traceparent(&place),
            Some(_) => {}
            None => fields.push((TRACEPARENT, propagate::traceparent(&place))),
        }
        Some(CalloutTrace { tracer, place, parent, began: Machine::wall_clock_now(), what: what() })
    }
}

impl CalloutTrace {
    /// It is over; `error` says in words what failed.
    pub(crate) fn end(self, status: Option<Status>, error: Option<&str>) {
        let What { name, filter, upstream } = self.what;
        let mut span = Span::new(name, SpanKind::Client, &self.place, (self.began, Machine::wall_clock_now()))
            .with("sluice.filter", filter)
            .with_text("sluice.upstream", upstream.as_bytes());
        if let Some(parent) = &self.parent {
            span = span.below(parent);
        }
        let failed = match status {
            Some(Status::Http(status)) => {
                span = span.with("http.response.status_code", i64::from(status));
                (status >= 400).then(|| status.to_string())
            }
            Some(Status::Grpc(status)) => {
                span = span.with("rpc.system.name", "grpc").with("rpc.response.status_code", status.to_string());
                (status != 0).then(|| status.to_string())
            }
            None => error.map(|_| "callout_failed".to_owned()),
        };
        let words = || span::text(error.unwrap_or_default().as_bytes()).to_string();
        self.tracer.send(match failed {
            Some(token) => span.failed(token, words()),
            None => span,
        });
    }
}
