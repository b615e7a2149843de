//! Spans of callouts: what a filter asks of others by itself, below the callback that asked.

use std::{sync::Arc, time::Duration};

use opentelemetry::{
    SpanId, TraceId,
    trace::{SpanContext, SpanKind},
};
use sluice_host::{FieldList, TracePlace};

use super::{
    Tracer, Tracing,
    span::{self, Span},
};
use crate::outside::Machine;

/// A callout on its way. One that is dropped before its end was cancelled.
pub(crate) struct CalloutTrace {
    tracer: Arc<Tracer>,
    place: SpanContext,
    /// Nothing when the filter calls by itself and not for a request.
    parent: Option<SpanContext>,
    began: Duration,
    what: What,
    /// Who was asked.
    server: Option<(String, u16)>,
    ended: bool,
}

/// What a callout is.
#[derive(Clone)]
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
        // What the host puts there for the exchange.
        let hosts = at.map(|at| of(at, at.span));
        let place = tracer.place(parent.as_ref(), true);
        if !parent.as_ref().map_or_else(|| tracer.draws(place.trace_id()), SpanContext::is_sampled) {
            if let Some(hosts) = &hosts {
                tracer.propagation.tell(fields, Some(hosts), hosts);
            }
            return None;
        }
        tracer.propagation.tell(fields, hosts.as_ref(), &place);
        let (began, server) = (Machine::wall_clock_now(), None);
        Some(CalloutTrace { tracer, place, parent, began, what: what(), server, ended: false })
    }
}

impl CalloutTrace {
    /// This server is asked.
    pub(crate) fn asks(&mut self, (host, port): (&str, u16)) {
        self.server = Some((host.to_owned(), port));
    }

    /// It is over; `error` says in words what failed.
    pub(crate) fn end(mut self, status: Option<Status>, error: Option<&str>) {
        let mut span = self.span();
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

    /// What is known in any case. It is told only once.
    fn span(&mut self) -> Span {
        self.ended = true;
        let What { name, filter, upstream } = self.what.clone();
        let mut span = Span::new(name, SpanKind::Client, &self.place, (self.began, Machine::wall_clock_now()))
            .with("sluice.filter", filter)
            .with_text("sluice.upstream", upstream.as_bytes());
        if let Some((host, port)) = self.server.take() {
            span = span.with("server.address", host).with("server.port", i64::from(port));
        }
        match &self.parent {
            Some(parent) => span.below(parent),
            None => span,
        }
    }
}

impl Drop for CalloutTrace {
    fn drop(&mut self) {
        if !self.ended {
            let span = self.span().failed("cancelled", "");
            self.tracer.send(span);
        }
    }
}
