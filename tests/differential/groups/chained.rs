//! Chains of two and three filters: who sees what of whom, in which order.

use super::bodies::body;
use crate::plan::{Chain, Exchange, Filter, Reply};

const GROUP: &str = "chains";

fn tag(name: &'static str) -> Filter {
    Filter::new(name, "tag").config(name)
}

pub fn chains() -> Vec<Chain> {
    let named = |name: &'static str, filter: Filter| Filter { name, ..filter };
    let local = || Filter::new("l", "local");
    vec![
        Chain::new(GROUP, "two tags", vec![tag("a"), tag("b")], plain()),
        Chain::new(GROUP, "three tags, rust and go", vec![tag("a"), Filter::new("h", "go-headers"), tag("c")], plain()),
        Chain::new(
            GROUP,
            "two that hold bodies",
            vec![named("one", body("body", "append", true)), named("two", body("body", "prepend", true))],
            plain(),
        ),
        Chain::new(GROUP, "stream, then hold", vec![Filter::new("s", "stream"), body("body", "append", true)], plain()),
        Chain::new(GROUP, "hold, then stream", vec![body("body", "append", true), Filter::new("s", "stream")], plain()),
        Chain::new(
            GROUP,
            "hold, then watch",
            vec![body("body", "append", true), Filter::new("l", "lifecycle").config("p").vm_config("v")],
            plain(),
        ),
        Chain::new(
            GROUP,
            "watch, then hold",
            vec![Filter::new("l", "lifecycle").config("p").vm_config("v"), body("body", "append", true)],
            plain(),
        ),
        Chain::new(GROUP, "answer in the middle", vec![tag("a"), local(), tag("b")], answers()),
        Chain::new(GROUP, "answer at the end", vec![tag("a"), body("body", "append", true), local()], answers()),
        Chain::new(
            GROUP,
            "one guest twice",
            vec![Filter::new("one", "headers"), Filter::new("two", "headers")],
            plain(),
        ),
    ]
}

fn plain() -> Vec<Exchange> {
    vec![
        Exchange::new("get", "GET /", &[]),
        Exchange::new("post", "POST /", &[]).body("hello").reply(Reply::ok("world")),
        Exchange::new("chunks", "POST /", &[]).chunks(&["he", "llo"]).reply(Reply::chunked(&["wor", "ld"])),
        Exchange::new("tagged before", "GET /", &["X-Chain: client"]).reply(Reply::with(&["X-Chain: origin"], "x")),
    ]
}

fn answers() -> Vec<Exchange> {
    let phases = ["request_headers", "request_body", "response_headers", "response_body"];
    phases.map(|phase| Exchange::new(phase, "POST /", &[&format!("x-local-at: {phase}")]).body("body")).into()
}
