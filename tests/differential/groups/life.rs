//! The life of guests: which callbacks come when, configuration, environment, old ABIs.

use crate::plan::{Chain, Exchange, Filter, Reply};

const GROUP: &str = "life";

pub fn chains() -> Vec<Chain> {
    let lifecycle = |guest| vec![Filter::new("l", guest).config("p").vm_config("v")];
    let config = || Filter::new("c", "config");
    let env = |guest| vec![Filter::new("e", guest).env("B", "2").env("A", "one").env("EMPTY", "")];
    let one = || vec![Exchange::new("get", "GET /", &[])];
    vec![
        Chain::new(GROUP, "callbacks, rust", lifecycle("lifecycle"), callbacks()),
        Chain::new(GROUP, "callbacks, go", lifecycle("go-lifecycle"), callbacks()),
        Chain::new(GROUP, "no configuration", vec![config()], one()),
        Chain::new(GROUP, "configuration", vec![config().config("a \"b\"\n\u{e4}").vm_config("plain")], one()),
        Chain::new(GROUP, "configuration, JSON", vec![config().config(r#"{"b":1,"a":[true,null,"x"]}"#)], one()),
        Chain::refused(GROUP, "on_configure is false", vec![config().config("refuse")]),
        Chain::refused(GROUP, "on_vm_start is false", vec![config().vm_config("refuse")]),
        Chain::refused(GROUP, "configuration cannot be read", vec![Filter::new("b", "body").config("{\"nope\":1}")]),
        Chain::refused(GROUP, "trap in on_configure", vec![Filter::new("t", "trap").config("trap configure")]),
        Chain::refused(GROUP, "trap in on_vm_start", vec![Filter::new("t", "trap").vm_config("trap vm_start")]),
        Chain::new(GROUP, "environment, rust", env("env"), environment()),
        Chain::new(GROUP, "environment, go", env("go-env"), environment()),
        Chain::new(GROUP, "no environment", vec![Filter::new("e", "env")], one()),
        Chain::new(GROUP, "abi 0.1.0", vec![Filter::new("l", "legacy").config("old").vm_config("vm")], legacy()),
        Chain::new(GROUP, "malloc, no WASI", vec![Filter::new("h", "headers.unknown")], one()),
        Chain::new(GROUP, "nothing", vec![Filter::new("n", "noop")], transparent()),
        Chain::new(GROUP, "nothing, no WASI", vec![Filter::new("n", "noop.unknown")], transparent()),
    ]
}

fn callbacks() -> Vec<Exchange> {
    let empty = |status: &str| Reply::raw(&format!("HTTP/1.1 {status}\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"));
    vec![
        Exchange::new("get", "GET /a", &[]),
        Exchange::new("post", "POST /b", &[]).body("hello"),
        Exchange::new("chunks", "POST /c", &[]).chunks(&["12", "345"]).reply(Reply::chunked(&["ab", "cd"])),
        Exchange::new("HEAD", "HEAD /d", &[]),
        Exchange::new("no content", "GET /e", &[]).reply(empty("204 No Content")),
        Exchange::new("not modified", "GET /f", &[]).reply(empty("304 Not Modified")),
        Exchange::new("empty answer", "GET /g", &[]).reply(Reply::ok("")),
        Exchange::new("until close", "GET /h", &[]).reply(Reply::until_close("bye")),
        Exchange::new("continue", "POST /i", &["Expect: 100-continue"]).parts(&["hello"]),
        Exchange::new("early hints", "GET /j", &[])
            .reply(Reply::raw("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 1\r\n\r\nx")),
    ]
}

fn environment() -> Vec<Exchange> {
    vec![Exchange::new("get", "GET /", &[]), Exchange::new("again", "GET /", &["x-random-size: 1024"])]
}

fn legacy() -> Vec<Exchange> {
    vec![
        Exchange::new("get", "GET /", &[]),
        Exchange::new("resume the request", "GET /", &["x-resume: request"]),
        Exchange::new("resume the response", "GET /", &["x-resume: response"]),
        Exchange::new("post", "POST /", &[]).body("hello"),
    ]
}

/// A filter that does nothing changes nothing, however the messages look.
fn transparent() -> Vec<Exchange> {
    let mut exchanges = callbacks();
    let raw = |name: &str, head: &str| Exchange::raw(name, head.as_bytes().to_vec(), false);
    exchanges.extend([
        raw("HTTP/1.0", "GET /a HTTP/1.0\r\nHost: test.example\r\nX-Forwarded-Proto: http\r\n\r\n"),
        raw(
            "absolute form",
            "GET http://other.example/a?b HTTP/1.1\r\nHost: test.example\r\nX-Forwarded-Proto: http\r\n\r\n",
        ),
        raw(
            "absolute form, same host",
            "GET http://test.example/a?b HTTP/1.1\r\nHost: test.example\r\nX-Forwarded-Proto: http\r\n\r\n",
        ),
        raw("asterisk", "OPTIONS * HTTP/1.1\r\nHost: test.example\r\nX-Forwarded-Proto: http\r\n\r\n"),
        Exchange::new("upgrade", "GET /", &["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]),
        Exchange::new("upgrade to something else", "GET /", &["Connection: Upgrade", "Upgrade: x"]),
        Exchange::new("close", "GET /", &["Connection: close"]),
        Exchange::new("named in connection", "GET /", &["Connection: x-hop", "X-Hop: 1", "X-Stay: 1"]),
        Exchange::new("te", "GET /", &["TE: trailers"]),
        Exchange::new("cookies", "GET /", &["Cookie: a=1", "Cookie: b=2"]),
        Exchange::new("own reason", "GET /", &[])
            .reply(Reply::raw("HTTP/1.1 200 Fine\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n")),
        Exchange::new("path bytes", "GET /a%20b/%2F/%c3%bc;p?q=%zz", &[]),
        Exchange::new("dots in the path", "GET /a/../b/./c", &[]),
        Exchange::new("slashes in the path", "GET //a///b", &[]),
        Exchange::new("other method", "PURGE /x", &[]),
        Exchange::new("delete", "DELETE /x", &[]),
    ]);
    exchanges
}
