//! Examples of the Go SDK that call upstreams by HTTP while a request waits.

use super::BODY;
use crate::{
    example,
    harness::{Origin, Reply, calling},
};

/// It asks with the request's own head, and the answer's hash decides: FNV-1a of one byte is even when the byte is odd.
#[test]
fn http_auth_random_decides_by_the_hash_of_the_answer() {
    for (byte, status, said) in [("a", 200, "access granted"), ("b", 403, "access forbidden")] {
        let httpbin = Origin::start(move |_| Reply::ok(byte));
        let mut proxy = calling(&example("go-http_auth_random"), "httpbin", httpbin.address, Some(httpbin.address));
        let answer = proxy.client().request("GET /uuid", &["x-mine: yes"], "");
        assert_eq!(answer.status(), status, "{answer:?}");
        let asked = httpbin.request();
        assert_eq!((asked.target(), asked.header("host")), ("/uuid", "test.example".into()));
        assert_eq!(asked.header("x-mine"), "yes");
        let log = proxy.wait_for(said);
        if status == 200 {
            assert_eq!((answer.text().as_str(), httpbin.request().target()), (byte, "/uuid"));
        } else {
            assert_eq!((answer.text(), answer.header("powered-by")), (said.into(), "proxy-wasm-go-sdk!!".into()));
            assert!(httpbin.untouched());
        }
        for line in ["request header: :path: /uuid", "http call dispatched to httpbin", "from httpbin: :status: 200"] {
            assert!(log.contains(line), "`{line}` is not in\n{log}");
        }
    }
}

#[test]
fn multiple_dispatches_hold_the_response_until_all_ten_came() {
    let httpbin = Origin::start(|r| match r.line.starts_with("HEAD ") {
        true => Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n".to_vec()),
        false => Reply::ok(BODY),
    });
    let mut proxy = calling(&example("go-multiple_dispatches"), "httpbin", httpbin.address, Some(httpbin.address));
    for round in 1..=3 {
        let answer = proxy.client().request("GET /", &[], "");
        assert_eq!((answer.header("total-dispatched"), answer.text()), ("10".into(), BODY.into()), "{round}");
        let log = proxy.wait_count("response resumed after processed 10 dispatched request", round);
        assert!((1..=9).all(|n| log.contains(&format!("pending dispatched requests: {n}"))), "{log}");
        // The request itself, and ten of the filter's own.
        for _ in 0..11 {
            assert_eq!(httpbin.request().target(), "/");
        }
        assert!(httpbin.untouched());
    }
    let head = proxy.client().request("HEAD /", &[], "");
    assert_eq!((head.status(), head.header("total-dispatched")), (200, "10".into()));
}
