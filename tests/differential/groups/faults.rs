//! What goes wrong in guests: traps in every phase, wild hostcalls, values that mean nothing.

use crate::plan::{Chain, Exchange, Filter, Reply, Silent};

const GROUP: &str = "faults";

pub fn chains() -> Vec<Chain> {
    let mut chains = vec![Chain::new(GROUP, "trap", vec![Filter::new("t", "trap")], traps())];
    let tag = |name| Filter::new(name, "tag").config(name);
    let middle = vec![tag("a"), Filter::new("t", "trap"), tag("b")];
    chains.push(Chain::new(GROUP, "trap between others", middle, traps()));
    chains.push(Chain::new(GROUP, "wild", vec![Filter::new("w", "wild")], wild()));
    for word in ["none", "bool-max", "action2", "action7", "action-max", "alloc-zero", "alloc-outside", "done-false"] {
        let filter = Filter::new("n", "nonsense").config(word);
        let silent = match word {
            "action2" => Silent::Sluice,
            "action7" | "action-max" => Silent::Both,
            _ => Silent::Nowhere,
        };
        let exchanges = vec![
            Exchange::new("get", "GET /path", &[]).silent(silent),
            Exchange::new("post", "POST /path", &[]).body("hello").silent(silent),
        ];
        chains.push(Chain::new(GROUP, format!("nonsense {word}"), vec![filter], exchanges));
    }
    chains
}

/// Each trap, and whether the next request is served by a new guest.
fn traps() -> Vec<Exchange> {
    let mut exchanges = vec![Exchange::new("before", "GET /", &[])];
    for phase in ["request_headers", "request_body", "response_headers", "response_body", "log", "delete"] {
        let trap = Exchange::new(phase, "POST /", &[&format!("x-trap: {phase}")]).body("hello");
        exchanges.push(trap);
        exchanges.push(Exchange::new(format!("after {phase}"), "GET /", &[]).until_served());
    }
    let chunked = Exchange::new("response_body in chunks", "GET /", &["x-trap: response_body"]);
    exchanges.push(chunked.reply(Reply::chunked(&["a", "b"])));
    exchanges.push(Exchange::new("after response_body in chunks", "GET /", &[]).until_served());
    exchanges
}

fn wild() -> Vec<Exchange> {
    let case = |name: &str| Exchange::new(name, "POST /path", &[&format!("x-case: {name}")]).body("abcdef");
    // The other groups do to Envoy what they must not do: it writes line ends into heads and answers with status 0.
    ["pointers", "outputs", "phases", "no such case"].map(case).into()
}
