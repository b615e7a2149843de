//! Shared data, queues and metrics, across requests and across guests.

use crate::plan::{Chain, Exchange, Filter, World};

const GROUP: &str = "store";

pub fn chains() -> Vec<Chain> {
    let store = || vec![Filter::new("s", "store")];
    let listening = vec![Filter::new("s", "store").config("news")];
    vec![
        Chain::new(GROUP, "shared data", store(), shared_data()),
        Chain::new(GROUP, "queues", store(), queues()),
        Chain::new(GROUP, "queue events", listening, events()),
        Chain::new(GROUP, "metrics", store(), metrics()).world(World::default()),
    ]
}

fn steps(name: &str, steps: &str) -> Exchange {
    Exchange::new(name, "GET /", &[&format!("x-store: {steps}")])
}

fn shared_data() -> Vec<Exchange> {
    vec![
        steps("nothing there", "get a; get a"),
        steps("put and get", "put a one; get a; get a; get b"),
        steps("still there", "get a"),
        steps("swap with the number", "get a; swap a two; get a"),
        steps("swap with a stale number", "get a; put a three; swap a four; get a"),
        steps("swap across requests, first", "get a"),
        steps("swap across requests, second", "swap a five; get a"),
        steps("swap without a number", "swap c one; get c"),
        steps("a number for what is not there", "swap d one; swap d two; get d"),
        steps("empty value", "put e; get e; put e x; get e"),
        steps("other keys", "put ab 1; put a/b 2; get ab; get a/b; get A"),
    ]
}

fn queues() -> Vec<Exchange> {
    vec![
        steps("unknown", "push q x; pop q; resolve s q"),
        steps("registered", "register q; resolve s q; pop q"),
        steps("order", "push q one; push q two; push q three; pop q; pop q").until_logged("store queue q: three"),
        steps("across requests", "pop q; pop q"),
        steps("registered again", "push q kept; register q; pop q; resolve s q"),
        steps("of another vm", "resolve other q; resolve s nothing"),
        steps("two queues", "register r; push q 1; push r 2; pop r; pop q"),
    ]
}

fn events() -> Vec<Exchange> {
    let push = |name: &str, what: &str| steps(name, &format!("push news {what}"));
    vec![
        push("one item", "first").until_logged("store queue news: first"),
        push("another item", "second").until_logged("store queue news: second"),
        steps("several items", "push news 3; push news 4; push news 5").until_logged("store queue news: 5"),
        steps("another queue", "register quiet; push quiet x; pop quiet"),
    ]
}

fn metrics() -> Vec<Exchange> {
    vec![
        steps("unknown", "value x; add x 1; record x 1"),
        steps("counter", "counter c; value c; add c 2; add c 3; value c").metric("c", 4),
        steps("counter, later", "counter c; value c; add c 1; value c").metric("c", 3),
        steps("counter, recorded", "counter c2; record c2 5; record c2 7; value c2").metric("c2", 3),
        steps("counter, less than nothing", "counter c3; add c3 5; add c3 -2; value c3").metric("c3", 3),
        steps("gauge", "gauge g; value g; record g 7; value g; record g 3; value g").metric("g", 5),
        steps("gauge, added to", "gauge g2; record g2 7; add g2 2; add g2 -4; value g2").metric("g2", 4),
        steps("histogram", "histogram h; record h 10; record h 20; add h 1; value h"),
        steps("one name, two kinds", "counter k; add k 1; gauge k; value k"),
        steps("dots", "counter a.b.c; add a.b.c 4; value a.b.c").metric("a.b.c", 2),
    ]
}
