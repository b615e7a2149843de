//! Chains: order, configuration by route, filters by route.

use crate::harness::{Origin, Proxy, Reply, fixture};

#[test]
fn requests_go_forward_and_responses_backward() {
    let tag = fixture("tag");
    let origin = Origin::start(|_| Reply::ok("x"));
    let proxy = Proxy::chain(
        &[("a", &tag, "config: a"), ("b", &tag, "config: b"), ("c", &tag, "config: c")],
        Some(origin.address),
    );
    let answer = proxy.client().request("GET /", &[], "");
    assert_eq!(origin.request().header("x-chain"), "a,b,c");
    assert_eq!(answer.header("x-chain"), "c,b,a");
    let line = &proxy.access(1)[0];
    let names: Vec<&str> = line["filters"].as_array().unwrap().iter().map(|f| f["filter"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert!(line["filters"][0]["us"].as_f64().unwrap() > 0.0);
}

#[test]
fn filters_and_their_configuration_are_chosen_by_route() {
    let tag = fixture("tag");
    let proxy = Proxy::start(&format!(
        r#"
listeners: [{{ address: "127.0.0.1:0" }}]
filters:
  t: {{ source: {{ path: "{tag}" }}, config: base }}
  u: {{ source: {{ path: "{tag}" }}, config: other }}
upstreams: {{ echo: {{ builtin: echo }} }}
routes:
  - {{ match: {{ path_prefix: /plain }}, upstream: echo }}
  - {{ match: {{ path_prefix: /one }}, filters: [t], upstream: echo }}
  - {{ match: {{ path_prefix: /own }}, filters: [{{ use: t, config: own }}, u], upstream: echo }}
  - {{ match: {{ path_prefix: /twice }}, filters: [t, {{ use: t, config: again }}], upstream: echo }}
"#
    ));
    let mut client = proxy.client();
    let mut chain = |path: &str| {
        let answer = client.request(&format!("GET {path}"), &[], "");
        (answer.echoed("x-chain"), answer.header("x-chain"))
    };
    assert_eq!(chain("/plain"), (None, String::new()));
    assert_eq!(chain("/one"), (Some("base".into()), "base".into()));
    assert_eq!(chain("/own"), (Some("own,other".into()), "other,own".into()));
    assert_eq!(chain("/twice"), (Some("base,again".into()), "again,base".into()));
}

#[test]
fn a_filter_that_changes_the_path_changes_the_route() {
    let headers = fixture("headers");
    let proxy = Proxy::start(&format!(
        r#"
listeners: [{{ address: "127.0.0.1:0" }}]
filters: {{ h: {{ source: {{ path: "{headers}" }} }} }}
upstreams: {{ echo: {{ builtin: echo }} }}
routes:
  - {{ match: {{ path: /secret }}, respond: {{ status: 200, body: "the other route" }} }}
  - {{ match: {{ path: /only-here }}, filters: [h], upstream: echo }}
"#
    ));
    let mut client = proxy.client();
    assert_eq!(client.request("GET /only-here", &["x-rewrite: /secret"], "").text(), "the other route");
    let lost = client.request("GET /only-here", &["x-rewrite: /nowhere"], "");
    assert_eq!(lost.status(), 404);
    assert!(lost.header("proxy-status").contains("kind=no_route"));
}

#[test]
fn a_filter_that_changes_a_field_changes_the_route_where_one_asks_for_it() {
    let tag = fixture("tag");
    let proxy = Proxy::start(&format!(
        r#"
listeners: [{{ address: "127.0.0.1:0" }}]
filters: {{ t: {{ source: {{ path: "{tag}" }}, config: mark }} }}
upstreams: {{ echo: {{ builtin: echo }} }}
routes:
  - {{ match: {{ path_prefix: /, headers: {{ x-chain: mark }} }}, respond: {{ status: 200, body: "marked" }} }}
  - {{ filters: [t], upstream: echo }}
"#
    ));
    let answer = proxy.client().request("GET /", &[], "");
    assert_eq!((answer.text(), answer.header("x-chain")), ("marked".into(), "mark".into()));
}
