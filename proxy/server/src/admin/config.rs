//! The configuration as it is meant, without what may be secret.
//!
//! Where a value came from, a file, the environment or the text itself, is not known any more. So everything that filters
//! read, and every value that goes to others, is shown as its length and a mark: the same text has the same mark for as
//! long as the process lives, and nobody can try out texts against it.

use std::{path::Path, sync::LazyLock, time::Duration};

use serde_json::{Map, Value, json};
use sluice_config::plan::{
    self, Action, AfterDrain, Balance, Capabilities, Filter, Grant, HostMatch, Isolation, Limits, Listener, OnError,
    PathMatch, Plan, Route, Servers, Source, Ungranted, Upstream, UpstreamHttp, UpstreamKind, UseFilter,
};
use sluice_host::Digest;

use crate::outside::fill_random;

/// What is shown of a plan.
pub(super) fn shown(plan: &Plan) -> Value {
    // Every field is named here and below, so that a new one must decide.
    let Plan { listeners, filters, upstreams, routes, services, admin, telemetry, reload, server, secret_files } = plan;
    let named = |name: &String, value: Value| (name.clone(), value);
    json!({
        "listeners": listeners.iter().map(|l| listener(plan, l)).collect::<Vec<_>>(),
        "filters": filters.iter().map(|f| named(&f.name, filter(f))).collect::<Map<_, _>>(),
        "upstreams": upstreams.iter().map(|u| named(&u.name, upstream(u))).collect::<Map<_, _>>(),
        "routes": routes.iter().map(|r| route(plan, r)).collect::<Vec<_>>(),
        "services": services.iter().filter_map(|i| filters.get(*i)).map(|f| &f.name).collect::<Vec<_>>(),
        "admin": admin.as_ref().map(|admin| json!({ "address": admin.address })),
        "telemetry": self::telemetry(telemetry),
        "reload": self::reload(reload),
        "server": self::server(server),
        "secret_files": secret_files.iter().map(|file| path(file)).collect::<Vec<_>>(),
    })
}

/// How much there is, and what tells it apart from another text.
fn hidden(text: &str) -> Value {
    static SALT: LazyLock<[u8; 32]> = LazyLock::new(|| {
        let mut salt = [0; 32];
        fill_random(&mut salt);
        salt
    });
    let mark = Digest::of(&[&*SALT, text.as_bytes()].concat());
    json!({ "hidden_bytes": text.len(), "mark": mark.short() })
}

fn hidden_values<'a>(values: impl IntoIterator<Item = (&'a String, &'a String)>) -> Value {
    Value::Object(values.into_iter().map(|(name, value)| (name.clone(), hidden(value))).collect())
}

fn listener(plan: &Plan, listener: &Listener) -> Value {
    let Listener { address, tls, h2c, tcp, at: _ } = listener;
    let tcp = tcp.as_ref().map(|tcp| {
        let plan::Tcp { upstream, filters, properties, idle } = tcp;
        json!({
            "upstream": upstream_name(plan, *upstream),
            "filters": chain(plan, filters),
            "properties": hidden_values(properties),
            "idle": time(*idle),
        })
    });
    let tls = tls.as_ref().map(|plan::ListenerTls { cert, key }| json!({ "cert": path(cert), "key": path(key) }));
    json!({ "address": address, "tls": tls, "h2c": h2c, "tcp": tcp })
}

fn filter(filter: &Filter) -> Value {
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

pub(super) fn isolation(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::Shared => "shared",
        Isolation::Request => "request",
    }
}

pub(super) fn on_error(on_error: OnError) -> &'static str {
    match on_error {
        OnError::FailClosed => "fail_closed",
        OnError::FailOpen => "fail_open",
    }
}

