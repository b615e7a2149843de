//! Pauses that end in the same callback, at the end of the body or never, and streams that a filter closes.

use crate::plan::{Chain, Exchange, Filter, Reply, Silent};

const GROUP: &str = "pause";

pub fn chains() -> Vec<Chain> {
    let mut exchanges =
        vec![get("nothing_known"), get("resume_idle"), get("request_body"), get("request_headers_until_body")];
    for way in ["nothing_known", "request_body", "response_body", "request_body_resume", "response_body_resume"] {
        exchanges.push(post(&format!("{way}, length"), way).body("body"));
        let chunks = post(&format!("{way}, chunks"), way).chunks(&["aaa", "bb", "c"]);
        exchanges.push(chunks.reply(Reply::chunked(&["xxx", "yy", "z"])));
    }
    exchanges.push(get("response_body").reply(Reply::ok("")));
    exchanges.push(get("request_headers_resume"));
    let way = "request_headers_resume";
    exchanges.push(post(&format!("{way}, length"), way).body("body").silent(Silent::Envoy));
    exchanges.push(get("response_headers_resume").silent(Silent::Envoy).reaches(1));
    for way in ["close_request", "close_response"] {
        exchanges.push(get(way));
        exchanges.push(post(&format!("{way}, length"), way).body("body"));
    }
    exchanges.push(get("request_headers_forever").silent(Silent::Both));
    exchanges.push(post("request_body_forever", "request_body_forever").body("body").silent(Silent::Both));
    exchanges.push(get("response_headers_forever").silent(Silent::Both).reaches(1));
    vec![Chain::new(GROUP, "rust", vec![Filter::new("p", "pause")], exchanges)]
}

fn get(way: &str) -> Exchange {
    Exchange::new(way, "GET /", &[&format!("x-pause: {way}")])
}

fn post(name: &str, way: &str) -> Exchange {
    Exchange::new(name, "POST /", &[&format!("x-pause: {way}")])
}
