//! `telemetry:`: logs, traces, metrics and the access log.

use serde_json::{Value, json};

use crate::{
    access_log::Access,
    declare::{choice, section},
    log::Log,
    node::Node,
    plan::{self, B3, LogFormat, LogLevel},
    scalar::Text,
    traces::{Metrics, Otlp, Sampling, Trust},
};

section! {
    /// Logs, traces, metrics and the access log
    Telemetry {
        /// The proxy's own log, on standard error.
        log: Log = "{}",
        /// What traces and metrics call this proxy (`service.name`); absent: `OTEL_SERVICE_NAME`, or `sluice`.
        service: Option<Text>,
        /// Where traces are sent, and the access log if it goes that way; absent: `OTEL_EXPORTER_OTLP_ENDPOINT`, or nowhere.
        otlp: Option<Otlp>,
        /// Where metrics are sent; absent: `OTEL_EXPORTER_OTLP_ENDPOINT`, or nowhere.
        metrics: Option<Metrics>,
        /// Which requests are traced; absent: as `OTEL_TRACES_SAMPLER` says, or all.
        sampling: Option<Sampling>,
        /// Whose `traceparent` is taken over, with its decision; that of others is only linked to.
        trust: Trust = "private",
        /// B3 beside `traceparent`, read and written; absent: as `OTEL_PROPAGATORS` says, or `off`.
        b3: Option<B3>,
        /// One line for each request: `off`, or where and how.
        access_log: Access = "{}",
    }
}

choice!(LogLevel {
    "trace" => LogLevel::Trace, "Every step.";
    "debug" => LogLevel::Debug, "What a developer wants to know.";
    "info" => LogLevel::Info, "What an operator wants to know.";
    "warn" => LogLevel::Warn, "What should not be so.";
    "error" => LogLevel::Error, "What failed.";
});

choice!(B3 {
    "off" => B3::Off, "Not at all.";
    "single" => B3::Single, "Written as the one field `b3`.";
    "multi" => B3::Multi, "Written as the fields `x-b3-*`.";
});

choice!(LogFormat {
    "human" => LogFormat::Human, "For a terminal.";
    "json" => LogFormat::Json, "One JSON object a line.";
});

/// Older YAML tools write `off` as `false`.
pub(crate) fn is_off(node: &Node) -> bool {
    matches!(node.text(), Some("off" | "false"))
}

/// Schema of `off`.
pub(crate) fn off() -> Value {
    json!({ "enum": ["off", false] })
}

impl Telemetry {
    pub(crate) fn plan(self) -> plan::Telemetry {
        plan::Telemetry {
            log: self.log.plan(),
            service: self.service.map(|service| service.0),
            otlp: self.otlp.map(Otlp::plan),
            metrics: self.metrics.map(Metrics::plan),
            sampling: self.sampling.map(Sampling::plan),
            trust: self.trust.plan(),
            b3: self.b3,
            access_log: self.access_log.0,
        }
    }
}
