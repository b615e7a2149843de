//! Examples of the Go SDK that read and write bodies.

use super::BODY;
use crate::{
    example,
    harness::{Origin, Reply, alone},
};

#[test]
fn http_body_appends_prepends_and_replaces_on_both_sides() {
    // A second proxy is the upstream, as in the example's configuration: there the module answers with what it got.
    let module = example("go-http_body");
    let echo = alone(&module, "config: echo", None);
    let proxy = alone(&module, "config: body-set", Some(echo.addresses[0]));
    let mut client = proxy.client();
    for (operation, wanted) in [
        ("prepend", "[this is prepended body][initial body]"),
        ("append", "[initial body][this is appended body]"),
        ("replace", "[this is replaced body]"),
        ("anything else", "[this is replaced body]"),
    ] {
        let operation = format!("buffer-operation: {operation}");
        for side in ["request", "response"] {
            let at = format!("buffer-replace-at: {side}");
            let answer = client.request("PUT /", &[&operation, &at], "[initial body]");
            assert_eq!((answer.status(), answer.text().as_str()), (200, wanted), "{operation} {side}");
        }
    }
    let empty = client.request("GET /", &[], "");
    assert_eq!((empty.status(), empty.text()), (400, "content must be provided".into()));
}

#[test]
fn http_body_chunk_tells_in_which_chunk_the_pattern_is() {
    let origin = Origin::start(|_| Reply::ok(BODY));
    let mut proxy = alone(&example("go-http_body_chunk"), "", Some(origin.address));
    let head = "POST /anything HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut client = proxy.client();
    client.send(format!("{head}5\r\nfirst\r\n"));
    // Only then is the next chunk one of its own.
    proxy.wait_for("read chunk size: 5");
    client.send("9\r\na pattern\r\n0\r\n\r\n");
    let answer = client.read();
    assert_eq!((answer.status(), answer.text()), (403, "pattern found in chunk: 2".into()));
    assert_eq!(answer.header("powered-by"), "proxy-wasm-go-sdk");
    let log = proxy.wait_for("local 403 response sent");
    assert!(log.contains("BodySize: 14, totalRequestBodyReadSize: 5"), "{log}");
    assert!(origin.untouched());
    let mut client = proxy.client();
    client.send(format!("{head}6\r\nsecond\r\n"));
    proxy.wait_for("read chunk size: 6");
    client.send("7\r\nnothing\r\n0\r\n\r\n");
    assert_eq!(client.read().text(), BODY);
    assert_eq!(origin.request().text(), "secondnothing");
    proxy.wait_for("pattern not found");
}

#[test]
fn json_validation_wants_the_required_keys() {
    let origin = Origin::start(|_| Reply::ok("hello from the server\n"));
    let config = "config: { requiredKeys: [id, token] }";
    let proxy = alone(&example("go-json_validation"), config, Some(origin.address));
    let json = &["content-type: application/json"][..];
    let whole = r#"{"id": "xxx", "token": "xxx"}"#;
    for (headers, body, status, text) in [
        (json, whole, 200, "hello from the server\n"),
        (json, "\"required_keys_missing\"", 403, "invalid payload"),
        (json, r#"{"id": "xxx", "not_token": "xxx"}"#, 403, "invalid payload"),
        (json, "no JSON", 403, "invalid payload"),
        (&[], whole, 403, "content-type must be provided"),
    ] {
        let answer = proxy.client().request("POST /", headers, body);
        assert_eq!((answer.status(), answer.text().as_str()), (status, text), "{body}");
    }
    assert_eq!(origin.request().text(), whole);
    assert!(origin.untouched());
}
