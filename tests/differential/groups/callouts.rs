//! Callouts: from every phase, several at once, and every way in which they fail.

use crate::plan::{Chain, Exchange, Filter, Reply, Silent, World};

const GROUP: &str = "callouts";
const WORLD: World = World { callouts: true, http2_clients: false, http2_upstream: false, alive: false };
const PHASES: [&str; 4] = ["request_headers", "request_body", "response_headers", "response_body"];

pub fn chains() -> Vec<Chain> {
    let callout = |config: &str| Filter::new("c", "callout").config(config);
    let tag = |name| Filter::new(name, "tag").config(name);
    vec![
        Chain::new(GROUP, "answered", vec![callout("auth 5000")], answered()).world(WORLD),
        Chain::new(GROUP, "answers", vec![callout("auth 5000")], answers()).world(WORLD),
        Chain::new(GROUP, "failures", vec![callout("auth 200")], failures()).world(WORLD),
        Chain::new(GROUP, "between others", vec![tag("a"), callout("auth 5000"), tag("b")], between()).world(WORLD),
    ]
}

fn post(name: impl Into<String>, knobs: &[&str]) -> Exchange {
    Exchange::new(name, "POST /x", knobs).body("body").reply(Reply::ok("origin"))
}

fn at(phase: &str) -> String {
    format!("x-call-at: {phase}")
}

fn answered() -> Vec<Exchange> {
    let mut exchanges = vec![Exchange::new("none", "GET /", &[])];
    for phase in PHASES {
        exchanges.push(post(phase, &[&at(phase)]).calls(1));
        let chunked = Exchange::new(format!("{phase}, chunks"), "POST /x", &[&at(phase)]).chunks(&["bo", "dy"]);
        exchanges.push(chunked.reply(Reply::chunked(&["ori", "gin"])).calls(1));
        exchanges.push(post(format!("{phase}, denied"), &[&at(phase), "x-call-deny: 1"]).calls(1));
        exchanges.push(post(format!("{phase}, three at once"), &[&at(phase), "x-call-count: 3"]).calls(3));
    }
    let no_body = |name: &str, phase: &str| Exchange::new(name, "GET /", &[&at(phase)]);
    exchanges.push(no_body("request_headers, no body", "request_headers").calls(1));
    exchanges.push(no_body("request_body, no body", "request_body"));
    exchanges.push(no_body("response_headers, no body", "response_headers").reply(Reply::ok("")).calls(1));
    exchanges.push(no_body("response_body, no body", "response_body").reply(Reply::ok("")));
    exchanges.push(Exchange::new("HEAD", "HEAD /", &["x-call-at: request_headers"]).calls(1));
    exchanges.push(post("log", &["x-call-at: log"]).calls(1));
    exchanges
}

/// What the service may answer.
fn answers() -> Vec<Exchange> {
    let head = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let raw = |rest: &str| Reply::raw(&format!("{head}{rest}"));
    let early = Reply::raw(&format!("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n{head}Content-Length: 2\r\n\r\nok"));
    let status = |line: &str| {
        Reply::raw(&format!("HTTP/1.1 {line}\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 2\r\n\r\nno"))
    };
    let replies = [
        ("empty", Reply::ok("")),
        ("chunks", Reply::chunked(&["a", "b"]).at_once()),
        ("until close", Reply::until_close("bye")),
        ("fields", Reply::with(&["X-One: 1", "X-Two: 2", "X-One: 3"], "ok")),
        ("no content", Reply::raw("HTTP/1.1 204 No Content\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n")),
        ("forbidden", status("403 Forbidden")),
        ("not found", status("404 Not Found")),
        ("server error", status("500 Internal Server Error")),
        ("unavailable", status("503 Service Unavailable")),
        ("redirect", status("302 Found")),
        ("early hints", early),
        ("large", raw(&format!("Content-Length: 100000\r\n\r\n{}", "x".repeat(100_000)))),
    ];
    replies
        .into_iter()
        .map(|(name, reply)| Exchange::new(name, "GET /", &["x-call-at: response_headers"]).service(reply).calls(1))
        .collect()
}

/// Each from the request's and from the response's head.
fn failures() -> Vec<Exchange> {
    let mut exchanges = Vec::new();
    for phase in ["request_headers", "response_headers"] {
        let one = |name: &str, to: &str| post(format!("{name}, {phase}"), &[&at(phase), &format!("x-call-to: {to}")]);
        exchanges.push(one("unknown cluster", "nowhere"));
        exchanges.push(one("connection refused", "refused"));
        exchanges.push(one("timeout", "silent"));
        let broken =
            |name: &str, text: &str| one(name, "auth").service(Reply { close: true, ..Reply::raw(text) }).calls(1);
        exchanges.push(broken("no answer", ""));
        exchanges.push(broken("half a head", "HTTP/1.1 200 OK\r\nX-"));
        let half = broken("half a body", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        exchanges.push(half.silent(Silent::Envoy));
        exchanges.push(broken("garbage", "garbage\r\n\r\n"));
        // The service goes on as if nothing had been.
        exchanges.push(one("afterwards", "auth").calls(1));
    }
    let denied = ["x-call-at: request_headers", "x-call-to: refused", "x-call-deny: 1"];
    exchanges.push(post("connection refused, denied", &denied));
    exchanges
}

fn between() -> Vec<Exchange> {
    PHASES.map(|phase| post(phase, &[&at(phase)]).calls(1)).into()
}
