//! Traces, metrics and log records by OpenTelemetry: off unless the configuration or the environment says where they go.
//!
//! Spans are made when what they tell of is over, from what was noted on the way: whether anybody will read them is
//! settled by then, and what nobody reads was never more than two numbers.

mod b3;
mod callout;
mod connection;
mod destination;
mod ending;
mod exporter;
mod propagate;
mod push;
mod queue;
mod records;
mod request;
mod sampling;
mod sender;
mod span;
mod swap;
mod transport;
mod visits;

use std::{
    net::IpAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use opentelemetry::{KeyValue, trace::SpanContext};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_sdk::{
    Resource,
    trace::{IdGenerator as _, RandomIdGenerator},
};
use sluice_config::{
    Position,
    plan::{self, IpNet},
};

pub(crate) use self::{
    callout::{CalloutTrace, Status as CalloutStatus, What as CalloutSpan},
    connection::ConnectionTrace,
    propagate::read as sender,
    push::{MetricsPush, Pushes},
    queue::Counts,
    records::{Collector, Records},
    request::Trace,
};
use self::{destination::Signal, propagate::Propagation, queue::Queue, sampling::Sampler, span::Span};
use crate::{access_log::AccessLog, load::RunError};

/// How long the end of the process waits for what is still to be sent.
const LAST: Duration = Duration::from_secs(2);

/// Where spans are made; cheap to clone. Empty when nothing is traced.
#[derive(Clone, Default)]
pub(crate) struct Tracing(Option<Arc<Tracer>>);

/// Makes spans.
struct Tracer {
    queue: Queue,
    sampler: Sampler,
    ids: RandomIdGenerator,
    propagation: Propagation,
    /// Peers whose trace context is taken over.
    trust: Vec<IpNet>,
    began: Instant,
    /// What the exporter's connections live on.
    _runtime: tokio::runtime::Runtime,
}

impl Tracing {
    /// Begins to send spans to where the configuration says, or else `OTEL_EXPORTER_OTLP_ENDPOINT`.
    ///
    /// # Errors
    /// [`RunError::Setup`] for an address that is none, and when the system gives no thread.
    pub(crate) fn start(telemetry: &plan::Telemetry, file: &Path) -> Result<Self, RunError> {
        let fail = |what: String| RunError::setup(file, Position::default(), format!("telemetry.otlp: {what}"));
        let destination = destination::destination(Signal::Traces, telemetry.otlp.as_ref()).map_err(fail)?;
        let Some(destination) = destination else { return Ok(Self::default()) };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("sluice-telemetry")
            .enable_all()
            .build()
            .map_err(|e| fail(e.to_string()))?;
        let queue = Queue::start(&destination, runtime.handle(), &resource(telemetry)).map_err(fail)?;
        tracing::info!("traces go to {destination}");
        Ok(Self(Some(Arc::new(Tracer {
            queue,
            sampler: Sampler::new(telemetry.sampling),
            ids: RandomIdGenerator::default(),
            propagation: Propagation::new(telemetry.b3),
            trust: telemetry.trust.clone(),
            began: Instant::now(),
            _runtime: runtime,
        }))))
    }

    /// What became of spans; `None` when nothing is traced.
    pub(crate) fn counts(&self) -> Option<&Counts> {
        self.0.as_ref().map(|tracer| tracer.queue.counts())
    }

    /// Sends what is left, for two seconds at most. Only the first call does something.
    pub(crate) fn end(&self) {
        if let Some(tracer) = &self.0 {
            tracer.queue.end(LAST);
        }
    }
}

impl Tracer {
    /// The place of a new span, in a trace or at the beginning of one.
    fn place(&self, parent: Option<&SpanContext>, sampled: bool) -> SpanContext {
        let trace = parent.map_or_else(|| self.ids.new_trace_id(), SpanContext::trace_id);
        span::place(trace, self.ids.new_span_id(), sampled)
    }

    /// Whether what begins here is traced. Only the clock of a limit is read, and only where there is one.
    fn draws(&self, trace: opentelemetry::TraceId) -> bool {
        self.sampler.draws(trace) && self.sampler.has_room(|| self.began.elapsed())
    }

    /// Whether what has failed is traced though it was not drawn.
    fn keeps(&self) -> bool {
        self.sampler.keeps_errors() && self.sampler.has_room(|| self.began.elapsed())
    }

    fn trusts(&self, peer: Option<IpAddr>) -> bool {
        peer.is_some_and(|peer| {
            let peer = peer.to_canonical();
            self.trust.iter().any(|network| network.contains(&peer))
        })
    }

    fn send(&self, span: Span) {
        self.queue.put(span.into_data());
    }
}

/// Who sends.
fn resource(telemetry: &plan::Telemetry) -> Resource {
    let mut resource = Resource::builder();
    match &telemetry.service {
        Some(service) => resource = resource.with_service_name(service.clone()),
        None if std::env::var_os("OTEL_SERVICE_NAME").is_none() => resource = resource.with_service_name("sluice"),
        None => {}
    }
    let more = [
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("process.pid", i64::from(std::process::id())),
    ];
    resource.with_attributes(more).build()
}

/// What sends.
fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "sluice".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

/// All that is sent, at the end of the process.
#[derive(Clone)]
pub(crate) struct Exports {
    pub(crate) tracing: Tracing,
    pub(crate) metrics: MetricsPush,
    pub(crate) log: AccessLog,
}

impl Exports {
    /// Writes and sends what is left, for three seconds at most.
    pub(crate) fn end(&self) {
        self.log.lines().flush();
        let until = Instant::now() + LAST;
        // All of them beside each other.
        self.metrics.tell();
        self.log.tell();
        self.tracing.end();
        self.metrics.wait(until);
        self.log.wait(until);
    }
}
