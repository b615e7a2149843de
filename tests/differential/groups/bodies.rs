//! Bodies: held, changed and streamed, in every framing, on both sides.

use crate::plan::{Chain, Exchange, Filter, Reply};

const GROUP: &str = "bodies";

pub fn chains() -> Vec<Chain> {
    let mut chains = Vec::new();
    for mode in ["read", "replace", "append", "prepend", "delete", "partial"] {
        chains.push(Chain::new(GROUP, mode, vec![body("body", mode, true)], framings()));
    }
    chains.push(Chain::new(GROUP, "go replace", vec![body("go-body", "replace", true)], framings()));
    for side in ["request", "response"] {
        let filter = Filter::new("b", "body").config(format!(r#"{{"{side}":"json"}}"#));
        chains.push(Chain::new(GROUP, format!("json, {side}"), vec![filter], json()));
    }
    chains.push(Chain::new(GROUP, "length left alone", vec![body("body", "upper", false)], framings()));
    chains.push(Chain::new(GROUP, "stream", vec![Filter::new("s", "stream")], framings()));
    chains.push(Chain::new(GROUP, "large", vec![body("body", "append", true)], large()));
    chains
}

pub fn body(guest: &str, mode: &str, drop_length: bool) -> Filter {
    Filter::new("b", guest)
        .config(format!(r#"{{"request":"{mode}","response":"{mode}","text":"new","drop_length":{drop_length}}}"#))
}

fn post(name: &str) -> Exchange {
    Exchange::new(name, "POST /", &[])
}

fn framings() -> Vec<Exchange> {
    vec![
        post("length").body("hello").reply(Reply::ok("world")),
        post("length in pieces").parts(&["he", "llo"]).reply(Reply::in_pieces(&["wor", "ld"])),
        post("chunks").chunks(&["he", "l", "lo"]).reply(Reply::chunked(&["w", "orl", "d"])),
        post("chunks at once").chunks_at_once(&["he", "llo"]).reply(Reply::chunked(&["world"])),
        post("empty length").body("").reply(Reply::ok("")),
        post("no chunk").chunks(&[]).reply(Reply::chunked(&[])),
        // Where the guest died of the exchange before, it is waited for.
        Exchange::new("none", "GET /", &[]).reply(Reply::ok("world")).until_served(),
        post("until close").body("hello").reply(Reply::until_close("world")),
        post("one chunk").chunks(&["hello"]).reply(Reply::chunked(&["world"])),
        post("single bytes").chunks(&["h", "e", "l", "l", "o"]).reply(Reply::chunked(&["w", "o", "r", "l", "d"])),
        post("single bytes with a length").parts(&["h", "e", "l", "l", "o"]).reply(Reply::in_pieces(&["w", "orld"])),
        post("chunks against a length").chunks(&["he", "llo"]).reply(Reply::ok("world")),
        post("length against chunks").body("hello").reply(Reply::chunked(&["wor", "ld"])),
        split("chunks cut anywhere").reply(Reply::chunked(&["wor", "ld"]).cut(&[7, 1, 2, 4, 1])),
        post("everything at once")
            .chunks_at_once(&["h", "e", "llo"])
            .reply(Reply::chunked(&["w", "or", "ld"]).at_once()),
    ]
}

/// Chunks with an extension and trailers, in pieces that do not end where a chunk does.
fn split(name: &str) -> Exchange {
    let mut exchange = post(name).chunks(&["he", "llo"]);
    exchange.pieces.truncate(1);
    exchange.pieces.extend(["2", ";x=y\r", "\nh", "e\r\n3\r\nl", "lo\r\n0\r\n", "\r\n"].map(|p| p.as_bytes().to_vec()));
    exchange
}

fn json() -> Vec<Exchange> {
    let yes = "{\"a\": [1]}";
    vec![
        post("both").body(yes).reply(Reply::ok(yes)),
        post("both in chunks").chunks(&["{\"a\":", " 1}"]).reply(Reply::chunked(&["[1,", "2]"])),
        post("request is not").body("hello").reply(Reply::ok(yes)),
        post("request in chunks is not").chunks(&["{\"a\":", " 1"]).reply(Reply::ok(yes)),
        post("response is not").body(yes).reply(Reply::ok("world")),
        post("response in chunks is not").body(yes).reply(Reply::chunked(&["wor", "ld"])),
        Exchange::new("no request body", "GET /", &[]).reply(Reply::ok("2")),
    ]
}

fn large() -> Vec<Exchange> {
    let big = "0123456789".repeat(20_000);
    vec![
        post("request").body(&big),
        post("request in chunks").chunks(&[&big, "end"]),
        post("response").body("x").reply(Reply::ok(&big)),
        post("response in chunks").body("x").reply(Reply::chunked(&[&big, "end"])),
    ]
}
