//! When the client's connection is kept for its next request, and when a client that left is noticed.

use std::{
    net::TcpListener,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crate::harness::{Client, Origin, Proxy, Reply, chain_yaml, fixture};

fn goes_on(client: &mut Client) {
    goes_on_to(client, "origin");
}

fn goes_on_to(client: &mut Client, wanted: &str) {
    let next = client.request("GET /last", &[], "");
    assert_eq!((next.status(), next.text().as_str()), (200, wanted), "the connection goes on");
}

fn origin() -> Origin {
    Origin::start(|request| match request.target() {
        "/nothing" => Reply::ok(""),
        "/chunks" => Reply::chunked(&["a", "b"]),
        _ => Reply::ok("origin"),
    })
}

#[test]
fn behind_an_answer_in_the_response() {
    let origin = origin();
    let filters = [("first", fixture("tag"), "config: first"), ("l", fixture("local"), "")];
    let filters: Vec<(&str, &str, &str)> = filters.iter().map(|(n, m, c)| (*n, m.as_str(), *c)).collect();
    let proxy = Proxy::chain(&filters, Some(origin.address));
    let mut client = proxy.client();
    let at = "x-local-at: response_headers";
    for (line, headers, body, wanted) in [
        ("GET /", &[at][..], "", "teapot at response_headers\n"),
        ("POST /", &[at], "a body", "teapot at response_headers\n"),
        ("GET /nothing", &[at], "", "teapot at response_headers\n"),
        ("GET /", &[at, "x-local-bare: 1"], "", ""),
        ("GET /nothing", &[at, "x-local-bare: 1"], "", ""),
        ("HEAD /", &[at], "", ""),
    ] {
        let answer = client.request(line, headers, body);
        assert_eq!((answer.status(), answer.text().as_str()), (418, wanted), "{line} {headers:?}");
        assert_eq!(answer.header("connection"), "keep-alive");
        goes_on(&mut client);
    }
    // Of unknown length: its end is not waited for.
    let answer = client.request("GET /chunks", &[at], "");
    assert_eq!((answer.status(), answer.text().as_str()), (418, "teapot at response_headers\n"));
    goes_on(&mut client);
}

#[test]
fn behind_an_answer_in_the_responses_body() {
    let origin = origin();
    let proxy = Proxy::chain(&[("l", &fixture("local"), "")], Some(origin.address));
    let mut replaced = 0;
    for _ in 0..10 {
        let mut client = proxy.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\nx-local-at: response_body\r\n\r\n");
        // Where the head was out before the body came, the stream is cut.
        if let Ok(Some(answer)) = client.try_read() {
            assert_eq!((answer.status(), answer.text().as_str()), (418, "teapot at response_body\n"));
            assert_eq!(answer.header("x-local"), "response_body, again");
            goes_on(&mut client);
            replaced += 1;
        }
    }
    assert!(replaced > 0, "head and body of a small response come together");
}

#[test]
fn behind_a_trap_in_the_response() {
    let origin = origin();
    let proxy = Proxy::chain(&[("t", &fixture("trap"), "")], Some(origin.address));
    let mut client = proxy.client();
    let answer = client.request("GET /", &["x-trap: response_headers"], "");
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.header("proxy-status"), "sluice; error=proxy_internal_error; details=\"filter=t kind=trap\"");
    assert_eq!(answer.header("connection"), "keep-alive");
    // The next request may meet the guest while it comes back; the connection serves either.
    let next = client.request("GET /next", &[], "");
    assert!([200, 503].contains(&next.status()), "{next:?}");
}

#[test]
fn behind_a_refusal_of_a_request_whose_short_body_has_come() {
    let origin = origin();
    let proxy = Proxy::chain(&[("h", &fixture("headers"), "")], Some(origin.address));
    let mut client = proxy.client();
    for head in ["Content-Length: 4\r\n\r\nbody", "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"] {
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nx-deny: 1\r\n{head}"));
        let answer = client.read();
        assert_eq!((answer.status(), answer.header("connection").as_str()), (403, "keep-alive"), "{head}");
    }
    goes_on(&mut client);
    // The rest is not there, and nobody waits for it.
    client.send("POST / HTTP/1.1\r\nHost: a\r\nx-deny: 1\r\nContent-Length: 4\r\n\r\nbo");
    let answer = client.read();
    assert_eq!((answer.status(), answer.header("connection").as_str()), (403, "close"));
}

#[test]
fn behind_a_continue() {
    let origin = origin();
    let proxy = Proxy::chain(&[("h", &fixture("headers"), "")], Some(origin.address));
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send("POST /wait HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
        assert_eq!(client.read().status(), 100);
        let answer = client.send("hello").read();
        assert_eq!((answer.status(), answer.header("connection").as_str()), (200, "keep-alive"));
        let seen = origin.request();
        assert!(!seen.has("expect") && seen.text() == "hello", "{seen:?}");
    }
    assert!(!proxy.log().contains("request expect"), "filters do not see it:\n{}", proxy.log());
    goes_on(&mut client);
}

#[test]
fn an_upstream_that_fails_behind_a_continue_is_answered() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::start(&chain_yaml(&[], Some(closed), ""));
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.read().status(), 100);
    let answer = client.send("hello").read();
    assert_eq!(answer.status(), 502);
    assert_eq!(proxy.access(1)[0]["status"], 502);
}

