//! `telemetry:`: logs, traces and the access log.

use serde_json::{Value, json};

use crate::{
    declare::{choice, section},
    node::Node,
    plan::{self, LogFormat, LogLevel},
    reader::Cx,
    scalar::{FilePath, Text},
    shape::Shape,
    traces::{Otlp, Sampling, Trust},
};

section! {
    /// Logs, traces and the access log
    Telemetry {
        /// The proxy's own log, on standard error.
        log: Log = "{}",
        /// What traces call this proxy (`service.name`); absent: `OTEL_SERVICE_NAME`, or `sluice`.
        service: Option<Text>,
        /// Where traces are sent; absent: `OTEL_EXPORTER_OTLP_ENDPOINT`, or nowhere.
        otlp: Option<Otlp>,
        /// Which requests are traced; absent: as `OTEL_TRACES_SAMPLER` says, or all.
        sampling: Option<Sampling>,
        /// Whose `traceparent` is taken over, with its decision; that of others is only linked to.
        trust: Trust = "private",
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
            service: self.service.map(|service| service.0),
            otlp: self.otlp.map(Otlp::plan),
            sampling: self.sampling.map(Sampling::plan),
            trust: self.trust.plan(),
            access_log: self.access_log.0,
        }
    }
}
