//! Answers by filters, from every phase.

use crate::harness::{Origin, Proxy, Reply, fixture, go_fixture};

#[test]
fn from_every_phase_with_the_response_filters_seeing_it() {
    for module in [fixture("local"), go_fixture("local")] {
        let tag = fixture("tag");
        let origin = Origin::start(|_| Reply::ok("origin"));
        let proxy = Proxy::chain(&[("first", &tag, "config: first"), ("l", &module, "")], Some(origin.address));
        let mut client = proxy.client();

        let early = client.request("GET /", &["x-local-at: request_headers"], "");
        assert_eq!(early.status(), 418);
        assert_eq!(early.text(), "teapot at request_headers\n");
        assert_eq!(early.header("x-local"), "request_headers, again");
        assert_eq!(early.header("x-local-saw"), "418", "its own response callback runs");
        assert_eq!(early.header("x-chain"), "first", "and that of the filter before it");
        assert!(early.header("proxy-status").contains("filter=l"));
        assert!(origin.untouched());

        // The small body was read, so the connection goes on.
        let in_body = client.request("POST /", &["x-local-at: request_body"], "body");
        assert_eq!((in_body.status(), in_body.text().as_str()), (418, "teapot at request_body\n"));
        assert_eq!(in_body.header("x-local-saw"), "418");
        assert!(origin.untouched());

        let late = client.request("GET /", &["x-local-at: response_headers"], "");
        assert_eq!((late.status(), late.text().as_str()), (418, "teapot at response_headers\n"));
        assert_eq!(late.header("x-local"), "response_headers, again");
        origin.request();

        // The head is not out yet when head and body came in one piece; otherwise the stream is cut.
        let mut client = proxy.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\nx-local-at: response_body\r\n\r\n");
        match client.try_read() {
            Ok(Some(answer)) => assert_eq!(answer.status(), 418),
            Ok(None) => {}
            Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::UnexpectedEof),
        }
    }
}

#[test]
fn in_the_middle_of_a_streamed_request_body() {
    let origin = Origin::start(|_| Reply::ok("origin"));
    let proxy = Proxy::chain(&[("l", &fixture("local"), "")], Some(origin.address));
    let answer = proxy.client().chunked("POST /", &["x-local-at: request_body"], &["a", "b"]);
    assert_eq!((answer.status(), answer.text().as_str()), (418, "teapot at request_body\n"));
}

#[test]
fn a_second_answer_is_ignored_and_said() {
    let mut proxy = Proxy::chain(&[("l", &fixture("local"), "")], None);
    let answer = proxy.client().request("GET /", &["x-local-at: request_headers", "x-local-twice: 1"], "");
    assert_eq!((answer.status(), answer.text().as_str()), (418, "teapot at request_headers\n"));
    proxy.wait_for("called twice; the second is ignored");
}

#[test]
fn the_returned_action_does_not_matter() {
    let proxy = Proxy::chain(&[("l", &fixture("local"), "")], None);
    let answer = proxy.client().request("GET /", &["x-local-at: request_headers", "x-local-continue: 1"], "");
    assert_eq!(answer.status(), 418);
}

#[test]
fn without_headers_and_body() {
    let proxy = Proxy::chain(&[("l", &fixture("local"), "")], None);
    let mut client = proxy.client();
    let bare = client.request("GET /", &["x-local-at: request_headers", "x-local-bare: 1"], "");
    assert_eq!((bare.status(), bare.header("content-length").as_str()), (418, "0"));
    let head = client.request("HEAD /", &["x-local-at: request_headers"], "");
    assert_eq!((head.status(), head.header("content-length").as_str()), (418, "26"));
    assert_eq!(client.request("GET /", &[], "").status(), 200, "the connection goes on");
}

#[test]
fn grpc_clients_get_a_grpc_status() {
    let proxy = Proxy::chain(&[("h", &fixture("headers"), "")], None);
    let answer = proxy.client().request("POST /svc/Method", &["x-deny: 1", "content-type: application/grpc"], "");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("grpc-status"), "7");
    assert_eq!(answer.header("grpc-message"), "denied%0A");
}
