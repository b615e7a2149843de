//! Routes by host, path, method and header, direct responses, and balancing over endpoints.

use std::collections::HashMap;

use crate::harness::{Origin, Proxy, Reply};

#[test]
fn the_most_specific_route_answers() {
    let proxy = Proxy::start(
        r#"
listeners: [{ address: "127.0.0.1:0" }]
routes:
  - { match: { path_prefix: / }, respond: { status: 200, body: "any" } }
  - { match: { host: "*.example.com" }, respond: { status: 200, body: "wildcard" } }
  - { match: { host: api.example.com }, respond: { status: 200, body: "host" } }
  - { match: { host: api.example.com, path_prefix: /v1 }, respond: { status: 200, body: "prefix" } }
  - { match: { host: api.example.com, path: /v1/x }, respond: { status: 200, body: "exact" } }
  - { match: { host: api.example.com, path_regex: "/v1/[0-9]+" }, respond: { status: 200, body: "regex" } }
  - { match: { host: api.example.com, path_prefix: /v1, methods: [DELETE] }, respond: { status: 405, headers: { allow: GET }, body: "no" } }
  - { match: { host: api.example.com, path_prefix: /v1, headers: { x-beta: "1" } }, respond: { status: 200, body: "beta" } }
"#,
    );
    let ask = |host: &str, line: &str, more: &str| {
        let mut client = proxy.client();
        client.send(format!("{line} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n"));
        let answer = client.read();
        (answer.status(), answer.text())
    };
    let ok = |body: &str| (200, body.to_owned());
    assert_eq!(ask("other.org", "GET /v1", ""), ok("any"));
    assert_eq!(ask("WWW.Example.com:8080", "GET /v1", ""), ok("wildcard"));
    assert_eq!(ask("api.example.com", "GET /", ""), ok("host"));
    assert_eq!(ask("api.example.com", "GET /v1", ""), ok("prefix"));
    assert_eq!(ask("api.example.com", "GET /v12", ""), ok("host"));
    assert_eq!(ask("api.example.com", "GET /v1/x?q=1", ""), ok("exact"));
    assert_eq!(ask("api.example.com", "GET /v1/42", ""), ok("regex"));
    assert_eq!(ask("api.example.com", "GET /v1/a", "x-beta: 1\r\n"), ok("beta"));
    assert_eq!(ask("api.example.com", "DELETE /v1/a", ""), (405, "no".into()));
    assert_eq!(ask("api.example.com", "GET /open/../v1/x", ""), ok("exact"), "dot segments do not hide a path");
}

#[test]
fn a_request_that_no_route_takes_is_404_and_says_so() {
    let proxy = Proxy::start(
        "listeners: [{ address: \"127.0.0.1:0\" }]\nroutes: [{ match: { path: /only }, respond: { status: 204 } }]\n",
    );
    let mut client = proxy.client();
    let lost = client.request("GET /other", &[], "");
    assert_eq!(lost.status(), 404);
    assert_eq!(lost.header("proxy-status"), "sluice; error=destination_not_found; details=\"kind=no_route\"");
    let direct = client.request("GET /only", &[], "");
    assert_eq!(direct.status(), 204);
    assert!(direct.header("proxy-status").contains("error=proxy_internal_response"));
}

#[test]
fn endpoints_take_turns_by_weight() {
    let heavy = Origin::start(|_| Reply::ok("heavy"));
    let light = Origin::start(|_| Reply::ok("light"));
    let proxy = Proxy::start(&format!(
        r#"
listeners: [{{ address: "127.0.0.1:0" }}]
upstreams:
  app: {{ endpoints: [{{ address: "{}", weight: 3 }}, "{}"] }}
routes: [{{ upstream: app }}]
"#,
        heavy.address, light.address
    ));
    let mut client = proxy.client();
    let mut counts: HashMap<String, usize> = HashMap::new();
    for _ in 0..40 {
        *counts.entry(client.request("GET /", &[], "").text()).or_default() += 1;
    }
    assert_eq!((counts["heavy"], counts["light"]), (30, 10));
}

#[test]
fn an_endpoint_that_is_down_is_passed_over() {
    let up = Origin::start(|_| Reply::ok("up"));
    let proxy = Proxy::start(&format!(
        "listeners: [{{ address: \"127.0.0.1:0\" }}]\nupstreams: {{ app: {{ endpoints: [\"127.0.0.1:1\", \"{}\"] }} }}\nroutes: [{{ upstream: app }}]\n",
        up.address
    ));
    let mut client = proxy.client();
    for _ in 0..6 {
        assert_eq!(client.request("GET /", &[], "").text(), "up");
    }
}
