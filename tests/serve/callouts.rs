//! Callouts, ticks and queue events: what filters do besides looking at a message.

use crate::harness::{Origin, Proxy, Reply, chain_yaml, fixture};

const GRANT: &str = "capabilities: { callouts: [auth] }";

/// A proxy with the guest in front of an origin, and another origin called `auth`.
fn start(config: &str, more: &str, auth: &str, upstream: std::net::SocketAddr) -> Proxy {
    let filter = format!("config: \"{config}\", {more}");
    let yaml = chain_yaml(&[("c", &fixture("callout"), &filter)], Some(upstream), "server: { workers: 1 }\n");
    Proxy::start(&yaml.replace("upstreams:\n", &format!("upstreams:\n  auth: {{ endpoints: [\"{auth}\"] }}\n")))
}

fn auth() -> Origin {
    Origin::start(|r| Reply::ok(&format!("yes to {}", r.target())))
}

#[test]
fn a_stream_waits_for_its_answer_in_every_phase() {
    let (auth, origin) = (auth(), Origin::start(|_| Reply::ok("origin")));
    let proxy = start("auth 5000", GRANT, &auth.address.to_string(), origin.address);
    let mut client = proxy.client();
    for phase in ["request_headers", "request_body", "response_headers", "response_body"] {
        let answer = client.request("POST /x", &[&format!("x-call-at: {phase}")], "some body");
        assert_eq!((answer.status(), answer.text().as_str()), (200, "origin"), "{phase}");
        let asked = auth.request();
        assert_eq!(asked.line, format!("POST /{phase}/0 HTTP/1.1"));
        assert_eq!((asked.header("host").as_str(), asked.text().as_str()), ("callout.test", "asked"));
        assert_eq!(asked.header("x-callout"), "yes");
        let request = origin.request();
        assert_eq!(request.text(), "some body", "{phase}");
        if phase == "request_headers" {
            assert_eq!(request.header("x-call-notes"), "200 yes to /request_headers/0");
        }
    }
}

#[test]
fn calls_run_side_by_side_and_the_last_answer_continues() {
    let (auth, origin) = (auth(), Origin::start(|_| Reply::ok("origin")));
    let proxy = start("auth 5000", GRANT, &auth.address.to_string(), origin.address);
    proxy.client().request("GET /", &["x-call-at: request_headers", "x-call-count: 5"], "");
    let notes = origin.request().header("x-call-notes");
    let mut notes: Vec<&str> = notes.split(", ").collect();
    notes.sort_unstable();
    let wanted: Vec<String> = (0..5).map(|i| format!("200 yes to /request_headers/{i}")).collect();
    assert_eq!(notes, wanted);
}

#[test]
fn an_answer_can_lead_to_a_refusal_of_the_request() {
    let (auth, origin) = (auth(), Origin::start(|_| Reply::ok("origin")));
    let proxy = start("auth 5000", GRANT, &auth.address.to_string(), origin.address);
    for phase in ["request_headers", "request_body", "response_headers"] {
        let answer = proxy.client().request("POST /", &[&format!("x-call-at: {phase}"), "x-call-deny: 1"], "body");
        assert_eq!((answer.status(), answer.text().as_str()), (403, "denied"), "{phase}");
        assert_eq!(answer.header("x-denied-by"), "callout", "{phase}");
        if phase == "response_headers" {
            break;
        }
        assert!(origin.untouched(), "{phase}");
    }
}

#[test]
fn a_failed_call_is_told_with_zeros() {
    let origin = Origin::start(|_| Reply::ok("origin"));
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for (name, upstream) in
        [("refused", "127.0.0.1:1".to_owned()), ("timeout", silent.local_addr().unwrap().to_string())]
    {
        let mut proxy = start("auth 200", GRANT, &upstream, origin.address);
        let answer = proxy.client().request("GET /", &["x-call-at: request_headers"], "");
        assert_eq!(answer.status(), 200, "{name}");
        assert_eq!(origin.request().header("x-call-notes"), "failed 0", "{name}");
        proxy.wait_for("a callout failed");
    }
}

#[test]
fn what_is_not_granted_is_refused_by_name() {
    let (auth, origin) = (auth(), Origin::start(|_| Reply::ok("origin")));
    let mut proxy = start("auth 5000", "capabilities: { callouts: [] }", &auth.address.to_string(), origin.address);
    let answer = proxy.client().request("GET /", &["x-call-at: request_headers"], "");
    assert_eq!(answer.header("x-call-notes"), "refused BadArgument");
    proxy.wait_for("proxy_http_call to `auth` was refused: this filter is not granted it (capabilities.callouts)");
    assert!(auth.untouched());
    let mut proxy = start("auth 5000", "capabilities: { callouts: all }", &auth.address.to_string(), origin.address);
    let answer = proxy.client().request("GET /", &["x-call-at: request_headers", "x-call-to: nobody"], "");
    assert_eq!(answer.header("x-call-notes"), "refused BadArgument");
    proxy.wait_for("the configuration has no such upstream");
    let direct = format!("x-call-to: {}", auth.address);
    proxy.client().request("GET /", &["x-call-at: request_headers", &direct], "");
    assert_eq!(auth.request().target(), "/request_headers/0", "host:port, where all is granted");
}

#[test]
fn roots_call_from_configure_and_from_ticks() {
    let (auth, origin) = (auth(), Origin::start(|_| Reply::ok("origin")));
    let mut proxy = start("auth 5000 tick configure", GRANT, &auth.address.to_string(), origin.address);
    let log = proxy.wait_for("root ticks end");
    assert_eq!(log.matches("root tick ").count(), 3, "{log}");
    let log = proxy.wait_count("root call answered", 4);
    assert!(log.contains("body=yes to /from-configure") && log.contains("body=yes to /from-tick"), "{log}");
}

#[test]
fn a_tick_continues_a_stream_that_waits_for_it() {
    let origin = Origin::start(|_| Reply::ok("origin"));
    let proxy = Proxy::chain(&[("p", &fixture("pause"), "config: tick")], Some(origin.address));
    let mut client = proxy.client();
    for way in ["request_headers_tick", "response_headers_tick", "request_body_tick", "response_body_tick"] {
        let answer = client.request("POST /", &[&format!("x-pause: {way}")], "body");
        assert_eq!((answer.status(), answer.text().as_str()), (200, "origin"), "{way}");
        assert_eq!(origin.request().text(), "body", "{way}");
    }
}

#[test]
fn queue_items_reach_the_root_that_registered() {
    let (auth, origin) = (auth(), Origin::start(|_| Reply::ok("origin")));
    let mut proxy = start("auth 5000 queue", GRANT, &auth.address.to_string(), origin.address);
    let mut client = proxy.client();
    for i in 0..3 {
        client.request(&format!("GET /item/{i}"), &[], "");
    }
    let log = proxy.wait_count("root queue item", 3);
    assert!((0..3).all(|i| log.contains(&format!("root queue item /item/{i}"))), "{log}");
}

#[test]
fn a_call_outlives_the_stream_that_made_it() {
    let (auth, origin) = (auth(), Origin::start(|_| Reply::ok("origin")));
    let mut proxy = start("auth 5000", GRANT, &auth.address.to_string(), origin.address);
    let mut client = proxy.client();
    assert_eq!(client.request("GET /", &["x-call-at: log"], "").text(), "origin");
    proxy.wait_for("call from log: true");
    assert_eq!(auth.request().target(), "/from-log");
    assert_eq!(client.request("GET /", &[], "").text(), "origin", "the late answer hurts nobody");
}