/// Sends a request that a filter holds for ever, waits until it does, leaves, and waits for the log.
fn leaves(origin: &Origin, way: &str, request: &str, body: &str, held: &str) {
    let mut proxy =
        Proxy::chain(&[("p", &fixture("pause"), ""), ("l", &fixture("lifecycle"), "")], Some(origin.address));
    let mut client = proxy.client();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nx-pause: {way}\r\n{request}\r\n\r\n{body}"));
    proxy.wait_for(held);
    let began = Instant::now();
    drop(client);
    let line = &proxy.access(1)[0];
    assert_eq!(line["error"], "client_closed", "{way}: {line}");
    assert!(began.elapsed() < Duration::from_secs(20), "{way}: long before the limit of a pause");
    proxy.wait_for("on_delete");
}

#[test]
fn a_client_that_leaves_while_anything_of_its_exchange_is_held_is_noticed() {
    let origin = origin();
    let chunks = "Transfer-Encoding: chunked";
    leaves(&origin, "request_body_forever", "Content-Length: 4", "body", "pause request size=4 end=true");
    leaves(&origin, "request_body_forever", chunks, "4\r\nbody\r\n0\r\n\r\n", "pause request size=4 end=true");
    // The filter behind the one that pauses sees the response first.
    leaves(&origin, "response_headers_forever", "Content-Length: 4", "body", "on_response_headers");
    leaves(&origin, "response_body_forever", "Content-Length: 4", "body", "pause response size=6 end=true");
}

#[test]
fn a_request_that_came_early_is_served_whole_behind_the_first() {
    let origin = origin();
    let mut proxy = Proxy::chain(&[("p", &fixture("pause"), "config: tick")], Some(origin.address));
    let mut client = proxy.client();
    // The filter holds the request until its next tick; meanwhile the next one comes.
    client.send("GET /one HTTP/1.1\r\nHost: a\r\nx-pause: request_headers_tick\r\n\r\n");
    client.send("GET /two HTTP/1.1\r\nHost: a\r\n\r\n");
    for target in ["/one", "/two"] {
        let answer = client.read();
        assert_eq!((answer.status(), answer.text().as_str()), (200, "origin"), "{target}");
        assert_eq!(origin.request().target(), target);
    }
    goes_on(&mut client);
    assert!(proxy.alive());
}

#[test]
fn requests_that_come_at_once_are_answered_in_their_order() {
    let origin = Origin::start(|request| Reply::ok(&format!("{} {}", request.target(), request.text())));
    let proxy = Proxy::start(&chain_yaml(&[], Some(origin.address), ""));
    let mut client = proxy.client();
    let get = |n: usize| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n");
    let post = |n: usize| format!("POST /{n} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
    let chunks =
        |n: usize| format!("PUT /{n} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n");
    let all: String = (0..30).map(|n| [get(n), post(n), chunks(n)][n % 3].clone()).collect();
    client.send(all);
    for n in 0..30 {
        let body = ["", "body", "body"][n % 3];
        assert_eq!(client.read().text(), format!("/{n} {body}"));
    }
    goes_on_to(&mut client, "/last ");
}

#[test]
fn a_connection_that_the_upstream_closed_unseen_costs_no_request() {
    // Whoever takes a connection that rests may find it closed: the request goes again, on a new one.
    let origin = Origin::start(|request| match request.target() {
        "/quiet" => Reply::Close(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\norigin".to_vec()),
        _ => Reply::ok("origin"),
    });
    let proxy = Proxy::start(&chain_yaml(&[], Some(origin.address), ""));
    let mut client = proxy.client();
    for n in 0..200 {
        let line = ["GET /quiet", "PUT /quiet", "DELETE /quiet"][n % 3];
        let answer = client.request(line, &[], ["", "a body", ""][n % 3]);
        assert_eq!((answer.status(), answer.text().as_str()), (200, "origin"), "request {n}, {line}");
    }
}

/// Sends a request on a connection to the upstream that rested, which dies of it; returns the answer and what the upstream
/// heard of it.
fn dies_once(filters: &[(&str, &str, &str)], request: &str) -> (u16, String, Vec<String>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = heard.clone();
    let origin = Origin::start(move |request| {
        if request.target() == "/warm" {
            return Reply::ok("");
        }
        let mut heard = hears.lock().unwrap();
        heard.push(request.text());
        if heard.len() == 1 { Reply::Close(Vec::new()) } else { Reply::ok(&request.text()) }
    });
    let proxy = Proxy::chain(filters, Some(origin.address));
    let mut client = proxy.client();
    assert_eq!(client.request("GET /warm", &[], "").status(), 200);
    let answer = client.send(request).read();
    let heard = heard.lock().unwrap().clone();
    (answer.status(), answer.text(), heard)
}

#[test]
fn a_request_goes_twice_only_where_filters_heard_it_once() {
    let upper = [("b", &*fixture("body"), "config: { request: upper }")];
    let known = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
    let chunks = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
    let twice = |body: &str| (200, body.to_owned(), vec![body.to_owned(); 2]);
    assert_eq!(dies_once(&[], known), twice("body"));
    assert_eq!(dies_once(&[], chunks), twice("body"));
    assert_eq!(dies_once(&upper, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), twice(""));
    // Read before the upstream was chosen: what the filters made of it goes again.
    assert_eq!(dies_once(&upper, known), twice("BODY"));
    // Heard on its way: a second time the filters would not see it.
    let (status, _, heard) = dies_once(&upper, chunks);
    assert_eq!((status, heard), (502, vec!["BODY".to_owned()]));
    let (status, _, heard) = dies_once(&[], &known.replace("PUT", "POST"));
    assert_eq!((status, heard), (502, vec!["body".to_owned()]), "a POST may have been acted on");
}
