//! Where requests go: `/routes/explain` and `/upstreams`.

use serde_json::json;

use super::Admin;
use crate::{
    harness::{Origin, Proxy, Reply},
    swap::version::{Version, put},
};

fn start(origin: &Origin) -> Proxy {
    let dir = tempfile::TempDir::new().unwrap();
    put(dir.path(), &Version::new("1"));
    let yaml = format!(
        "listeners: [{{ address: \"127.0.0.1:0\" }}]
admin: {{ address: \"127.0.0.1:0\" }}
filters: {{ v: {{ source: {{ path: DIR/v.wasm }} }} }}
upstreams: {{ app: {{ endpoints: [\"{}\"] }}, echo: {{ builtin: echo }} }}
routes:
  - {{ name: all, upstream: echo }}
  - {{ name: api, match: {{ host: api.example, path_prefix: /v1 }}, filters: [{{ use: v, config: s3cret-route }}], upstream: app }}
  - {{ name: post, match: {{ host: api.example, path_prefix: /v1, methods: [POST] }}, upstream: app }}
  - {{ match: {{ host: api.example, path_prefix: /v1, headers: {{ x-key: s3cret-key }} }}, respond: {{ body: s3cret-body }} }}
",
        origin.address
    );
    Proxy::start_in(dir, &yaml)
}

#[test]
fn a_route_is_explained_with_what_was_passed_over() {
    let origin = Origin::start(|_| Reply::ok(""));
    let proxy = start(&origin);
    let admin = Admin::of(&proxy);
    let told = admin.get("/routes/explain?host=API.example:80&path=/x/../v1/items%3Fq=1&method=GET");
    assert!(!told.text().contains("s3cret"), "{told:?}");
    let told = told.json();
    assert_eq!(told["request"], json!({ "host": "API.example:80", "path": "/v1/items?q=1", "method": "GET" }));
    assert_eq!((&told["route"]["name"], &told["route"]["action"]), (&"api".into(), &json!({ "upstream": "app" })));
    assert_eq!(
        (&told["route"]["filters"][0]["filter"], &told["upstream"]["balance"]),
        (&"v".into(), &"round_robin".into())
    );
    assert_eq!(told["route"]["filters"][0]["config"]["hidden_bytes"], 12);
    let passed: Vec<_> = told["passed_over"].as_array().unwrap().iter().map(|p| p["why"].as_str().unwrap()).collect();
    assert_eq!(passed, ["the header `x-key` is not there, or not as it wants it", "it is for other methods"]);
    let with_key = "/routes/explain?host=api.example&path=/v1&header=x-key:%20s3cret-key";
    let told = admin.get(with_key).json();
    assert_eq!((told["route"]["action"]["respond"]["status"].as_u64(), &told["upstream"]), (Some(200), &json!(null)));
    assert_eq!(admin.get("/routes/explain").json()["route"]["name"], "all");
    for (query, words) in [("path=/../x", "above the root"), ("hots=a", "`hots` is none of"), ("header=:", "no name")] {
        let answer = admin.get(&format!("/routes/explain?{query}"));
        assert_eq!(answer.status(), 400);
        assert!(answer.json()["error"].as_str().unwrap().contains(words), "{answer:?}");
    }
}

#[test]
fn endpoints_are_shown_with_how_they_were_reached() {
    let origin = Origin::start(|_| Reply::ok(""));
    let proxy = start(&origin);
    let admin = Admin::of(&proxy);
    let mut client = proxy.client();
    for _ in 0..3 {
        client.send("GET /v1 HTTP/1.1\r\nHost: api.example\r\n\r\n");
        assert_eq!(client.read().status(), 200);
    }
    let upstreams = admin.get("/upstreams").json()["upstreams"].clone();
    let address = origin.address.to_string();
    let endpoint = &upstreams[0]["endpoints"][0];
    assert_eq!((&upstreams[0]["name"], &upstreams[1]), (&"app".into(), &json!({ "name": "echo", "builtin": "echo" })));
    assert_eq!((&endpoint["endpoint"], &endpoint["addresses"]), (&address.clone().into(), &json!([address])));
    // An attempt begins, and finds its connection, before its answer.
    assert_eq!(
        (&endpoint["attempts"], &endpoint["failures"], &endpoint["scheme"]),
        (&3.into(), &0.into(), &"http".into())
    );
    let connections = endpoint["connections"].as_u64().unwrap() + endpoint["connections_reused"].as_u64().unwrap();
    assert_eq!(connections, 3, "{endpoint}");
}
