//! `on_headers_stop_iteration`: a filter holds a head, reads the body behind it, and then changes the head.

use crate::harness::{Origin, Proxy, Reply, chain_yaml, fixture};

const OPTION: &str = "on_headers_stop_iteration: true";

fn start(more: &str, upstream: Option<std::net::SocketAddr>) -> Proxy {
    let option = format!("{OPTION}{more}");
    let filters = [("p", &*fixture("pause"), &*option), ("t", &*fixture("tag"), "config: t")];
    Proxy::start(&chain_yaml(&filters, upstream, ""))
}

fn body(size: usize) -> String {
    "abcdefghij".chars().cycle().take(size).collect()
}

#[test]
fn a_request_is_read_before_its_head_goes_on() {
    let origin = Origin::start(|_| Reply::ok("origin"));
    let proxy = start("", Some(origin.address));
    let mut client = proxy.client();
    // Also more than Pingora would keep for itself, with a length and in chunks.
    for size in [1, 1000, 70_000, 700_000] {
        let sent = body(size);
        let answer = client.request("POST /", &["x-pause: request_headers_until_body"], &sent);
        assert_eq!((answer.status(), answer.text().as_str()), (200, "origin"), "{size}");
        let seen = origin.request();
        assert_eq!((seen.header("x-body-size"), seen.header("content-length")), (size.to_string(), size.to_string()));
        assert_eq!(seen.header("x-chain"), "t", "the next filter sees the head behind it");
        assert!(seen.text() == sent, "{size}");
        let pieces: Vec<&str> = sent.as_bytes().chunks(9_000).map(|c| std::str::from_utf8(c).unwrap()).collect();
        let answer = client.chunked("POST /", &["x-pause: request_headers_until_body"], &pieces);
        assert_eq!((answer.status(), answer.text().as_str()), (200, "origin"), "{size} in chunks");
        let seen = origin.request();
        assert_eq!(seen.header("x-body-size"), size.to_string(), "in chunks");
        assert!(seen.text() == sent, "{size} in chunks");
    }
}

#[test]
fn a_response_is_read_before_its_head_goes_on() {
    let large = body(300_000);
    let origin = Origin::start(move |r| match r.target() {
        "/chunks" => Reply::chunked(&["one ", "two ", "three"]),
        "/large" => Reply::ok(&large),
        "/empty" => Reply::Bytes(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
        _ => Reply::ok("origin"),
    });
    let proxy = start("", Some(origin.address));
    let mut client = proxy.client();
    for (target, size) in [("/", 6), ("/chunks", 13), ("/large", 300_000)] {
        let answer = client.request(&format!("GET {target}"), &["x-pause: response_headers_until_body"], "");
        assert_eq!((answer.status(), answer.text().len()), (200, size), "{target}");
        assert_eq!(answer.header("x-body-size"), size.to_string(), "{target}");
        assert_eq!(answer.header("x-chain"), "t", "{target}");
    }
    assert_eq!(client.request("GET /empty", &["x-pause: response_headers_until_body"], "").status(), 204);
    let head = client.request("GET /", &[], "");
    assert_eq!(head.text(), "origin", "without a hold it passes as it comes");
}

#[test]
fn the_echo_and_answers_of_the_body_s_callback_work_too() {
    let proxy = start("", None);
    let mut client = proxy.client();
    let answer = client.request("POST /", &["x-pause: request_headers_until_body"], "body");
    assert!(answer.text().contains("[\"x-body-size\",\"4\"]") && answer.text().contains("\"body\":\"body\""));
    let origin = Origin::start(|_| Reply::ok("origin"));
    let proxy = start("", Some(origin.address));
    let answer = proxy.client().request("POST /", &["x-pause: request_headers_deny"], "body");
    assert_eq!((answer.status(), answer.text().as_str()), (403, "no"));
    assert!(origin.untouched());
    let answer = proxy.client().request("GET /", &["x-pause: response_headers_deny"], "");
    assert_eq!((answer.status(), answer.text().as_str()), (403, "no"));
}

#[test]
fn limits_and_failures_are_answered() {
    let large = body(5_000);
    let origin = Origin::start(move |_| Reply::ok(&large));
    let proxy = start(", limits: { body_buffer: 2KiB }", Some(origin.address));
    let answer = proxy.client().request("POST /", &["x-pause: request_headers_until_body"], &body(5_000));
    assert_eq!(answer.status(), 413);
    assert!(origin.untouched());
    let answer = proxy.client().request("GET /", &["x-pause: response_headers_until_body"], "");
    assert_eq!(answer.status(), 502);
    assert!(answer.header("proxy-status").contains("body_too_large"));
    let proxy = start("", Some("127.0.0.1:1".parse().unwrap()));
    let answer = proxy.client().request("POST /", &["x-pause: request_headers_until_body"], "body");
    assert_eq!(answer.status(), 502);
    assert!(answer.header("proxy-status").contains("upstream_connect"));
}

#[test]
fn a_large_upload_streams_when_the_head_is_not_held() {
    const SIZE: usize = 40 << 20;
    let origin = Origin::start(|r| Reply::ok(&r.text().len().to_string()));
    let proxy = start(", limits: { cpu_per_request: 20s }", Some(origin.address));
    proxy.reset_peak_memory();
    let answer = proxy.client().request("POST /", &[], &body(SIZE));
    assert_eq!(answer.text(), SIZE.to_string());
    assert!(proxy.peak_memory() < 90 << 20, "{} MiB", proxy.peak_memory() >> 20);
}
