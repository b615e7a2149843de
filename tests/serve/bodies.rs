//! Bodies: buffered, streamed and replaced, with the right framing towards both sides.

use std::{
    io::{BufReader, Write},
    net::TcpListener,
    sync::mpsc,
    thread,
};

use crate::harness::{Framing, Origin, Proxy, Reply, chain_yaml, fixture, go_fixture, wire};

#[test]
fn a_replaced_request_body_arrives_with_its_own_length() {
    // The guest leaves content-length as it was; the proxy has to put it right.
    for (mode, wanted) in
        [("replace", "new"), ("append", "hellonew"), ("prepend", "newhello"), ("upper", "HELLO"), ("delete", "")]
    {
        for drop_length in ["false", "true"] {
            let origin = Origin::start(|_| Reply::ok("x"));
            let config = format!("config: {{ request: {mode}, text: new, drop_length: {drop_length} }}");
            let proxy = Proxy::chain(&[("b", &fixture("body"), &config)], Some(origin.address));
            let mut client = proxy.client();
            assert_eq!(client.request("POST /", &[], "hello").text(), "x");
            let request = origin.request();
            assert_eq!(request.text(), wanted, "{mode} {drop_length}");
            assert_eq!(request.framing, Framing::Length(wanted.len()), "{mode} {drop_length}");
            assert_eq!(client.chunked("POST /", &[], &["hel", "lo"]).text(), "x");
            assert_eq!(origin.request().text(), wanted, "{mode} in chunks");
        }
    }
}

#[test]
fn a_large_request_body_is_replaced_too() {
    let origin = Origin::start(|_| Reply::ok("x"));
    let proxy =
        Proxy::chain(&[("b", &fixture("body"), "config: { request: append, text: \"-end\" }")], Some(origin.address));
    let big = "0123456789".repeat(20_000);
    assert_eq!(proxy.client().request("POST /", &[], &big).text(), "x");
    assert_eq!(origin.request().text(), format!("{big}-end"));
}

#[test]
fn a_replaced_response_body_arrives_whole_and_the_connection_goes_on() {
    for (name, module) in [("rust", fixture("body")), ("go", go_fixture("body"))] {
        let origin =
            Origin::start(
                |r| {
                    if r.target() == "/chunked" { Reply::chunked(&["hel", "lo"]) } else { Reply::ok("hello") }
                },
            );
        let config = "config: { response: replace, text: \"something much longer\" }";
        let proxy = Proxy::chain(&[("b", &module, config)], Some(origin.address));
        let mut client = proxy.client();
        for path in ["/", "/chunked", "/"] {
            let answer = client.request(&format!("GET {path}"), &[], "");
            assert_eq!(answer.text(), "something much longer", "{name} {path}");
            assert_ne!(answer.framing, Framing::Close, "{name} {path}");
        }
    }
}

#[test]
fn an_untouched_response_in_one_piece_keeps_its_length() {
    let origin = Origin::start(|_| Reply::ok("hello"));
    let proxy = Proxy::chain(&[("n", &fixture("noop"), "")], Some(origin.address));
    let answer = proxy.client().request("GET /", &[], "");
    assert_eq!((answer.text(), answer.framing), ("hello".into(), Framing::Length(5)));
    let head = proxy.client().request("HEAD /", &[], "");
    assert_eq!((head.status(), head.header("content-length")), (200, "5".into()));
}

#[test]
fn totals_grow_while_a_body_is_held_and_not_when_it_streams() {
    let origin = Origin::start(|_| Reply::ok("x"));
    let proxy = Proxy::chain(&[("p", &fixture("pause"), "")], Some(origin.address));
    let mut client = proxy.client();
    // Three chunks and the empty end: held, the totals grow; streamed, each size stands for itself.
    let held = client.chunked("POST /", &["x-pause: request_body"], &["aaa", "bbb", "cc"]);
    assert_eq!(held.header("x-pause-request"), "3,6,8,8e");
    assert_eq!(origin.request().text(), "aaabbbcc");
    let streamed = client.chunked("POST /", &[], &["aaa", "bbb", "cc"]);
    assert_eq!(streamed.header("x-pause-request"), "3,3,2,0e");
    assert_eq!(origin.request().text(), "aaabbbcc");
}

#[test]
fn streamed_edits_reach_both_sides() {
    let origin = Origin::start(|_| Reply::chunked(&["abc", "def", "ghi"]));
    let proxy = Proxy::chain(&[("s", &fixture("stream"), "")], Some(origin.address));
    let answer = proxy.client().chunked("POST /", &[], &["one", "two"]);
    assert_eq!(origin.request().text(), "ONETWO");
    assert_eq!(answer.text(), "ABCDEFGHI");
}

#[test]
fn two_filters_that_buffer_see_each_others_work() {
    let body = fixture("body");
    let origin = Origin::start(|_| Reply::ok("R"));
    let proxy = Proxy::chain(
        &[
            ("one", &body, "config: { request: append, response: append, text: \"1\" }"),
            ("two", &body, "config: { request: append, response: append, text: \"2\" }"),
        ],
        Some(origin.address),
    );
    let answer = proxy.client().request("POST /", &[], "Q");
    assert_eq!(origin.request().text(), "Q12");
    assert_eq!(answer.text(), "R21");
}

