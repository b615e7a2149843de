//! HTTP/2 on either side and on both: heads, bodies, trailers, answers of filters, failures.

use super::bodies::body;
use crate::plan::{Chain, Exchange, Filter, Reply, World};

const GROUP: &str = "http2";

pub fn chains() -> Vec<Chain> {
    let world = |clients, upstream| World { http2_clients: clients, http2_upstream: upstream, ..World::default() };
    let lifecycle = || vec![Filter::new("l", "lifecycle").config("p").vm_config("v")];
    let mut chains = Vec::new();
    for (name, world) in
        [("clients", world(true, false)), ("upstream", world(false, true)), ("both", world(true, true))]
    {
        let chain = |what: &str, filters, exchanges| {
            Chain::new(GROUP, format!("{name}, {what}"), filters, exchanges).world(world)
        };
        chains.push(chain("callbacks", lifecycle(), messages()));
        chains.push(chain("headers", vec![Filter::new("h", "headers")], heads()));
        chains.push(chain("bodies", vec![body("body", "append", true)], messages()));
        chains.push(chain("answers", vec![Filter::new("l", "local")], answers()));
        chains.push(chain("grpc answers", vec![Filter::new("h", "headers")], grpc(world.http2_upstream)));
        chains.push(chain("traps", vec![Filter::new("t", "trap")], traps()));
        if world.http2_upstream {
            let trailers = trailers(world.http2_clients);
            chains.push(chain("trailers", vec![Filter::new("t", "trailers")], trailers.clone()));
            chains.push(chain("trailers, watched", lifecycle(), trailers));
        }
    }
    chains
}

fn post(name: &str) -> Exchange {
    Exchange::new(name, "POST /x", &[])
}

fn messages() -> Vec<Exchange> {
    vec![
        Exchange::new("get", "GET /a?b=c", &[]).reply(Reply::ok("world")),
        post("length").body("hello").reply(Reply::ok("world")),
        post("pieces").parts(&["he", "llo"]).reply(Reply::in_pieces(&["wor", "ld"])),
        post("no length").chunks(&["he", "llo"]).reply(Reply::chunked(&["wor", "ld"])),
        post("empty").body("").reply(Reply::ok("")),
        Exchange::new("HEAD", "HEAD /", &[]).reply(Reply::ok("")),
    ]
}

fn heads() -> Vec<Exchange> {
    vec![
        Exchange::new("plain", "GET /path?q=1", &["X-Removed: gone", "X-Replaced: old", "X-Keep: a", "X-Keep: b"]),
        Exchange::new("path rewritten", "GET /old", &["x-rewrite: /new?x=1"]),
        Exchange::new("authority rewritten", "GET /", &["x-authority: other.example:81"]),
        Exchange::new("method rewritten", "GET /", &["x-method: OPTIONS"]),
        Exchange::new("status", "GET /", &["x-status: 404"]),
        Exchange::new("deny", "GET /", &["x-deny: 1"]),
        Exchange::new("deny with a body", "POST /", &["x-deny: 1"]).body("body"),
        Exchange::new("cookies", "GET /", &["Cookie: a=1", "Cookie: b=2"])
            .reply(Reply::with(&["Set-Cookie: a=1", "Set-Cookie: b=2"], "ok")),
    ]
}

fn answers() -> Vec<Exchange> {
    let phases = ["request_headers", "request_body", "response_headers", "response_body"];
    phases.map(|phase| Exchange::new(phase, "POST /", &[&format!("x-local-at: {phase}")]).body("body")).into()
}

fn grpc(http2_upstream: bool) -> Vec<Exchange> {
    let knobs = ["x-deny: 1", "Content-Type: application/grpc"];
    let reply = Reply::frames(&["Content-Type: application/grpc"], &["\0\0\0\0\0"]).trailers(&[("grpc-status", "0")]);
    let mut exchanges = vec![
        Exchange::new("denied", "POST /svc/Method", &knobs).body("\0\0\0\0\0"),
        Exchange::new("denied, json", "POST /svc/Method", &["x-deny: 1", "Content-Type: application/grpc+json"]),
    ];
    if http2_upstream {
        let fields = ["Content-Type: application/grpc", "TE: trailers"];
        exchanges.push(Exchange::new("passed", "POST /svc/Method", &fields).body("\0\0\0\0\0").reply(reply));
    }
    exchanges
}

fn traps() -> Vec<Exchange> {
    let mut exchanges = Vec::new();
    for phase in ["request_headers", "request_body", "response_headers"] {
        exchanges.push(Exchange::new(phase, "POST /", &[&format!("x-trap: {phase}")]).body("hello"));
        exchanges.push(Exchange::new(format!("after {phase}"), "GET /", &[]).until_served());
    }
    exchanges
}

fn trailers(http2_clients: bool) -> Vec<Exchange> {
    let some = &[("x-one", "1"), ("x-replaced", "old"), ("x-removed", "r"), ("x-last", "z")];
    let get = |name: &str, reply: Reply| Exchange::new(name, "GET /", &["TE: trailers"]).reply(reply);
    let mut exchanges = vec![
        get("behind a body", Reply::frames(&[], &["body"]).trailers(some)),
        get("behind pieces", Reply::frames(&[], &["a", "b", "c"]).trailers(some)),
        get("without a body", Reply::frames(&[], &[]).trailers(some)),
        get("one name twice", Reply::frames(&[], &["body"]).trailers(&[("x-dup", "1"), ("x-dup", "2")])),
        get("none", Reply::frames(&[], &["body"])),
    ];
    // A client of HTTP/1.1 is done with such a body before its trailers come.
    if http2_clients {
        exchanges.push(get("with a length", Reply::with(&[], "body").trailers(some)));
    }
    exchanges
}
