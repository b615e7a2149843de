//! Spans of what happens to what serves: one trace for each load, with its steps and each filter that is not as it was.
//! They are always made: there are few of them, and each is wanted.

use std::time::Duration;

use opentelemetry::trace::{SpanContext, SpanKind};

use super::{Tracer, Tracing, span::Span};
use crate::{
    outside::Machine,
    reload::{Cause, FilterChange, Stages, What},
};

impl Tracing {
    /// Makes the spans of an event that has just happened; `swap` is the one that it belongs to. Gives what a later event
    /// can be linked to: the drain of a generation to the swap that replaced it.
    pub(crate) fn event(&self, what: &What, swap: Option<SpanContext>) -> Option<SpanContext> {
        let tracer = self.0.as_ref()?;
        let now = Machine::wall_clock_now();
        let since = |took: f64| (now.saturating_sub(millis(took)), now);
        let place = tracer.place(None, true);
        let span = |name: &'static str, took: f64| {
            Span::new(name, SpanKind::Internal, &place, since(took)).linked(swap.clone())
        };
        match what {
            What::Swapped { generation, cause, filters, stages, in_flight } => {
                tracer.steps(&place, since(stages.total_ms), stages, filters);
                let name = if matches!(cause, Cause::Start) { "sluice.start" } else { "sluice.swap" };
                let span = caused(span(name, stages.total_ms), *generation, cause);
                tracer.send(span.with("sluice.requests_in_flight", count(*in_flight)));
                return Some(place);
            }
            What::Refused { generation, cause, error, total_ms } => {
                let span = caused(span("sluice.swap", *total_ms), *generation, cause);
                tracer.send(span.failed("refused", super::span::text(error.as_bytes()).to_string()));
            }
            What::Drained { generation, after_ms, requests } => {
                let span = span("sluice.drain", *after_ms).with("sluice.generation", number(*generation));
                tracer.send(span.with("sluice.requests_drained", count(*requests)));
            }
            What::Logging { generation, client, .. } => {
                let span = span("sluice.logging", 0.0).with("sluice.generation", number(*generation));
                tracer.send(span.with("client.address", client.clone()));
            }
            What::Drain { generation, client, on } => {
                let span = span("sluice.leave", 0.0).with("sluice.generation", number(*generation));
                tracer.send(span.with("client.address", client.clone()).with("sluice.on", *on));
            }
            What::DrainOver { generation, requests, cut } => {
                let span = span("sluice.drain_over", 0.0).with("sluice.generation", number(*generation));
                tracer.send(span.with("sluice.requests_left", count(*requests)).with("sluice.cut", *cut));
            }
        }
        None
    }
}

impl Tracer {
    /// The steps of a load: reading, then the filters beside each other, then the probes.
    fn steps(&self, load: &SpanContext, (began, now): (Duration, Duration), stages: &Stages, filters: &[FilterChange]) {
        let step = |name: &'static str, from: Duration, took: f64| {
            let place = self.place(Some(load), true);
            let times = (from, (from + millis(took)).min(now));
            (Span::new(name, SpanKind::Internal, &place, times).below(load), place, times.1)
        };
        let (span, _, read) = step("sluice.read", began, stages.read_ms);
        self.send(span);
        for change in filters {
            let (span, place, _) = step("sluice.filter.build", read, change.compile_ms + change.start_ms);
            let below = |name: &'static str, from: Duration, took: f64| {
                let times = (from, (from + millis(took)).min(now));
                self.send(Span::new(name, SpanKind::Internal, &self.place(Some(&place), true), times).below(&place));
                times.1
            };
            let compiled = below("sluice.filter.compile", read, change.compile_ms);
            below("sluice.filter.start", compiled, change.start_ms);
            self.send(
                span.with("sluice.filter", change.filter.clone())
                    .with_some("sluice.digest.before", change.before.clone())
                    .with_some("sluice.digest", change.after.clone()),
            );
        }
        if stages.probe_ms > 0.0 {
            self.send(step("sluice.probe", now.saturating_sub(millis(stages.probe_ms)), stages.probe_ms).0);
        }
    }
}

fn caused(span: Span, generation: u64, cause: &Cause) -> Span {
    let span = span.with("sluice.generation", number(generation)).with("sluice.cause", cause.name());
    match cause {
        Cause::Files { files } => span.with_text("sluice.files", files.join(",").as_bytes()),
        Cause::Admin { client } => span.with("client.address", client.clone()),
        Cause::Anew { filter, client }
        | Cause::Rollback { filter, client }
        | Cause::Disable { filter, client }
        | Cause::Enable { filter, client } => {
            span.with("sluice.filter", filter.clone()).with("client.address", client.clone())
        }
        Cause::Crashes { filter, crashes, requests } => span
            .with("sluice.filter", filter.clone())
            .with("sluice.crashes", number(*crashes))
            .with("sluice.requests", number(*requests)),
        Cause::Start | Cause::Signal => span,
    }
}

fn millis(ms: f64) -> Duration {
    Duration::from_secs_f64(ms.max(0.0) / 1e3)
}

fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
