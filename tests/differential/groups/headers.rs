//! Heads: read, added, replaced, removed, in their order, and the pseudo headers.

use crate::plan::{Chain, Exchange, Filter, Reply};

const GROUP: &str = "headers";

pub fn chains() -> Vec<Chain> {
    let mut chains = vec![
        Chain::new(GROUP, "rust", vec![Filter::new("h", "headers")], both()),
        Chain::new(GROUP, "go", vec![Filter::new("h", "go-headers")], both()),
    ];
    chains[0].exchanges.extend(rust_only());
    chains
}

fn get(name: &str, line: &str, headers: &[&str]) -> Exchange {
    Exchange::new(name, line, headers)
}

/// What both guests can be asked for.
fn both() -> Vec<Exchange> {
    vec![
        get("plain", "GET /path?q=1", &[]),
        get("add, replace, remove", "GET /", &["X-Removed: gone", "X-Replaced: old", "X-Replaced: older"]),
        get("duplicates stay apart", "GET /", &["X-Keep: a", "X-Other: o", "X-Keep: b", "x-keep: c"]),
        get("order and letters", "GET /", &["ZZ: 1", "Accept-THIS: 2", "b: 3", "A: 4"]),
        get("added already there", "GET /", &["X-Added: zero", "X-Seen: mine"]),
        get("empty value", "GET /", &["X-Nothing:", "X-Blank:   ", "X-Trimmed:  a b \t"]),
        get("path rewritten", "GET /old?a=1", &["x-rewrite: /new/path?x=1"]),
        get("deny", "GET /", &["x-deny: 1"]),
        get("deny, HEAD", "HEAD /", &["x-deny: 1"]),
        get("deny with a body", "POST /", &["x-deny: 1"]).body("body"),
        get("HEAD", "HEAD /", &[]),
        get("status", "GET /", &["x-status: 207"]),
        get("status without body", "GET /", &["x-status: 404"]).reply(Reply::ok("")),
        get("wipe", "GET /w", &["x-wipe: 1", "x-secret: s"]),
        get("post", "POST /", &[]).body("hello"),
        get("until close", "GET /", &[]).reply(Reply::until_close("bye")),
        get("chunks", "POST /", &[]).chunks(&["a", "b"]).reply(Reply::chunked(&["c", "d"])),
        get("expect", "POST /", &["Expect: 100-continue"]).parts(&["hello"]),
        get("hop by hop", "GET /", &["Connection: x-hop", "X-Hop: 1", "Keep-Alive: 5", "TE: trailers", "Upgrade: x"]),
        get("response fields", "GET /", &[]).reply(Reply::with(
            &[
                "X-Removed: r",
                "X-Replaced: 1",
                "X-Dup: 1",
                "X-Other: o",
                "X-Dup: 2",
                "X-Replaced: 2",
                "Set-Cookie: a=1",
                "Set-Cookie: b=2",
            ],
            "ok",
        )),
    ]
}

fn rust_only() -> Vec<Exchange> {
    let bytes = |name: &str, value: &[u8]| {
        let head = [b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: http\r\nx-bytes: ", value, b"\r\n\r\n"].concat();
        Exchange::raw(name, head, false)
    };
    vec![
        get("authority rewritten", "GET /", &["x-authority: other.example:81"]),
        get("method rewritten", "GET /", &["x-method: OPTIONS"]),
        get("method rewritten, with a body", "POST /", &["x-method: PUT"]).body("hello"),
        get("all three rewritten", "GET /a", &["x-method: DELETE", "x-authority: b", "x-rewrite: /c"]),
        get("deny before a continue", "POST /", &["x-deny: 1", "Expect: 100-continue", "Content-Length: 5"]),
        bytes("bytes not UTF-8", b"\xff\xfe\xe4"),
        bytes("UTF-8", "gr\u{fc}n".as_bytes()),
        bytes("tab inside", b"a\tb"),
    ]
}
