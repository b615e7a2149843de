//! Fields of the connection: hidden from filters, and no way around them.

use crate::harness::{Origin, Proxy, Reply, fixture};

#[test]
fn filters_and_upstreams_do_not_see_fields_of_the_connection() {
    let origin = Origin::start(|_| Reply::ok("origin"));
    let proxy = Proxy::chain(&[("h", &fixture("headers"), "")], Some(origin.address));
    let fields =
        ["Connection: x-hop, keep-alive", "X-First: 1", "X-Hop: 1", "Keep-Alive: 5", "Upgrade: x", "X-Last: 2"];
    let answer = proxy.client().request("GET /", &fields, "");
    assert_eq!(answer.status(), 200);
    let seen = origin.request();
    for name in ["connection", "x-hop", "keep-alive", "upgrade"] {
        assert!(!seen.has(name), "{name}: {seen:?}");
        assert!(!proxy.log().contains(&format!("request {name}:")), "{name}:\n{}", proxy.log());
    }
    // Host, the two that stay, and what the filter added.
    let names: Vec<&str> = seen.headers.iter().map(|(n, _)| n.as_str()).filter(|n| n.starts_with("X-")).collect();
    assert_eq!(names, ["X-First", "X-Last"]);
    let bad = proxy.client().request("GET /", &["Connection: X-Forwarded-For", "X-Forwarded-For: 1"], "");
    assert_eq!((bad.status(), bad.header("proxy-status").contains("bad_request")), (400, true));
}

#[test]
fn asking_for_a_tunnel_hides_no_body_from_filters() {
    let origin = Origin::start(|_| Reply::ok("origin"));
    let config = "config: { request: upper, response: append, text: \"!\" }";
    let proxy = Proxy::chain(&[("b", &fixture("body"), config)], Some(origin.address));
    let handshake = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13"];
    for (line, headers, body) in [
        ("POST /", &["Upgrade: x"][..], "body"),
        ("POST /", &["Connection: Upgrade", "Upgrade: x"], "body"),
        ("POST /", &handshake, "body"),
        ("GET /", &handshake, "body"),
        ("GET /", &handshake[1..], ""),
        // A whole handshake, which the upstream answers as if it were none.
        ("GET /", &handshake, ""),
    ] {
        let answer = proxy.client().request(line, headers, body);
        assert_eq!((answer.status(), answer.text().as_str()), (200, "origin!"), "{line} {headers:?}");
        assert_eq!(origin.request().text(), body.to_uppercase(), "{line} {headers:?}");
    }
}
