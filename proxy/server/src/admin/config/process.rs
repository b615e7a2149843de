//! What concerns the process as a whole: telemetry, reload, sizes.

use serde_json::{Map, Value, json};
use sluice_config::plan::{self, AfterDrain};

use super::{hidden, hidden_values, path, time};

pub(super) fn telemetry(telemetry: &plan::Telemetry) -> Value {
    let plan::Telemetry { log, service, otlp, metrics, sampling, trust, b3, access_log } = telemetry;
    let word = |word: &dyn std::fmt::Debug| format!("{word:?}").to_lowercase();
    let plan::Log { level, format, filters, modules } = log;
    json!({
        "log": {
            "level": level.name(),
            "format": word(format),
            "filters": filters.iter().map(|(name, level)| (name.clone(), level.name().into())).collect::<Map<_, _>>(),
            "modules": modules.iter().map(|(m, level)| (m.name().to_owned(), level.name().into())).collect::<Map<_, _>>(),
        },
        "otlp": otlp.as_ref().map(self::otlp),
        "metrics": metrics.as_ref().map(|plan::Metrics { otlp, interval }| {
            let mut shown = self::otlp(otlp);
            shown["interval"] = interval.map(time).into();
            shown
        }),
        "service": service,
        "sampling": sampling.map(|plan::Sampling { ratio, per_second, errors }| {
            json!({ "ratio": ratio, "per_second": per_second, "errors": errors })
        }),
        "trust": trust.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "b3": b3.map(plan::B3::name),
        "access_log": access_log.as_ref().map(self::access_log),
    })
}

fn otlp(otlp: &plan::Otlp) -> Value {
    let plan::Otlp { endpoint, protocol, headers, timeout, compression, ca } = otlp;
    json!({
        // A URL can hold a password or a key.
        "endpoint": hidden(endpoint),
        "protocol": match protocol {
            plan::OtlpProtocol::Grpc => "grpc",
            plan::OtlpProtocol::Http => "http",
        },
        "headers": hidden_values(headers),
        "timeout": time(*timeout),
        "compression": match compression {
            plan::OtlpCompression::None => "none",
            plan::OtlpCompression::Gzip => "gzip",
        },
        "ca": ca.as_deref().map(path),
    })
}

fn access_log(log: &plan::AccessLog) -> Value {
    let plan::AccessLog { to, path, format, redact: plan::Redact { query, headers }, at: _ } = log;
    json!({
        "to": match to {
            plan::AccessTo::Path => "path",
            plan::AccessTo::Otlp => "otlp",
        },
        "path": path.as_deref().map(self::path),
        "format": match format {
            plan::AccessFormat::Json => "json",
            plan::AccessFormat::Line { text, .. } => text,
        },
        "redact": { "query": query, "headers": headers },
    })
}

pub(super) fn reload(reload: &plan::Reload) -> Value {
    let plan::Reload { watch, debounce, poll, drain, after_drain, keep, rollback, probe } = reload;
    let plan::Rollback { crashes, percent, window } = rollback;
    json!({
        "watch": watch,
        "debounce": time(*debounce),
        "poll": time(*poll),
        "drain": time(*drain),
        "after_drain": match after_drain {
            AfterDrain::Finish => "finish",
            AfterDrain::Cut => "cut",
        },
        "keep": keep,
        "rollback": { "crashes": crashes, "percent": percent, "window": time(*window) },
        "probe": probe.iter().map(|file| path(file)).collect::<Vec<_>>(),
    })
}

pub(super) fn server(server: &plan::Server) -> Value {
    let plan::Server {
        workers,
        keepalive,
        max_header_bytes,
        max_headers,
        shutdown_grace,
        read_timeout,
        guests,
        shared,
        cache,
    } = server;
    let plan::Guests { max, stack } = guests;
    let plan::Shared { data, queues, queue_bytes, metrics } = shared;
    json!({
        "workers": workers,
        "keepalive": time(*keepalive),
        "max_header_bytes": max_header_bytes,
        "max_headers": max_headers,
        "shutdown_grace": time(*shutdown_grace),
        "read_timeout": time(*read_timeout),
        "guests": { "max": max, "stack": stack },
        "shared": { "data": data, "queues": queues, "queue_bytes": queue_bytes, "metrics": metrics },
        "cache": cache.as_ref().map(|plan::Cache { path, key, max }| {
            json!({ "path": path.as_deref().map(self::path), "key": key.as_deref().map(self::path), "max": max })
        }),
    })
}
