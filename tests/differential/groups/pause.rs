//! Pauses that end in the same callback, at the end of the body or never, and streams that a filter closes.

use crate::plan::{Chain, Exchange, Filter, Reply};

const GROUP: &str = "pause";

pub fn chains() -> Vec<Chain> {
    let ways = ["request_headers_resume", "response_headers_resume", "resume_idle", "nothing_known"];
    let bodies = ["request_body", "response_body", "request_body_resume", "response_body_resume"];
    let mut exchanges = Vec::new();
    for way in ways {
        exchanges.push(get(way));
    }
    for way in ways.iter().chain(&bodies) {
        exchanges.push(post(&format!("{way}, length"), way).body("body"));
        let chunks = post(&format!("{way}, chunks"), way).chunks(&["aaa", "bb", "c"]);
        exchanges.push(chunks.reply(Reply::chunked(&["xxx", "yy", "z"])));
    }
    exchanges.push(get("request_body"));
    exchanges.push(get("response_body").reply(Reply::ok("")));
    for way in ["close_request", "close_response"] {
        exchanges.push(get(way));
        exchanges.push(post(&format!("{way}, length"), way).body("body"));
    }
    exchanges.push(get("request_headers_until_body"));
    exchanges.push(get("request_headers_forever").silent());
    exchanges.push(post("request_body_forever", "request_body_forever").body("body").silent());
    exchanges.push(get("response_headers_forever").silent());
    vec![Chain::new(GROUP, "rust", vec![Filter::new("p", "pause")], exchanges)]
}

fn get(way: &str) -> Exchange {
    Exchange::new(way, "GET /", &[&format!("x-pause: {way}")])
}

fn post(name: &str, way: &str) -> Exchange {
    Exchange::new(name, "POST /", &[&format!("x-pause: {way}")])
}
