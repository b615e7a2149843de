//! Answers by filters: from every phase, twice, bare, to gRPC clients.

use crate::plan::{Chain, Exchange, Filter, Reply};

const GROUP: &str = "local";

pub fn chains() -> Vec<Chain> {
    vec![
        Chain::new(GROUP, "rust", vec![Filter::new("l", "local")], exchanges()),
        Chain::new(GROUP, "go", vec![Filter::new("l", "go-local")], exchanges()),
        Chain::new(GROUP, "configured", vec![Filter::new("l", "local").config("response_headers")], configured()),
        Chain::new(GROUP, "grpc", vec![Filter::new("h", "headers")], grpc()),
    ]
}

fn at(name: &str, phase: &str, more: &[&str]) -> Exchange {
    let knob = format!("x-local-at: {phase}");
    let headers: Vec<&str> = std::iter::once(knob.as_str()).chain(more.iter().copied()).collect();
    Exchange::new(name, "POST /", &headers)
}

fn exchanges() -> Vec<Exchange> {
    vec![
        Exchange::new("none", "GET /", &[]),
        Exchange::new("request headers", "GET /", &["x-local-at: request_headers"]),
        Exchange::new("request headers, HEAD", "HEAD /", &["x-local-at: request_headers"]),
        at("request headers before a body", "request_headers", &[]).body("body"),
        at("request headers before chunks", "request_headers", &[]).chunks_at_once(&["bo", "dy"]),
        at("request headers, twice", "request_headers", &["x-local-twice: 1"]).body("body"),
        at("request headers, bare", "request_headers", &["x-local-bare: 1"]).body("body"),
        at("request headers, continue", "request_headers", &["x-local-continue: 1"]).body("body"),
        at("request body", "request_body", &[]).body("body"),
        at("request body in pieces", "request_body", &[]).parts(&["bo", "dy"]),
        at("request body in chunks", "request_body", &[]).chunks(&["bo", "dy"]),
        at("request body, bare", "request_body", &["x-local-bare: 1"]).body("body"),
        at("request body, twice", "request_body", &["x-local-twice: 1"]).body("body"),
        at("request body, continue", "request_body", &["x-local-continue: 1"]).body("body"),
        at("response headers", "response_headers", &[]).body("body"),
        at("response headers, chunks", "response_headers", &[]).body("body").reply(Reply::chunked(&["a", "b"])),
        at("response headers, bare", "response_headers", &["x-local-bare: 1"]).body("body"),
        at("response headers, twice", "response_headers", &["x-local-twice: 1"]).body("body"),
        at("response headers, continue", "response_headers", &["x-local-continue: 1"]).body("body"),
        at("response headers, no body", "response_headers", &[]).body("body").reply(Reply::ok("")),
        at("response body", "response_body", &[]).body("body"),
        at("response body in chunks", "response_body", &[]).body("body").reply(Reply::chunked(&["a", "b"])),
        at("unknown phase", "nowhere", &[]).body("body"),
    ]
}

fn configured() -> Vec<Exchange> {
    vec![
        Exchange::new("by configuration", "GET /", &[]),
        Exchange::new("knob wins", "GET /", &["x-local-at: request_headers"]),
        Exchange::new("HEAD", "HEAD /", &[]),
    ]
}

fn grpc() -> Vec<Exchange> {
    let knobs = ["x-deny: 1", "Content-Type: application/grpc"];
    vec![
        Exchange::new("no body", "POST /svc/Method", &knobs),
        Exchange::new("with a body", "POST /svc/Method", &knobs).body("\0\0\0\0\0"),
        Exchange::new("web", "POST /svc/Method", &["x-deny: 1", "Content-Type: application/grpc-web"]),
        Exchange::new("proto", "POST /svc/Method", &["x-deny: 1", "Content-Type: application/grpc+proto"]),
    ]
}
