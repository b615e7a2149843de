//! Good files and the plans that they mean.

use std::{path::PathBuf, time::Duration};

use super::{BASE, Memory, problems_after_base, read, read_in};
use crate::plan::*;

fn filter(text: &str) -> Filter {
    let text = format!("{BASE}filters: {{ f: {{ source: {{ path: f.wasm }}, {text} }} }}\n");
    read(&text).unwrap_or_else(|errors| panic!("{errors}")).filters.remove(0)
}

#[test]
fn defaults_are_those_of_the_reference() {
    let plan = read(BASE).unwrap();
    assert_eq!(plan.server.keepalive, Duration::from_secs(60));
    assert_eq!(plan.server.max_header_bytes, 64 << 10);
    assert_eq!(plan.server.max_headers, 128);
    assert_eq!(plan.server.workers, 0);
    assert_eq!(
        plan.reload,
        Reload {
            watch: true,
            debounce: Duration::from_millis(100),
            poll: Duration::from_secs(2),
            drain: Duration::from_secs(30),
            after_drain: AfterDrain::Finish,
            keep: 5,
            rollback: Rollback { crashes: 0, percent: 1, window: Duration::from_secs(60) },
            probe: Vec::new(),
        }
    );
    assert!(plan.admin.is_none());
    let log = plan.telemetry.access_log.as_ref().unwrap();
    assert_eq!((&log.path, &log.format), (&None, &AccessFormat::Json));
    assert!(log.redact.query.contains(&"*token*".to_owned()) && log.redact.headers.contains(&"cookie".to_owned()));
    assert_eq!(plan.telemetry.log, Log::default());
    assert_eq!(plan.telemetry.sampling, None);
    assert!(plan.telemetry.trust.iter().any(|network| network.to_string() == "10.0.0.0/8"));
    assert_eq!(plan.telemetry.otlp, None);
    let UpstreamKind::Servers(servers) = &plan.upstreams[0].kind else { panic!("{plan:?}") };
    assert_eq!(servers.timeouts.connect, Duration::from_secs(5));
    assert_eq!(servers.endpoints, [Endpoint { host: "127.0.0.1".into(), port: 9000, weight: 1 }]);
    assert_eq!(servers.http, UpstreamHttp::Auto);
    assert_eq!(plan.routes[0].matcher.path, PathMatch::Prefix("/".into()));
    assert_eq!(plan.routes[0].name, "/*");
    assert_eq!(plan.routes[0].at, Position { line: 3, column: 10 });
    let filter = filter("");
    assert_eq!(filter.limits.memory, 64 << 20);
    assert_eq!(filter.limits.cpu_per_call, Duration::from_millis(10));
    assert_eq!((filter.config.as_str(), filter.vm_id.as_str()), ("", ""));
    assert_eq!(filter.capabilities.callouts, Grant::Default);
}

