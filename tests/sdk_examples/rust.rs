//! Examples of the SDK for Rust: headers, bodies, configuration, callouts by HTTP, ticks.

mod envoy;
mod grpc;

use crate::{
    example,
    harness::{Origin, Proxy, Reply, alone, calling, chain_yaml, without_traffic},
};

#[test]
fn http_headers_greets_and_logs() {
    let origin = Origin::start(|_| Reply::ok("Request /hello and be welcomed!\n"));
    let mut proxy = alone(&example("rust-http_headers"), "", Some(origin.address));
    let mut client = proxy.client();
    let hello = client.request("GET /hello", &[], "");
    assert_eq!((hello.status(), hello.text()), (200, "Hello, World!\n".into()));
    assert_eq!((hello.header("hello"), hello.header("powered-by")), ("World".into(), "proxy-wasm".into()));
    assert!(origin.untouched());
    assert_eq!(client.request("GET /", &["accept: */*"], "").text(), "Request /hello and be welcomed!\n");
    let log = proxy.wait_count(" completed.", 2);
    for line in
        ["-> :authority: test.example", "-> :path: /hello", "-> accept: */*", "<- :status: 200", "<- hello: World"]
    {
        assert!(log.contains(line), "`{line}` is not in\n{log}");
    }
}

#[test]
fn http_body_redacts_what_is_secret() {
    let origin = Origin::start(|r| match r.target() {
        "/secret" => Reply::ok("This secret message should not be read by anyone.\n"),
        "/pieces" => Reply::chunked(&["This sec", "ret message should not be", " read by anyone.\n"]),
        _ => Reply::ok("Everyone may read this message.\n"),
    });
    let proxy = alone(&example("rust-http_body"), "", Some(origin.address));
    let mut client = proxy.client();
    assert_eq!(client.request("GET /hello", &[], "").text(), "Everyone may read this message.\n");
    for path in ["/secret", "/pieces"] {
        let answer = client.request(&format!("GET {path}"), &[], "");
        assert_eq!(answer.text(), "Original message body (50 bytes) redacted.\n", "{path}");
    }
}

#[test]
fn http_config_adds_what_is_configured() {
    let secret = "The secret to life is meaningless unless you discover it yourself";
    let proxy = alone(&example("rust-http_config"), &format!("config: \"{secret}\""), None);
    for _ in 0..2 {
        assert_eq!(proxy.client().request("GET /hello", &[], "").header("custom-header"), secret);
    }
}

#[test]
fn http_auth_random_asks_and_obeys() {
    for (byte, status, said) in [("b", 200, "Access granted."), ("a", 403, "Access forbidden.")] {
        // The same server behind the proxy and for the callout, as in the example's own configuration.
        let httpbin = Origin::start(move |r| Reply::ok(if r.target() == "/bytes/1" { byte } else { "page" }));
        let mut proxy = calling(&example("rust-http_auth_random"), "httpbin", httpbin.address, Some(httpbin.address));
        let answer = proxy.client().request("GET /headers", &[], "");
        assert_eq!((answer.status(), answer.header("powered-by")), (status, "proxy-wasm".into()), "{answer:?}");
        assert_eq!(answer.text(), if status == 200 { "page" } else { "Access forbidden.\n" });
        let asked = httpbin.request();
        assert_eq!((asked.target(), asked.header("host")), ("/bytes/1", "httpbin.org".into()));
        proxy.wait_for(said);
    }
}

#[test]
fn hello_world_tells_a_lucky_number_at_each_tick() {
    let module = example("rust-hello_world");
    let mut proxy = Proxy::start(&without_traffic(&[("hello", &module, "")], "server: { workers: 2 }\n"));
    // It has no context for requests, and meets none.
    assert_eq!(proxy.client().request("GET /", &[], "").status(), 200);
    proxy.wait_for("Hello, World!");
    let log = proxy.wait_count("your lucky number is ", 2);
    assert_eq!(log.matches("Hello, World!").count(), 1, "it starts once, however many workers there are");
    assert!(log.contains("It's 20") && log.contains(" UTC, your lucky number is"), "{log}");
}
