//! What can be read: filters with their counts, the configuration without secrets, metrics, readiness.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Admin, exposition::Exposition, serving_version_1, swap_to};
use crate::{
    harness::{Proxy, chain_yaml},
    swap::version::{Version, put},
};

#[test]
fn filters_are_shown_with_what_they_are_and_what_they_cost() {
    let proxy = serving_version_1("limits: { memory_total: 64MiB }, on_error: fail_open");
    let admin = Admin::of(&proxy);
    let mut client = proxy.client();
    for _ in 0..5 {
        assert_eq!(client.request("GET /", &[], "").status(), 200);
    }
    let all = admin.get("/filters").json();
    assert_eq!((&all["generation"], all["filters"].as_array().unwrap().len()), (&1.into(), 1));
    let shown = admin.get("/filters/v").json();
    assert_eq!((&shown["name"], &shown["abi"]), (&"v".into(), &"0.2.1".into()));
    let file = fs::read(proxy.dir.path().join("v.wasm")).unwrap();
    assert_eq!(shown["size"], file.len());
    assert!(shown["digest"].as_str().unwrap().starts_with("sha256:") && shown["digest"].as_str().unwrap().len() == 71);
    assert_eq!((&shown["isolation"], &shown["on_error"]), (&"shared".into(), &"fail_open".into()));
    assert_eq!((&shown["exchanges"], &shown["phases"]["request_headers"]["calls"]), (&5.into(), &5.into()));
    assert_eq!(shown["limits"]["memory_total"], 64 << 20);
    assert!(shown["memory_bytes"].as_u64().unwrap() >= 65536, "{shown}");
    assert_eq!((&shown["quarantined"], &shown["traps"], &shown["earlier"]), (&false.into(), &json!({}), &json!([])));
    // A new version counts from the beginning.
    let since = shown["since"].clone();
    swap_to(&proxy, "2");
    let next = admin.get("/filters/v").json();
    assert!(next["since"].as_str() > since.as_str(), "{next}");
    assert!(next["exchanges"].as_u64().unwrap() >= 1);
    let answer = admin.get("/filters/w");
    assert_eq!((answer.status(), &answer.json()["filters"]), (404, &json!(["v"])));
}

#[test]
fn the_configuration_is_shown_without_secrets() {
    let dir = TempDir::new().unwrap();
    put(dir.path(), &Version::new("1"));
    fs::write(dir.path().join("key"), "s3cret-file").unwrap();
    let more = "config: { file: DIR/key }, vm_config: s3cret-text, env: { TOKEN: \"${PATH}\" }";
    let extra = "admin: { address: \"127.0.0.1:0\" }\n";
    let proxy = Proxy::start_in(dir, &chain_yaml(&[("v", "DIR/v.wasm", more)], None, extra));
    let admin = Admin::of(&proxy);
    let answer = admin.get("/config");
    let text = answer.text();
    assert!(!text.contains("s3cret") && !text.contains(&std::env::var("PATH").unwrap()), "{text}");
    let config = &answer.json()["config"];
    assert_eq!(config["filters"]["v"]["config"]["hidden_bytes"], 11);
    assert_eq!(config["filters"]["v"]["limits"]["cpu_per_call"], "10ms");
    assert_eq!(config["routes"][0]["filters"][0]["filter"], "v");
    assert_eq!(config["upstreams"]["up"]["builtin"], "echo");
    assert_eq!(answer.json()["origins"], Value::Null);
    let shown = admin.get("/config?origins=true").json();
    assert_eq!(shown["config"], *config);
    let line = |path: &str| {
        let origin = shown["origins"][path].as_str().unwrap_or_else(|| panic!("{path}: {shown}"));
        let (file, line) = origin.rsplit_once(':').unwrap();
        assert!(file.ends_with("/sluice.yaml"), "{origin}");
        line.parse::<usize>().unwrap()
    };
    // As `chain_yaml` writes it.
    let places = [
        ("listeners[0].address", 1),
        ("filters.v.source.path", 3),
        ("filters.v.config", 3),
        ("filters.v.env.TOKEN", 3),
        ("upstreams.up.builtin", 5),
        ("routes[0].filters[0]", 6),
        ("admin.address", 7),
    ];
    assert_eq!(places.map(|(path, _)| line(path)), places.map(|(_, line)| line));
    assert_eq!((&shown["origins"]["server.workers"], &shown["origins_more"]), (&Value::Null, &0.into()), "a default");
    assert_eq!(admin.get("/config?origin=true").status(), 400);
    for path in ["/filters", "/filters/v", "/events", "/metrics", "/", "/config?origins=true"] {
        assert!(!admin.get(path).text().contains("s3cret"), "{path}");
    }
}

