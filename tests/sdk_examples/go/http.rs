//! Examples of the Go SDK that look at heads and say where a request goes: fields, routes, properties.

use super::BODY;
use crate::{
    example,
    harness::{Origin, Proxy, Reply, alone, chain_yaml},
};

#[test]
fn http_headers_adds_what_is_configured_and_logs() {
    let origin = Origin::start(|_| Reply::ok(BODY));
    let config = r#"config: { header: x-wasm-header, value: demo-wasm }"#;
    let mut proxy = alone(&example("go-http_headers"), config, Some(origin.address));
    let answer = proxy.client().request("GET /uuid", &[], "");
    assert_eq!((answer.header("x-wasm-header"), answer.text()), ("demo-wasm".into(), BODY.into()));
    assert_eq!(answer.header("x-proxy-wasm-go-sdk-example"), "http_headers");
    assert_eq!(origin.request().header("test"), "best");
    let log = proxy.wait_for(" finished");
    for line in [
        "header from config: x-wasm-header = demo-wasm",
        "request header --> :path: /uuid",
        "request header --> test: best",
        "response header <-- :status: 200",
        "response header <-- x-wasm-header: demo-wasm",
    ] {
        assert!(log.contains(line), "`{line}` is not in\n{log}");
    }
    // It refuses a configuration without a value, and says what it expected.
    let yaml = chain_yaml(&[("h", &example("go-http_headers"), "config: { header: x }")], None, "");
    let said = Proxy::refused(&yaml);
    assert!(said.contains("filter `h`") && said.contains("invalid configuration format"), "{said}");
}

#[test]
fn http_routing_sends_some_to_the_canary() {
    let (primary, canary) =
        (Origin::start(|_| Reply::ok("hello from primary!\n")), Origin::start(|_| Reply::ok("hello from canary!\n")));
    let start = |config: &str| {
        Proxy::start(&format!(
            r#"
listeners: [{{ address: "127.0.0.1:0" }}]
filters: {{ routing: {{ source: {{ path: "{}" }}{config} }} }}
upstreams:
  primary: {{ endpoints: ["{}"] }}
  canary: {{ endpoints: ["{}"] }}
routes:
  - {{ filters: [routing], upstream: primary }}
  - {{ match: {{ host: test.example-canary }}, filters: [routing], upstream: canary }}
"#,
            example("go-http_routing"),
            primary.address,
            canary.address
        ))
    };
    // The first byte of a configuration decides in place of the dice: "1" is odd, "2" is even.
    for (config, wanted) in [("\"1\"", "hello from primary!\n"), ("\"2\"", "hello from canary!\n")] {
        let proxy = start(&format!(", config: {config}"));
        assert_eq!(proxy.client().request("GET /", &[], "").text(), wanted, "{config}");
    }
    assert_eq!(primary.request().header("host"), "test.example");
    assert_eq!(canary.request().header("host"), "test.example-canary");
    // With the dice both come; that one of them does not in so many throws never happens.
    let proxy = start("");
    let mut client = proxy.client();
    let mut ask = || client.request("GET /", &[], "").text();
    let first = ask();
    assert!((0..200).any(|_| ask() != first), "always {first}");
}

/// A refusal has the status 401 and, for clients of gRPC, 16. As in Envoy, an ordinary client sees no more than the 401.
#[test]
fn properties_of_a_route_say_which_header_it_needs() {
    let origin = Origin::start(|_| Reply::ok(BODY));
    let name = "route_metadata.filter_metadata.envoy.filters.http.wasm.auth";
    let mut proxy = Proxy::start(&format!(
        r#"
listeners: [{{ address: "127.0.0.1:0" }}]
filters: {{ p: {{ source: {{ path: "{}" }} }} }}
upstreams: {{ web_service: {{ endpoints: ["{}"] }} }}
routes:
  - {{ match: {{ path_prefix: /one }}, filters: [p], properties: {{ {name}: cookie }}, upstream: web_service }}
  - {{ match: {{ path_prefix: /two }}, filters: [p], properties: {{ {name}: authorization }}, upstream: web_service }}
  - {{ match: {{ path_prefix: /three }}, filters: [p], upstream: web_service }}
"#,
        example("go-properties"),
        origin.address
    ));
    let mut client = proxy.client();
    for (path, headers, passes) in [
        ("/one", &[][..], false),
        ("/one", &["cookie: value"], true),
        ("/one", &["authorization: token"], false),
        ("/two", &[], false),
        ("/two", &["authorization: token"], true),
        ("/three", &[], true),
    ] {
        let answer = client.request(&format!("GET {path}"), headers, "");
        let wanted = if passes { (200, BODY, "") } else { (401, "", "") };
        assert_eq!((answer.status(), &*answer.text(), &*answer.header("grpc-status")), wanted, "{path} {headers:?}");
        if passes {
            assert_eq!(origin.request().target(), path);
        }
        assert!(origin.untouched(), "{path} {headers:?}");
    }
    let log = proxy.wait_count(" finished", 6);
    for line in ["auth header is \"cookie\"", "auth header is \"authorization\"", "no auth header for route"] {
        assert!(log.contains(line), "`{line}` is not in\n{log}");
    }
}
