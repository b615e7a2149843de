//! `telemetry:`: logs, traces and the access log.

use serde_json::{Value, json};

use crate::{
    declare::{choice, section},
    net::Url,
    node::Node,
    plan::{self, LogFormat, LogLevel, OtlpProtocol},
    reader::Cx,
    scalar::{FilePath, Share},
    shape::Shape,
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
    /// The proxy's own log
    Log {
        /// What is logged.
        level: LogLevel = "info",
        /// How a line looks.
        format: LogFormat = "human",
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

section! {
    /// The access log
    AccessParts {
        /// `stdout`, or a file.
        path: FilePath = "stdout",
        /// How a line looks.
        format: LogFormat = "json",
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

/// `off`, or where and how.
pub(crate) struct Access(Option<plan::AccessLog>);

impl Shape for Access {
    fn title() -> String {
        "`off`, or `{ path, format }`".into()
    }
    fn schema() -> Value {
        json!({ "anyOf": [off(), AccessParts::schema()] })
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if is_off(node) {
            return Some(Self(None));
        }
        if let Some(text) = node.text() {
            let help = cx.similar(text, &["off"]).unwrap_or_else(|| "write `{ path: stdout }`".to_owned());
            return cx.mismatch(node, &Self::title(), &help);
        }
        let stdout = node.get("path").is_none_or(|path| path.text() == Some("stdout"));
        let parts = AccessParts::read(node, cx)?;
        let path = (!stdout).then_some(parts.path.0);
        Some(Self(Some(plan::AccessLog { path, format: parts.format })))
    }
}

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
            log_level: self.log.level,
            log_format: self.log.format,
            otlp: self.otlp.map(|otlp| plan::Otlp { endpoint: otlp.endpoint.0, protocol: otlp.protocol }),
            sampling: self.sampling.0,
            access_log: self.access_log.0,
        }
    }
}
