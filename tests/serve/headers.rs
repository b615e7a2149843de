//! Heads: what filters see and change on the way to a real upstream and back.

use crate::harness::{Origin, Proxy, Reply, fixture, go_fixture};

fn origin() -> Origin {
    Origin::start(|_| {
        Reply::Bytes(
            b"HTTP/1.1 200 OK\r\nServer: origin\r\nX-Dup: 1\r\nX-Other: o\r\nX-Dup: 2\r\nContent-Length: 2\r\n\r\nok"
                .to_vec(),
        )
    })
}

#[test]
fn a_rust_filter_reads_adds_replaces_and_removes() {
    for module in ["headers", "headers.unknown"] {
        let origin = origin();
        let proxy = Proxy::chain(&[("h", &fixture(module), "")], Some(origin.address));
        let answer = proxy.client().request(
            "GET /path?q=1",
            &["X-Removed: gone", "X-Replaced: old", "X-Replaced: older", "X-Keep: a", "X-Keep: b"],
            "",
        );
        let request = origin.request();
        assert_eq!(request.line, "GET /path?q=1 HTTP/1.1");
        assert_eq!(request.header("host"), "test.example");
        assert_eq!(request.header("x-added"), "one, two");
        assert_eq!(request.header("x-replaced"), "new");
        assert_eq!(request.header("x-keep"), "a, b");
        assert!(!request.has("x-removed"));
        // four pseudo headers and five fields, and the end of the stream
        assert_eq!(request.header("x-seen"), "9/9/true", "{request:?}");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.header("x-added"), "one, two");
        assert_eq!(answer.header("x-dup"), "1, 2");
        assert!(!answer.has("server"));
        assert_eq!(answer.text(), "ok");
    }
}

#[test]
fn a_go_filter_does_the_same() {
    let origin = origin();
    let proxy = Proxy::chain(&[("h", &go_fixture("headers"), "")], Some(origin.address));
    let answer = proxy.client().request("GET /", &["X-Removed: gone", "X-Replaced: old"], "");
    let request = origin.request();
    assert_eq!(request.header("x-added"), "one, two");
    assert_eq!(request.header("x-replaced"), "new");
    assert!(!request.has("x-removed"));
    assert_eq!(answer.header("x-added"), "one, two");
    assert!(!answer.has("server"));
}

#[test]
fn order_and_case_of_untouched_fields_stay() {
    let origin = origin();
    let proxy = Proxy::chain(&[("h", &fixture("headers"), "")], Some(origin.address));
    proxy.client().request("GET /", &["Accept-THIS: 1", "x-removed: x", "X-b: 2", "ZZ: 3"], "");
    let names: Vec<String> = origin.request().headers.iter().map(|(n, _)| n.clone()).collect();
    let kept: Vec<&str> =
        names.iter().map(String::as_str).filter(|n| ["Accept-THIS", "X-b", "ZZ"].contains(n)).collect();
    assert_eq!(kept, ["Accept-THIS", "X-b", "ZZ"], "{names:?}");
}

#[test]
fn path_authority_method_and_status_can_be_rewritten() {
    let origin = origin();
    let proxy = Proxy::chain(&[("h", &fixture("headers"), "")], Some(origin.address));
    let answer = proxy.client().request(
        "GET /old",
        &["x-rewrite: /new/path?x=1", "x-authority: other.example:81", "x-method: OPTIONS", "x-status: 207"],
        "",
    );
    let request = origin.request();
    assert_eq!(request.line, "OPTIONS /new/path?x=1 HTTP/1.1");
    assert_eq!(request.header("host"), "other.example:81");
    assert_eq!(answer.status(), 207);
}

#[test]
fn wiping_the_headers_leaves_a_valid_request() {
    let origin = origin();
    let proxy = Proxy::chain(&[("h", &fixture("headers"), "")], Some(origin.address));
    let answer = proxy.client().request("GET /w", &["x-wipe: 1", "x-secret: s"], "");
    let request = origin.request();
    assert_eq!((request.line.as_str(), request.header("host")), ("GET /w HTTP/1.1", "test.example".into()));
    assert_eq!(request.header("x-only"), "1");
    assert!(!request.has("x-secret"));
    assert_eq!(answer.status(), 200);
}

#[test]
fn bytes_that_are_not_utf8_pass_through_a_filter() {
    let origin = origin();
    let proxy = Proxy::chain(&[("h", &fixture("headers"), "")], Some(origin.address));
    let mut client = proxy.client();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nx-bytes: \xff\xfe\xe4\r\n\r\n");
    assert_eq!(client.read().status(), 200);
    let request = origin.request();
    assert_eq!(request.header("x-bytes-hex"), "fffee4");
    let copy = request.headers.iter().find(|(n, _)| n == "x-bytes-copy").expect("the copy");
    assert_eq!(copy.1, b"\xff\xfe\xe4");
}

#[test]
fn connections_are_kept_alive_on_both_sides() {
    let origin = Origin::start(|_| Reply::ok("x"));
    let proxy = Proxy::chain(&[("n", &fixture("noop"), "")], Some(origin.address));
    let mut client = proxy.client();
    for i in 0..5 {
        assert_eq!(client.request(&format!("GET /{i}"), &[], "").text(), "x");
    }
    let lines = proxy.access(5);
    assert_eq!(lines[0]["upstream_reused"], false);
    assert!(lines[1..].iter().all(|l| l["upstream_reused"] == true), "{lines:?}");
}
