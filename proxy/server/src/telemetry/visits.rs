//! Spans of visits: each callback of each filter.

use opentelemetry::{
    SpanId,
    trace::{SpanContext, SpanKind},
};
use sluice_host::{Exchange, Note, TracePlace, Visit};

use super::{
    Tracer,
    span::{self, Span},
};

/// Outcomes that are not failures.
const WELL: [&str; 4] = ["continued", "paused", "replied", "closed"];

impl Tracer {
    /// A span for each visit of the exchange, below its own.
    pub(super) fn visits(&self, exchange: &Exchange, parent: &SpanContext) {
        let Some(visits) = exchange.visits() else { return };
        let place = TracePlace::new(u128::from_be_bytes(parent.trace_id().to_bytes()), number(parent), true);
        for visit in &visits.all {
            if let Some(link) = exchange.chain().links().get(visit.filter) {
                let span = SpanId::from(place.of_visit(visit.number));
                let span = span::place(parent.trace_id(), span, true);
                self.send(of(visit, link.filter.name(), link.filter.digest(), &span).below(parent));
            }
        }
    }
}

fn of(visit: &Visit, filter: &str, digest: sluice_host::Digest, place: &SpanContext) -> Span {
    let phase = visit.phase.name();
    let mut span = Span::new(format!("{filter} {phase}"), SpanKind::Internal, place, (visit.began, visit.ended))
        .with("sluice.filter", filter.to_owned())
        .with("sluice.phase", phase)
        .with("sluice.cpu_us", visit.cpu.as_secs_f64() * 1e6)
        .with("sluice.hostcalls", i64::from(visit.hostcalls))
        .with("sluice.outcome", visit.outcome)
        .with("sluice.digest", format!("sha256:{digest}"));
    for note in &visit.notes {
        span = match note.clone() {
            Note::Attribute(key, value) => span.with_own(key, value),
            Note::Event(name, at) => span.event(name, at),
        };
    }
    if WELL.contains(&visit.outcome) { span } else { span.failed(visit.outcome, "") }
}

/// The number that a span is for the host.
pub(super) fn number(place: &SpanContext) -> u64 {
    u64::from_be_bytes(place.span_id().to_bytes())
}
