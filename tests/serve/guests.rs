//! Guests of every kind: toolchains, targets, ABI versions, and what they ask of their surroundings.

use crate::harness::{Origin, Proxy, Reply, chain_yaml, fixture, go_fixture};

#[test]
fn environment_clock_randomness_and_standard_streams() {
    for module in [fixture("env"), go_fixture("env")] {
        let mut proxy = Proxy::chain(&[("e", &module, "env: { B: \"2\", A: one }")], None);
        let mut client = proxy.client();
        let answer = client.request("GET /", &[], "");
        assert_eq!(answer.header("x-env"), "A=one;B=2", "only what the configuration gives, never the process's own");
        assert_eq!(answer.header("x-args-count"), "0");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let theirs = answer.header("x-clock-wasi").parse::<u64>().unwrap() / 1_000_000_000;
        assert!(now.abs_diff(theirs) < 100, "{theirs} is not {now}");
        let again = client.request("GET /", &[], "");
        assert_ne!(answer.header("x-random"), again.header("x-random"));
        assert_eq!(answer.header("x-hash-map"), "9801");
        let log = proxy.wait_count("lines and a partial one", 2);
        for line in ["to standard output", "to standard error", "two"] {
            assert!(log.contains(line), "{line} is missing:\n{log}");
        }
    }
}