#[test]
fn the_whole_of_the_design_parses() {
    let text = "\
listeners:
  - address: 127.0.0.1:8080
  - address: 127.0.0.1:8443
    tls: { cert: cert.pem, key: key.pem }
  - { address: ':8081', h2c: true }
filters:
  hello:
    source: { path: ../hello.wasm }
    root_id: \"\"
    config: { greeting: \"hi\" }
    vm_config: \"\"
    env: { LOG: debug }
    isolation: request
    on_error: fail_open
    limits: { cpu_per_call: 10ms, cpu_per_request: 50ms, cpu_start: 1s, memory: 64MiB, body_buffer: 1MiB }
    capabilities: { callouts: [auth], hostcalls: default, wasi: all, foreign: [] }
  auth: { source: { build: auth }, vm_id: shared }
  clock: { source: { build: clock } }
upstreams:
  app: { endpoints: [\"127.0.0.1:9000\"], balance: round_robin, timeouts: { connect: 1s, read: 30s } }
  auth: { endpoints: [\"[::1]:9000\", { address: \"Auth.Local:1\", weight: 3 }], tls: { sni: a.b, ca: ca.pem }, http: h2 }
  echo: { builtin: echo }
routes:
  - match: { host: \"*\", path_prefix: / }
    filters: [ hello, { use: auth, config: { scope: v1 } } ]
    properties: { \"tenant\": \"acme\", \"source.client_region\": \"BR\" }
    upstream: app
  - match: { host: \"*.Example.com\", path_regex: '/a[0-9]+$', methods: [GET], headers: { X-A: 1, x-b: \"*\" } }
    respond: { status: 404, headers: { x: y }, body: gone }
services: [clock]
admin: { address: 127.0.0.1:9901 }
telemetry: { log: { level: info, format: human }, otlp: { endpoint: \"http://127.0.0.1:4317\", protocol: grpc }, sampling: 0.25, access_log: { path: access.log, format: human } }
reload: { watch: true, debounce: 100ms, drain: 30s }
";
    let plan = read(text).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(plan.listeners[1].tls.as_ref().unwrap().cert, PathBuf::from("/etc/sluice/cert.pem"));
    assert_eq!(plan.listeners[2].address.to_string(), "0.0.0.0:8081");
    assert!(plan.listeners[2].h2c);
    assert_eq!(plan.filters[0].source, Source::Path("/etc/sluice/../hello.wasm".into()));
    assert_eq!(plan.filters[1].source, Source::Build("/etc/sluice/auth".into()));
    assert_eq!(plan.filters[0].at, Position { line: 7, column: 3 });
    assert_eq!(plan.filters[0].isolation, Isolation::Request);
    assert_eq!(plan.filters[0].on_error, OnError::FailOpen);
    assert_eq!(plan.filters[0].capabilities.callouts, Grant::Only(vec!["auth".into()]));
    assert_eq!(plan.filters[0].capabilities.foreign, Grant::Only(vec![]));
    assert_eq!(plan.filters[0].capabilities.wasi, Grant::All);
    let UpstreamKind::Servers(auth) = &plan.upstreams[1].kind else { panic!("{plan:?}") };
    assert_eq!(auth.endpoints[0].host, "::1");
    assert_eq!(auth.endpoints[1], Endpoint { host: "auth.local".into(), port: 1, weight: 3 });
    assert!(auth.tls.as_ref().unwrap().verify);
    assert_eq!(
        plan.routes[0].filters,
        [UseFilter { filter: 0, config: None }, UseFilter { filter: 1, config: Some(r#"{"scope":"v1"}"#.into()) },]
    );
    let second = &plan.routes[1];
    assert_eq!(second.matcher.host, HostMatch::Wildcard(".example.com".into()));
    assert_eq!(second.matcher.path, PathMatch::Regex("/a[0-9]+$".into()));
    assert_eq!(second.matcher.headers, [("x-a".into(), Some("1".into())), ("x-b".into(), None)]);
    assert_eq!(second.name, "GET *.example.com~/a[0-9]+$ x-a=1 x-b=*");
    let Action::Respond(answer) = &second.action else { panic!("{plan:?}") };
    assert_eq!((answer.status, answer.body.as_str()), (404, "gone"));
    assert_eq!(plan.services, [2]);
    assert_eq!(plan.telemetry.access_log.unwrap().path, Some("/etc/sluice/access.log".into()));
    assert_eq!(plan.telemetry.sampling, Some(Sampling { ratio: 0.25, per_second: None, errors: true }));
}

#[test]
fn metrics_and_the_access_log_go_to_a_collector() {
    let text = format!(
        "{BASE}telemetry: {{ b3: multi, otlp: {{ endpoint: \"https://c:4317\", ca: ca.pem }}, access_log: {{ to: otlp }}, \
         metrics: {{ endpoint: \"http://m:4318\", protocol: http, headers: {{ X-Key: k }}, interval: 15s }} }}\n"
    );
    let telemetry = read(&text).unwrap_or_else(|errors| panic!("{errors}")).telemetry;
    assert_eq!(telemetry.b3, Some(B3::Multi));
    assert_eq!(telemetry.otlp.unwrap().ca, Some("/etc/sluice/ca.pem".into()));
    assert_eq!(telemetry.access_log.unwrap().to, AccessTo::Otlp);
    let metrics = telemetry.metrics.unwrap();
    assert_eq!((metrics.otlp.endpoint.as_str(), metrics.otlp.headers["x-key"].as_str()), ("http://m:4318", "k"));
    assert_eq!((metrics.otlp.protocol, metrics.interval), (OtlpProtocol::Http, Some(Duration::from_secs(15))));
    let silent = read(&format!("{BASE}telemetry: {{ metrics: {{ endpoint: \"http://m:4318\" }} }}\n")).unwrap();
    assert_eq!(silent.telemetry.metrics.unwrap().interval, None);
}

#[test]
fn traces_have_a_place_a_share_and_those_who_are_believed() {
    let text = format!(
        "{BASE}telemetry: {{ service: edge, otlp: {{ endpoint: \"https://c:4318\", protocol: http, headers: {{ X-Key: k }}, timeout: 1s, compression: gzip }}, \
         sampling: {{ ratio: 0.1, per_second: 20, errors: false }}, trust: [10.1.0.0/16, \"::1\"] }}\n"
    );
    let telemetry = read(&text).unwrap_or_else(|errors| panic!("{errors}")).telemetry;
    let otlp = telemetry.otlp.unwrap();
    assert_eq!((otlp.protocol, otlp.compression), (OtlpProtocol::Http, OtlpCompression::Gzip));
    assert_eq!(otlp.headers["x-key"], "k");
    assert!(!format!("{otlp:?}").contains("x-key"));
    assert_eq!(telemetry.sampling, Some(Sampling { ratio: 0.1, per_second: Some(20), errors: false }));
    assert_eq!(telemetry.trust, ["10.1.0.0/16".parse().unwrap(), "::1/128".parse().unwrap()]);
    assert_eq!(telemetry.service.as_deref(), Some("edge"));
    assert_eq!((telemetry.metrics, telemetry.b3), (None, None));
    assert_eq!(read(&format!("{BASE}telemetry: {{ trust: none }}\n")).unwrap().telemetry.trust, []);
}

#[test]
fn payloads_keep_their_order_and_kind() {
    let cases = [
        (
            "config: { z: 1, a: [true, ~, 1.5, \"1\", 18446744073709551615], m: { b: x } }",
            r#"{"z":1,"a":[true,null,1.5,"1",18446744073709551615],"m":{"b":"x"}}"#,
        ),
        ("config: [1, 2]", "[1,2]"),
        ("config: 5", "5"),
        ("config: false", "false"),
        ("config: ~", ""),
        ("config: '{\"raw\": 1}'", "{\"raw\": 1}"),
        ("config: !!str 5", "5"),
        ("config: { file: { x: 1 } }", r#"{"file":{"x":1}}"#),
    ];
    for (text, json) in cases {
        assert_eq!(filter(text).config, json, "{text}");
    }
}

#[test]
fn a_block_of_text_passes_as_it_is() {
    let text =
        format!("{BASE}filters:\n  f:\n    source: {{ path: f }}\n    config: |\n      rule one\n      rule $two\n");
    assert_eq!(read(&text).unwrap().filters[0].config, "rule one\nrule $two\n");
}

#[test]
fn variables_expand_in_values_and_nowhere_else() {
    let world = Memory::new().with_env("N", "3").with_env("EMPTY", "").with_env("YAML", "{ a: 1 }");
    let text = format!(
        "{BASE}server: {{ workers: \"${{N}}\" }}\nreload: {{ drain: \"${{N}}s\", watch: \"${{W:-false}}\" }}\nadmin:\n  address: :${{N}}\n\
         filters: {{ f: {{ source: {{ path: f }}, config: {{ \"${{N}}\": [\"${{N}}\", \"$$5 $x a$\", \"$${{N}}\", \"${{EMPTY}}-${{EMPTY:-e}}\", \"${{YAML}}\"] }} }} }}\n"
    );
    let plan = read_in(&world, &text).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(plan.server.workers, 3);
    assert_eq!(plan.reload.drain, Duration::from_secs(3));
    assert!(!plan.reload.watch);
    assert_eq!(plan.filters[0].config, r#"{"${N}":["3","$5 $x a$","${N}","-e","{ a: 1 }"]}"#);
}

#[test]
fn units_mean_what_they_say() {
    let sizes = [("512B", 512), ("1KB", 1000), ("1KiB", 1024), ("2MB", 2_000_000), ("1GiB", 1 << 30)];
    for (text, bytes) in sizes {
        assert_eq!(filter(&format!("limits: {{ body_buffer: {text} }}")).limits.body_buffer, bytes);
    }
    for (text, ms) in [("7ms", 7), ("2s", 2_000), ("2m", 120_000), ("1h", 3_600_000)] {
        let limits = filter(&format!("limits: {{ cpu_start: {text} }}")).limits;
        assert_eq!(limits.cpu_start, Duration::from_millis(ms));
    }
}

#[test]
fn caps_are_read_and_have_their_ranges() {
    let limits =
        filter("limits: { memory_total: 1GiB, header_fields: 7, log_lines: 0, queue_items: 5, metrics: 3 }").limits;
    assert_eq!((limits.memory_total, limits.header_fields, limits.log_lines), (1 << 30, 7, 0));
    assert_eq!((limits.queue_items, limits.metrics, limits.shared_data), (5, 3, 16 << 20));
    let plan =
        read(&format!("{BASE}server: {{ guests: {{ max: 9, stack: 1MiB }}, shared: {{ queues: 2 }} }}\n")).unwrap();
    assert_eq!(plan.server.guests, Guests { max: 9, stack: 1 << 20 });
    assert_eq!((plan.server.shared.queues, plan.server.shared.metrics), (2, 4096));
    let problem = &problems_after_base("server: { guests: { stack: 1025KiB } }\n")[0];
    assert!(problem.ends_with("`1025KiB` is out of range (it takes a size from 64KiB to 1MiB)"), "{problem}");
}

#[test]
fn off_is_off() {
    let plan = read(&format!("{BASE}admin: off\ntelemetry: {{ access_log: false }}\nservices:\n")).unwrap();
    assert!(plan.admin.is_none() && plan.telemetry.access_log.is_none());
    let plan = read(&format!("{BASE}admin: {{}}\n")).unwrap();
    assert_eq!(plan.admin.unwrap().address.to_string(), "127.0.0.1:9901");
}

#[test]
fn aliases_repeat_a_value() {
    let text = format!(
        "{BASE}filters:\n  a: {{ source: {{ path: a }}, limits: &tight {{ memory: 1MiB }} }}\n  b: {{ source: {{ path: b }}, limits: *tight }}\n"
    );
    assert_eq!(read(&text).unwrap().filters[1].limits.memory, 1 << 20);
}

#[test]
fn digests_lose_their_prefix_and_case() {
    let digest = "AB".repeat(32);
    assert_eq!(filter(&format!("digest: \"sha256:{digest}\"")).digest, Some("ab".repeat(32)));
}

#[test]
fn a_slash_at_the_end_of_a_prefix_changes_nothing() {
    let text = "\
listeners: [{ address: :8080 }]
routes:
  - { match: { path_prefix: /api/ }, respond: {} }
  - { match: { path_prefix: // }, respond: {} }
";
    let plan = read(text).unwrap();
    assert_eq!(plan.routes[0].matcher.path, PathMatch::Prefix("/api".into()));
    assert_eq!(plan.routes[1].matcher.path, PathMatch::default());
}

#[test]
fn logs_have_levels_for_filters_and_parts_and_leave_out_what_is_named() {
    let text = "filters: { f: { source: { path: f.wasm } } }
telemetry:
  log: { level: warn, filters: { f: trace }, modules: { pingora: info, host: debug } }
  access_log: { format: '{status} {request.header.X-A}', redact: { query: [Token, 'x-*'], headers: [X-Key] } }
";
    let telemetry = read(&format!("{BASE}{text}")).unwrap_or_else(|errors| panic!("{errors}")).telemetry;
    let modules = vec![(LogModule::Pingora, LogLevel::Info), (LogModule::Host, LogLevel::Debug)];
    let filters = vec![("f".to_owned(), LogLevel::Trace)];
    assert_eq!(telemetry.log, Log { level: LogLevel::Warn, format: LogFormat::Human, filters, modules });
    let log = telemetry.access_log.unwrap();
    let header = Piece::RequestHeader("x-a".into());
    let pieces = vec![Piece::Field(Field::Status), Piece::Text(" ".into()), header];
    assert_eq!(log.format, AccessFormat::Line { text: "{status} {request.header.X-A}".into(), pieces });
    assert_eq!(log.redact, Redact { query: vec!["token".into(), "x-*".into()], headers: vec!["x-key".into()] });
    let with = |redact: &str| {
        let text = format!("{BASE}telemetry: {{ access_log: {{ redact: {{ query: {redact} }} }} }}\n");
        read(&text).unwrap().telemetry.access_log.unwrap().redact.query
    };
    assert_eq!((with("none"), with("all")), (vec![], vec!["*".to_owned()]));
}
