//! `telemetry:`: logs, traces and the access log.

use serde_json::{Value, json};

use crate::{
    access_log::Access,
    declare::{choice, section},
    log::Log,
    net::Url,
    node::Node,
    plan::{self, LogFormat, LogLevel, OtlpProtocol},
    scalar::Share,
};

section! {
    /// Logs, traces and the access log
    Telemetry {
        /// The proxy's own log, on standard error.
        log: Log = "{}",
        /// Where traces and metrics are sent; nowhere when absent.
        otlp: Option<Otlp>,
        /// Share of the requests that are traced.
        sampling: Share = "1.0",
        /// One line for each request: `off`, or where and how.
        access_log: Access = "{}",
    }
}

section! {
    /// Where traces and metrics are sent
    Otlp {
        /// URL of the collector.
        endpoint: Url,
        /// How OTLP travels.
        protocol: OtlpProtocol = "grpc",
    }
}

choice!(LogLevel {
    "trace" => LogLevel::Trace, "Every step.";
    "debug" => LogLevel::Debug, "What a developer wants to know.";
    "info" => LogLevel::Info, "What an operator wants to know.";
    "warn" => LogLevel::Warn, "What should not be so.";
    "error" => LogLevel::Error, "What failed.";
});

choice!(LogFormat {
    "human" => LogFormat::Human, "For a terminal.";
    "json" => LogFormat::Json, "One JSON object a line.";
});

choice!(OtlpProtocol {
    "grpc" => OtlpProtocol::Grpc, "gRPC.";
    "http" => OtlpProtocol::Http, "HTTP with protobuf.";
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
            otlp: self.otlp.map(|otlp| plan::Otlp { endpoint: otlp.endpoint.0, protocol: otlp.protocol }),
            sampling: self.sampling.0,
            access_log: self.access_log.0,
        }
    }
}
