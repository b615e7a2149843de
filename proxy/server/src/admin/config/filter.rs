//! Filters as they are configured.

use serde_json::{Value, json};
use sluice_config::plan::{self, Capabilities, Filter, Grant, Isolation, Limits, OnError, Source, Ungranted};

use super::{hidden, hidden_values, path, time};

pub(super) fn filter(filter: &Filter) -> Value {
    let Filter {
        name: _,
        source,
        digest,
        root_id,
        vm_id,
        config,
        vm_config,
        env,
        isolation,
        on_error,
        on_headers_stop_iteration,
        limits,
        quarantine,
        capabilities,
        at: _,
    } = filter;
    let plan::Quarantine { crashes, window, percent, period, max_period } = quarantine;
    json!({
        "source": match source {
            Source::Path(file) => json!({ "path": path(file) }),
            Source::Build(folder) => json!({ "build": path(folder) }),
        },
        "digest": digest.as_ref().map(|digest| format!("sha256:{digest}")),
        "root_id": root_id,
        "vm_id": vm_id,
        "config": hidden(config),
        "vm_config": hidden(vm_config),
        "env": hidden_values(env),
        "isolation": self::isolation(*isolation),
        "on_error": self::on_error(*on_error),
        "on_headers_stop_iteration": on_headers_stop_iteration,
        "limits": self::limits(limits),
        "quarantine": {
            "crashes": crashes,
            "window": time(*window),
            "percent": percent,
            "period": time(*period),
            "max_period": time(*max_period),
        },
        "capabilities": self::capabilities(capabilities),
    })
}

pub(in crate::admin) fn isolation(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::Shared => "shared",
        Isolation::Request => "request",
    }
}

pub(in crate::admin) fn on_error(on_error: OnError) -> &'static str {
    match on_error {
        OnError::FailClosed => "fail_closed",
        OnError::FailOpen => "fail_open",
    }
}

pub(in crate::admin) fn limits(limits: &Limits) -> Value {
    let Limits {
        cpu_per_call,
        cpu_per_request,
        cpu_start,
        cpu_share,
        cpu_warn,
        memory,
        memory_total,
        table_elements,
        body_buffer,
        header_bytes,
        header_fields,
        log_lines,
        log_bytes,
        log_rate,
        log_burst,
        callouts_in_flight,
        shared_data,
        queues,
        queue_items,
        queue_bytes,
        metrics,
    } = limits;
    json!({
        "cpu_per_call": time(*cpu_per_call),
        "cpu_per_request": time(*cpu_per_request),
        "cpu_start": time(*cpu_start),
        "cpu_share": cpu_share.map(time),
        "cpu_warn": time(*cpu_warn),
        "memory": memory,
        "memory_total": memory_total,
        "table_elements": table_elements,
        "body_buffer": body_buffer,
        "header_bytes": header_bytes,
        "header_fields": header_fields,
        "log_lines": log_lines,
        "log_bytes": log_bytes,
        "log_rate": log_rate,
        "log_burst": log_burst,
        "callouts_in_flight": callouts_in_flight,
        "shared_data": shared_data,
        "queues": queues,
        "queue_items": queue_items,
        "queue_bytes": queue_bytes,
        "metrics": metrics,
    })
}

pub(in crate::admin) fn capabilities(capabilities: &Capabilities) -> Value {
    let Capabilities { hostcalls, wasi, callouts, properties, foreign, shared_data, ungranted } = capabilities;
    let grant = |grant: &Grant| match grant {
        Grant::Default => json!("default"),
        Grant::All => json!("all"),
        Grant::Only(names) => json!(names),
    };
    json!({
        "hostcalls": grant(hostcalls),
        "wasi": grant(wasi),
        "callouts": grant(callouts),
        "properties": grant(properties),
        "foreign": grant(foreign),
        "shared_data": grant(shared_data),
        "ungranted": match ungranted {
            Ungranted::RefuseModule => "refuse_module",
            Ungranted::RefuseCall => "refuse_call",
        },
    })
}
