//! Guests that act without a request: ticks, queue events, calls while configuring, streams that a tick continues.

use crate::plan::{Chain, Exchange, Filter, Reply, World};

const GROUP: &str = "alive";
const WORLD: World = World { callouts: true, http2_clients: false, http2_upstream: false, alive: true };

pub fn chains() -> Vec<Chain> {
    let callout = |config: &str| vec![Filter::new("c", "callout").config(config)];
    let get = |name: &str| Exchange::new(name, "GET /queued", &[]);
    let calm = World { alive: false, ..WORLD };
    vec![
        Chain::new(
            GROUP,
            "ticks",
            callout("auth 5000 tick"),
            vec![get("three").calls(3).until_logged("root ticks end")],
        )
        .world(WORLD),
        Chain::new(
            GROUP,
            "call while configuring",
            callout("auth 5000 configure"),
            vec![get("one").calls(1).until_logged("root call answered")],
        )
        .world(WORLD),
        Chain::new(GROUP, "queue", callout("auth 5000 queue"), queued()).world(calm),
        Chain::new(GROUP, "resumed by a tick", vec![Filter::new("p", "pause").config("tick")], resumed()),
    ]
}

fn queued() -> Vec<Exchange> {
    let path = |path: &str| Exchange::new(path, &format!("GET {path}"), &[]);
    vec![
        path("/one").until_logged("root queue item /one"),
        path("/two").until_logged("root queue item /two"),
        path("/three?x=y").until_logged("root queue item /three?x=y"),
    ]
}

fn resumed() -> Vec<Exchange> {
    let mut exchanges = Vec::new();
    for way in ["request_headers_tick", "request_body_tick", "response_headers_tick", "response_body_tick"] {
        let knob = format!("x-pause: {way}");
        exchanges.push(Exchange::new(format!("{way}, length"), "POST /", &[&knob]).body("body"));
        let chunks = Exchange::new(format!("{way}, chunks"), "POST /", &[&knob]).chunks(&["aaa", "bb", "c"]);
        exchanges.push(chunks.reply(Reply::chunked(&["xxx", "yy", "z"])));
        exchanges.push(Exchange::new(format!("{way}, no body"), "GET /", &[&knob]).reply(Reply::ok("")));
    }
    exchanges
}
