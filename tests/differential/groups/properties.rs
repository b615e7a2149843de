//! Properties: which there are in which phase, and their bytes.

use serde_json::json;

use crate::plan::{Chain, Exchange, Filter, Reply};

const GROUP: &str = "properties";

const REQUEST: &[&str] = &[
    "request.path",
    "request.url_path",
    "request.host",
    "request.scheme",
    "request.method",
    "request.query",
    "request.protocol",
    "request.referer",
    "request.useragent",
    "request.id",
    "request/headers/x.y",
    "request/headers/absent",
    "request.size",
    "request.total_size",
    "request.nothing",
    "request.headers",
];
const RESPONSE: &[&str] = &[
    "response.code",
    "response.size",
    "response.total_size",
    "response.flags",
    "response.grpc_status",
    "response/headers/x-origin",
    "response.nothing",
    "response.code_details",
];
const CONNECTION: &[&str] = &[
    "connection.mtls",
    "connection.tls_version",
    "connection.requested_server_name",
    "connection.nothing",
    "connection.subject_peer_certificate",
    "connection.termination_details",
    "upstream.tls_version",
    "upstream.transport_failure_reason",
    "source.nothing",
    "upstream.subject_peer_certificate",
];
const PLUGIN: &[&str] = &[
    "plugin_name",
    "plugin_root_id",
    "plugin_vm_id",
    "xds.listener_direction",
    "xds.route_name",
    "xds.cluster_name",
    "nothing",
    "nothing.here",
    "request",
    "response",
    "wasm.demo",
    "wasm.demo/",
];

/// The paths of a chain, by its name.
pub fn paths(chain: &str) -> &'static [&'static str] {
    let kind = chain.split(',').next().unwrap_or_default();
    [("request", REQUEST), ("response", RESPONSE), ("connection", CONNECTION), ("plugin", PLUGIN)]
        .into_iter()
        .find_map(|(name, paths)| (name == kind).then_some(paths))
        .unwrap_or_default()
}

pub fn chains() -> Vec<Chain> {
    let mut chains = Vec::new();
    for (name, paths) in [("request", REQUEST), ("response", RESPONSE), ("connection", CONNECTION), ("plugin", PLUGIN)]
    {
        for (language, guest) in [("rust", "properties"), ("go", "go-properties")] {
            if language == "go" && name != "plugin" {
                continue;
            }
            let set: &[[&str; 2]] = if name == "plugin" { &[["demo", "value"], ["a.b", "c"]] } else { &[] };
            let config = json!({ "paths": paths, "set": set }).to_string();
            let filter = Filter::new("p", guest).config(config);
            chains.push(Chain::new(GROUP, format!("{name}, {language}"), vec![filter], exchanges()));
        }
    }
    chains
}

fn exchanges() -> Vec<Exchange> {
    vec![
        Exchange::new("get", "GET /a/b?c=d&e", &["x.y: dotted", "Referer: here", "User-Agent: me"]),
        Exchange::new("post", "POST /", &["X-Request-Id: mine"])
            .body("hello")
            .reply(Reply::with(&["X-Origin: o"], "answer")),
        Exchange::new("other status", "GET /x", &[]).reply(Reply::raw(
            "HTTP/1.1 404 Not Found\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n",
        )),
    ]
}