#[test]
fn configuration_reaches_the_guest_byte_for_byte() {
    let config = fixture("config");
    let proxy = Proxy::start(&chain_yaml(
        &[("c", &config, "config: { b: 1, a: [true, null, \"x\"] }, vm_config: \"plain text\"")],
        None,
        "",
    ));
    let answer = proxy.client().request("GET /", &[], "");
    assert_eq!(answer.header("x-plugin-config"), r#"{\"b\":1,\"a\":[true,null,\"x\"]}"#);
    assert_eq!(answer.header("x-plugin-config-size"), "27");
    assert_eq!(answer.header("x-vm-config"), "plain text");
    assert_eq!(answer.header("x-configured"), "1");
}

#[test]
fn a_filter_that_refuses_its_configuration_is_named_with_what_it_said() {
    let config = fixture("config");
    let said = Proxy::refused(&chain_yaml(&[("c", &config, "config: refuse")], None, ""));
    assert!(said.contains("filter `c`"), "{said}");
    assert!(said.contains("refused its configuration (its proxy_on_configure returned false)"), "{said}");
    assert!(said.contains("refused, as the configuration says"), "{said}");
    assert!(said.contains("sluice.yaml:3:3"), "{said}");
}

#[test]
fn properties_come_in_their_types() {
    for module in [fixture("properties"), go_fixture("properties")] {
        let origin = Origin::start(|_| Reply::ok("hello"));
        let yaml = format!(
            r#"
listeners: [{{ address: "127.0.0.1:0" }}]
filters:
  p:
    source: {{ path: "{module}" }}
    config:
      paths: [request.path, request.method, plugin_name, source/port, connection/mtls, tenant, "request/headers/x.y", response.code, nothing.here]
      set: [["wasm.demo", "value"]]
upstreams: {{ up: {{ endpoints: ["{}"] }} }}
routes: [{{ name: main, filters: [p], properties: {{ tenant: acme }}, upstream: up }}]
"#,
            origin.address
        );
        let proxy = Proxy::start(&yaml);
        let answer = proxy.client().request("GET /a?b=1", &["x.y: dotted"], "");
        let hex = |name: &str| {
            let text = answer.header(name);
            (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect::<Vec<u8>>()
        };
        assert_eq!(hex("x-prop-0"), b"/a?b=1");
        assert_eq!(hex("x-prop-1"), b"GET");
        assert_eq!(hex("x-prop-2"), b"p");
        let port = u64::from_le_bytes(hex("x-prop-3").try_into().expect("8 bytes"));
        assert!(port > 1023, "{port}");
        assert_eq!(hex("x-prop-4"), [0]);
        assert_eq!(hex("x-prop-5"), b"acme");
        assert_eq!(hex("x-prop-6"), b"dotted");
        assert_eq!(answer.header("x-prop-7"), "absent");
        assert_eq!(hex("x-late-prop-7"), 200u64.to_le_bytes());
        assert_eq!(answer.header("x-prop-8"), "absent");
        assert_eq!(hex("x-set-prop-0"), b"value");
    }
}

#[test]
fn callbacks_come_in_order_and_each_once() {
    let origin = Origin::start(|_| Reply::chunked(&["ab", "cd"]));
    let lifecycle = fixture("lifecycle");
    let yaml =
        chain_yaml(&[("l", &lifecycle, "config: p, vm_config: v")], Some(origin.address), "server: { workers: 1 }\n");
    let mut proxy = Proxy::start(&yaml);
    proxy.client().chunked("POST /x", &[], &["12", "345"]);
    let log = proxy.wait_for("stream 2 on_delete");
    let said: Vec<&str> = log
        .lines()
        .filter(|l| l.contains("root 1") || l.contains("stream 2") || l.contains("INFO initialize"))
        .map(|l| l.split("INFO ").nth(1).unwrap().split(" filter=").next().unwrap())
        .collect();
    assert_eq!(
        said,
        [
            "initialize",
            "root 1 on_context_create",
            "root 1 on_vm_start size=1 config=v",
            "root 1 on_configure size=1 config=p",
            "stream 2 on_context_create root=1",
            "stream 2 on_request_headers count=4 end=false",
            "stream 2 on_request_body size=2 end=false",
            "stream 2 on_request_body size=3 end=false",
            "stream 2 on_request_body size=0 end=true",
            "stream 2 on_response_headers count=2 end=false",
            "stream 2 on_response_body size=2 end=false",
            "stream 2 on_response_body size=2 end=false",
            "stream 2 on_response_body size=0 end=true",
            "stream 2 on_done",
            "stream 2 on_log POST /x 200",
            "stream 2 on_delete",
        ]
    );
}

#[test]
fn a_module_of_abi_0_1_0_runs() {
    let proxy = Proxy::chain(&[("l", &fixture("legacy"), "config: old, vm_config: vm")], None);
    let mut client = proxy.client();
    let answer = client.request("GET /", &[], "");
    assert_eq!(answer.echoed("x-legacy").as_deref(), Some("old"));
    assert_eq!(answer.header("x-legacy-config"), "old");
    assert_eq!(answer.header("x-legacy-vm-config"), "vm");
    assert_eq!(answer.header("x-legacy-missing"), "0 0");
    for side in ["request", "response"] {
        let resumed = client.request("GET /", &[&format!("x-resume: {side}")], "");
        assert_eq!((resumed.status(), resumed.header("x-legacy-continue").as_str()), (200, "0"), "{side}");
    }
}

#[test]
fn a_continue_in_the_same_callback_wins_over_pause() {
    let origin = Origin::start(|_| Reply::ok("hello"));
    let proxy = Proxy::chain(&[("p", &fixture("pause"), "")], Some(origin.address));
    let mut client = proxy.client();
    for way in ["request_headers_resume", "response_headers_resume", "resume_idle"] {
        assert_eq!(client.request("GET /", &[&format!("x-pause: {way}")], "").text(), "hello", "{way}");
    }
    for way in ["request_body_resume", "response_body_resume", "request_body", "response_body"] {
        assert_eq!(client.request("POST /", &[&format!("x-pause: {way}")], "body").text(), "hello", "{way}");
        assert!(client.chunked("POST /", &[&format!("x-pause: {way}")], &["bo", "dy"]).text() == "hello", "{way}");
    }
}

#[test]
fn a_filter_can_close_the_stream() {
    let proxy = Proxy::chain(&[("p", &fixture("pause"), "")], None);
    for way in ["close_request", "close_response"] {
        let mut client = proxy.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nx-pause: {way}\r\n\r\n"));
        assert!(client.at_end(), "{way}");
    }
    assert_eq!(proxy.client().request("GET /", &[], "").status(), 200);
}

#[test]
fn a_fresh_guest_for_each_request_remembers_nothing() {
    let yaml = |isolation: &str| {
        chain_yaml(&[("t", &fixture("trap"), &format!("isolation: {isolation}"))], None, "server: { workers: 1 }\n")
    };
    let shared = Proxy::start(&yaml("shared"));
    let counts: Vec<String> =
        (0..3).map(|_| shared.client().request("GET /", &[], "").header("x-guest-requests")).collect();
    assert_eq!(counts.last().map(String::as_str), Some("3"), "{counts:?}");
    let fresh = Proxy::start(&yaml("request"));
    for _ in 0..3 {
        assert_eq!(fresh.client().request("GET /", &[], "").header("x-guest-requests"), "1");
    }
}