#[test]
fn more_than_the_cap_is_413_or_502_and_says_so() {
    let config = "config: { request: read, response: read }, limits: { body_buffer: 64KiB }";
    let big = "x".repeat(200_000);
    let reply = big.clone();
    let origin = Origin::start(move |_| Reply::ok(&reply));
    let proxy = Proxy::chain(&[("b", &fixture("body"), config)], Some(origin.address));
    let mut client = proxy.client();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", big.len());
    client.send(head);
    let _ = client.try_send(big.as_bytes());
    let refused = client.read();
    assert_eq!(refused.status(), 413);
    assert!(refused.header("proxy-status").contains("filter=b kind=body_too_large"), "{refused:?}");
    let refused = proxy.client().chunked("POST /", &[], &[&"x".repeat(50_000), &"y".repeat(50_000)]);
    assert_eq!(refused.status(), 413);
    let refused = proxy.client().request("GET /", &[], "");
    assert_eq!(refused.status(), 502, "{refused:?}");
    assert!(refused.header("proxy-status").contains("error=http_response_body_size"));
    assert!(refused.header("proxy-status").contains("filter=b kind=body_too_large"));
    assert_eq!(proxy.access(3)[2]["error"], "body_too_large");
}

#[test]
fn expect_continue_is_answered_before_the_body_is_read() {
    let origin = Origin::start(|_| Reply::ok("x"));
    let proxy = Proxy::chain(&[("b", &fixture("body"), "config: { request: upper }")], Some(origin.address));
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.read().status(), 100);
    client.send("hello");
    assert_eq!(client.read().text(), "x");
    assert_eq!(origin.request().text(), "HELLO");
}

#[test]
fn the_head_of_a_chunk_by_itself_is_no_piece_of_the_body() {
    let mut proxy = Proxy::start(&chain_yaml(&[("s", &fixture("stream"), "")], None, "server: { workers: 1 }\n"));
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n");
    proxy.wait_for("request chunk size=2");
    client.send("3\r\n");
    // The one worker has treated what came before when it has answered these.
    (0..4).for_each(|_| assert_eq!(proxy.client().request("GET /", &[], "").status(), 200));
    let answer = client.send("llo\r\n0\r\n\r\n").read();
    // The guest raises the letters of the echo, too.
    assert_eq!(answer.json()["BODY"], "HELLO");
    assert!(!proxy.log().contains("request chunk size=0 end=false"), "{}", proxy.log());
}

#[test]
fn the_head_of_an_answer_can_be_read_with_its_body_and_at_the_end() {
    // The origin waits with the body until the client has the head.
    let late = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = late.local_addr().unwrap();
    let (has_head, goes_on) = mpsc::channel();
    thread::spawn(move || {
        let mut stream = BufReader::new(late.accept().unwrap().0);
        wire::read(&mut stream, true).unwrap();
        stream.get_mut().write_all(b"HTTP/1.1 201 Created\r\nX-Is: late\r\nContent-Length: 5\r\n\r\n").unwrap();
        goes_on.recv().unwrap();
        stream.get_mut().write_all(b"hello").unwrap();
    });
    let origin = Origin::start(|_| {
        Reply::Bytes(b"HTTP/1.1 201 Created\r\nX-Is: whole\r\nContent-Length: 5\r\n\r\nhello".to_vec())
    });
    let script = r#"response_body: proxy_get_header_map_value 2 ":status"; response_body: proxy_get_header_map_value 2 "x-is"; log: proxy_get_header_map_value 2 "x-is""#;
    let mut proxy = Proxy::start(&format!(
        r#"
listeners: [{{ address: "127.0.0.1:0" }}]
filters:
  p: {{ source: {{ path: "{}" }}, env: {{ SCRIPT: '{script}' }} }}
upstreams: {{ whole: {{ endpoints: ["{}"] }}, late: {{ endpoints: ["{address}"] }} }}
routes:
  - {{ match: {{ path_prefix: /late }}, filters: [p], upstream: late }}
  - {{ match: {{ path_prefix: /own }}, filters: [p], respond: {{ status: 201, body: own, headers: {{ x-is: own }} }} }}
  - {{ filters: [p], upstream: whole }}
"#,
        fixture("probe"),
        origin.address
    ));
    let mut client = proxy.client();
    assert_eq!(client.request("GET /", &[], "").text(), "hello");
    assert_eq!(client.request("GET /own", &[], "").text(), "own");
    client.send("GET /late HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.read_head_only().header("x-is"), "late");
    has_head.send(()).unwrap();
    let read = |phase: &str, value: &str| format!("{phase} proxy_get_header_map_value -> 0 \"{value}\"");
    for answer in ["whole", "own", "late"] {
        proxy.wait_for(&read("response_body", answer));
        proxy.wait_for(&read("log", answer));
    }
    proxy.wait_count(&read("response_body", "201"), 3);
    assert!(!proxy.log().contains("proxy_get_header_map_value -> 1"), "{}", proxy.log());
}