/// Defines a counter whose name is anything but a name, and adds to it for each request; every third one traps.
fn counting() -> Vec<u8> {
    let name = r#"bad name\22\0a{}\\_la\22bel=.=va\22l\0aue\\\c3\a9;.;"#;
    let text = format!(
        r#"(module
        (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_increment_metric" (func $add (param i32 i64) (result i32)))
        (memory (export "memory") 1) (data (i32.const 0) "{name}") (global $met (mut i32) (i32.const 0))
        (func (export "malloc") (param i32) (result i32) (i32.const 1024))
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (drop (call $define (i32.const 0) (i32.const 0) (i32.const 36) (i32.const 512)))
          (drop (call $add (i32.load (i32.const 512)) (i64.const 7)))
          (global.set $met (i32.add (global.get $met) (i32.const 1)))
          (if (i32.eq (global.get $met) (i32.const 3)) (then unreachable))
          (i32.const 0)))"#
    );
    wat::parse_str(text).unwrap()
}

#[test]
fn metrics_are_read_by_a_strict_reader_and_rise() {
    let dir = TempDir::new().unwrap();
    put(dir.path(), &Version::new("1"));
    fs::write(dir.path().join("c.wasm"), counting()).unwrap();
    let chain = [("v", "DIR/v.wasm", "limits: { memory_total: 64MiB }"), ("c", "DIR/c.wasm", "")];
    let extra = "reload: { debounce: 10ms }\nadmin: { address: \"127.0.0.1:0\" }\nserver: { workers: 1 }\n";
    let proxy = Proxy::start_in(dir, &chain_yaml(&chain, None, extra));
    let admin = Admin::of(&proxy);
    let read = || {
        let answer = admin.get("/metrics");
        assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        Exposition::read(&answer.text())
    };
    let before = read();
    assert_eq!(before.value("sluice_generation"), 1.0);
    assert_eq!(before.value("sluice_swaps_total{result=\"swapped\"}"), 0.0);
    let mut client = proxy.client();
    let statuses: Vec<_> = (0..3).map(|_| client.request("GET /", &[], "").status()).collect();
    assert_eq!(statuses, [200, 200, 503]);
    let after = read();
    for (key, value) in [
        (r#"sluice_filter_invocations_total{filter="v",phase="request_headers",outcome="continued"}"#, 3.0),
        (r#"sluice_filter_invocations_total{filter="c",phase="request_headers",outcome="continued"}"#, 2.0),
        (r#"sluice_filter_invocations_total{filter="c",phase="request_headers",outcome="failed"}"#, 1.0),
        (r#"sluice_filter_cpu_seconds_count{filter="v",phase="request_headers"}"#, 3.0),
        (r#"sluice_filter_cpu_seconds_bucket{filter="v",phase="request_headers",le="+Inf"}"#, 3.0),
        (r#"sluice_filter_traps_total{filter="c",kind="trap"}"#, 1.0),
        (r#"sluice_filter_exchanges_total{filter="v"}"#, 3.0),
        (r#"sluice_filter_quarantined{filter="v"}"#, 0.0),
    ] {
        assert!(before.value(key) < value || value == 0.0, "{key}");
        assert!(after.has(key) && after.value(key) == value, "{key} {}", after.value(key));
    }
    assert_eq!(after.value(r#"sluice_filter_cpu_budget_seconds{filter="v",of="call"}"#), 0.01);
    assert!(after.value(r#"sluice_filter_memory_bytes{filter="v"}"#) >= 65536.0);
    let custom = admin.get("/metrics").text();
    let line = "sluice_custom_bad_name______total{la_bel=\"va\\\"l\\nue\\\\é\"} 21\n";
    assert!(custom.contains(line), "{line}{custom}");
    for key in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"] {
        assert!(after.value(key) > 0.0, "{key}");
    }
    assert_eq!(after.value(r#"sluice_filter_instances{filter="v"}"#), 1.0);
    swap_to(&proxy, "2");
    fs::write(proxy.dir.path().join("v.wasm"), "nonsense").unwrap();
    assert_eq!(admin.post("/reload", "").status(), 422);
    assert_eq!(admin.post("/filters/v/rollback", "").status(), 200);
    let last = read();
    // What a version has counted stays counted when it is gone.
    for key in after.keys().filter(|key| key.contains("_total{") || key.contains("_count{") || key.contains("_bucket{"))
    {
        assert!(last.value(key) >= after.value(key), "{key} went back");
    }
    let met = client.request("GET /", &[], "").status();
    assert_eq!(met, 200);
    let met = last.value(r#"sluice_filter_exchanges_total{filter="v"}"#) + 1.0;
    Exposition::wait(
        admin,
        &[(r#"sluice_filter_exchanges_total{filter="v"}"#, met), (r#"sluice_filter_instances{filter="v"}"#, 1.0)],
    );
    assert!(last.value("sluice_generation") >= 3.0);
    assert!(last.value("sluice_swaps_total{result=\"swapped\"}") >= 2.0);
    assert!(last.value("sluice_swaps_total{result=\"refused\"}") >= 1.0);
    assert_eq!(last.value("sluice_rollbacks_total"), 1.0);
    let swaps = last.value("sluice_swaps_total{result=\"swapped\"}");
    assert_eq!(last.value("sluice_swap_seconds_count{stage=\"total\"}"), swaps);
}

#[test]
fn it_is_ready_until_it_stops() {
    let mut proxy = serving_version_1("");
    let admin = Admin::of(&proxy);
    assert_eq!(admin.get("/live").json(), json!({ "live": true }));
    assert_eq!(admin.get("/ready").json(), json!({ "ready": true, "reasons": [] }));
    // A request that is not whole keeps the process.
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n1");
    Exposition::wait(admin, &[("http_server_active_requests", 1.0)]);
    proxy.signal("TERM");
    proxy.wait_for("stopping: no new connections");
    let answer = loop {
        let answer = admin.get("/ready");
        if answer.status() != 200 {
            break answer;
        }
    };
    assert_eq!((answer.status(), &answer.json()["reasons"]), (503, &json!(["the process is stopping"])));
    assert_eq!(admin.get("/live").status(), 200);
    client.send("2");
    assert_eq!(client.read().status(), 200);
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn what_is_not_there_is_said_in_json() {
    let proxy = serving_version_1("");
    let admin = Admin::of(&proxy);
    let answer = admin.get("/nonsense");
    assert_eq!(answer.status(), 404);
    let paths = answer.json()["paths"].clone();
    assert!(paths.as_array().unwrap().contains(&"POST /filters/{name}/rollback".into()), "{paths}");
    assert_eq!(admin.get("/").json()["paths"], paths);
    for (method, path) in
        [("POST", "/config"), ("GET", "/reload"), ("DELETE", "/filters/v"), ("GET", "/filters/v/rollback")]
    {
        let answer = admin.send(method, path, &[], "");
        assert_eq!(answer.status(), 405, "{method} {path}");
        assert!(answer.json()["error"].is_string() && answer.has("allow"), "{answer:?}");
    }
    let description: Value = admin.get("/openapi.json").json();
    assert_eq!(description["openapi"], "3.1.0");
    assert_eq!(admin.get("/live").header("cache-control"), "no-store");
}