pub(super) fn limits(limits: &Limits) -> Value {
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

pub(super) fn capabilities(capabilities: &Capabilities) -> Value {
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

fn upstream(upstream: &Upstream) -> Value {
    let Upstream { name: _, kind, at: _ } = upstream;
    let UpstreamKind::Servers(servers) = kind else { return json!({ "builtin": "echo" }) };
    let Servers { endpoints, balance, tls, http, timeouts } = servers;
    let plan::Timeouts { connect, read, write, idle } = timeouts;
    let endpoint = |endpoint: &plan::Endpoint| {
        let plan::Endpoint { host, port, weight } = endpoint;
        json!({ "host": host, "port": port, "weight": weight })
    };
    let tls = tls.as_ref().map(
        |plan::UpstreamTls { sni, ca, verify }| json!({ "sni": sni, "ca": ca.as_deref().map(path), "verify": verify }),
    );
    json!({
        "endpoints": endpoints.iter().map(endpoint).collect::<Vec<_>>(),
        "balance": match balance {
            Balance::RoundRobin => "round_robin",
            Balance::Random => "random",
        },
        "tls": tls,
        "http": match http {
            UpstreamHttp::H1 => "h1",
            UpstreamHttp::H2 => "h2",
            UpstreamHttp::Auto => "auto",
        },
        "timeouts": { "connect": time(*connect), "read": time(*read), "write": time(*write), "idle": time(*idle) },
    })
}

fn route(plan: &Plan, route: &Route) -> Value {
    let Route { name: _, matcher, filters, properties, action, at: _ } = route;
    let plan::Match { host, path, methods, headers } = matcher;
    let header =
        |(name, value): &(String, Option<String>)| (name.clone(), value.as_deref().map_or(Value::Null, hidden));
    json!({
        "name": route.shown_name(),
        "match": {
            "host": match host {
                HostMatch::Any => json!(null),
                HostMatch::Exact(host) => json!(host),
                HostMatch::Wildcard(suffix) => json!(format!("*{suffix}")),
            },
            "path": match path {
                PathMatch::Exact(path) => json!({ "exact": path }),
                PathMatch::Prefix(path) => json!({ "prefix": path }),
                PathMatch::Regex(regex) => json!({ "regex": regex }),
            },
            "methods": methods,
            "headers": headers.iter().map(header).collect::<Map<_, _>>(),
        },
        "filters": chain(plan, filters),
        "properties": hidden_values(properties),
        "action": match action {
            Action::Upstream(index) => json!({ "upstream": upstream_name(plan, *index) }),
            Action::Respond(plan::DirectResponse { status, headers, body }) => json!({ "respond": {
                "status": status,
                "headers": headers.iter().map(|(name, value)| json!([name, hidden(value)])).collect::<Vec<_>>(),
                "body": hidden(body),
            } }),
        },
    })
}

fn chain(plan: &Plan, filters: &[UseFilter]) -> Value {
    let link = |link: &UseFilter| {
        let UseFilter { filter, config } = link;
        let name = plan.filters.get(*filter).map(|filter| &filter.name);
        json!({ "filter": name, "config": config.as_deref().map(hidden) })
    };
    filters.iter().map(link).collect()
}

fn upstream_name(plan: &Plan, index: usize) -> Option<&String> {
    plan.upstreams.get(index).map(|upstream| &upstream.name)
}

fn telemetry(telemetry: &plan::Telemetry) -> Value {
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

fn reload(reload: &plan::Reload) -> Value {
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

fn server(server: &plan::Server) -> Value {
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

fn time(time: Duration) -> String {
    // As the file writes it, without blanks.
    humantime::format_duration(time).to_string().replace(' ', "")
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use sluice_config::{Memory, parse};

    use super::*;

    #[test]
    fn nothing_that_filters_read_or_others_are_sent_is_shown() {
        let world = Memory::new().with_env("KEY", "s3cret-env").with_file("/etc/s/key", "s3cret-file");
        let text = r#"
listeners: [{ address: ":1" }, { address: ":2", tcp: { upstream: u, filters: [{ use: f, config: s3cret-tcp }], properties: { p: s3cret-p } } }]
filters:
  f: { source: { path: f.wasm }, config: { key: "${KEY}" }, vm_config: { file: s/key }, env: { TOKEN: "${KEY}" } }
  g: { source: { path: g.wasm }, config: { file: s/key } }
upstreams: { u: { endpoints: ["a:1"] } }
routes:
  - match: { path: /a, headers: { x-key: s3cret-match } }
    filters: [{ use: f, config: s3cret-route }]
    properties: { p: s3cret-p }
    upstream: u
  - respond: { status: 200, headers: { x-a: s3cret-header }, body: s3cret-body }
telemetry:
  otlp: { endpoint: "http://user:s3cret-url@collector:4317" }
  metrics: { endpoint: "http://user:s3cret-url@collector:4317", headers: { x-key: s3cret-field } }
"#;
        let plan = parse(sluice_config::Source { text, name: "s.yaml", dir: Path::new("/etc") }, &world);
        let plan = plan.unwrap_or_else(|errors| panic!("{errors}"));
        let value = shown(&plan);
        let shown = value.to_string();
        assert!(!shown.contains("s3cret"), "{shown}");
        let config = |name: &str| value["filters"][name]["config"].clone();
        assert_eq!(config("g"), value["filters"]["f"]["vm_config"], "the same text has the same mark");
        assert_ne!(config("g")["mark"], config("f")["mark"]);
        assert_eq!(config("g")["hidden_bytes"], 11);
        assert_eq!(value["filters"]["f"]["limits"]["cpu_per_call"], "10ms");
        assert!(!shown.contains(&Digest::of(b"s3cret-file").short()), "nobody can try texts out");
    }
}
