//! The static configuration of Envoy, with everything off that would make it differ by itself.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::{plan::Filter, side::Setup};

/// A listener without filters, for the barrier.
pub const SYNC: &str = "sync";
/// The listener that is compared.
pub const MAIN: &str = "main";

/// The bootstrap as JSON.
pub fn bootstrap(setup: &Setup<'_>) -> String {
    let mut chain: Vec<Value> = setup.filters.iter().map(wasm).collect();
    chain.push(router());
    let main = json!({ "name": "main", "match": { "prefix": "/" }, "route": { "cluster": "up", "timeout": "0s" } });
    let sync = json!({ "match": { "prefix": "/" }, "direct_response": { "status": 204 } });
    let mut clusters = vec![cluster("up", setup.upstream, setup.world.http2_upstream)];
    clusters.extend(setup.clusters.iter().map(|(name, at)| cluster(name, *at, false)));
    json!({
        "admin": { "address": any_port() },
        "static_resources": {
            "listeners": [listener(MAIN, &main, &chain), listener(SYNC, &sync, &[router()])],
            "clusters": clusters,
        },
    })
    .to_string()
}

fn any_port() -> Value {
    json!({ "socket_address": { "address": "127.0.0.1", "port_value": 0 } })
}

fn listener(name: &str, route: &Value, filters: &[Value]) -> Value {
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "http_filters": filters,
        "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [route] }] },
        "server_header_transformation": "PASS_THROUGH",
        "generate_request_id": false,
        "skip_xff_append": true,
        "stream_idle_timeout": "0s",
        // Otherwise a connection that is done with stays open for a second.
        "delayed_close_timeout": "0s",
        "normalize_path": true,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "http_protocol_options": http1(),
    });
    json!({
        "name": name,
        "address": any_port(),
        "traffic_direction": "INBOUND",
        "filter_chains": [{
            "filters": [{ "name": "envoy.filters.network.http_connection_manager", "typed_config": manager }],
        }],
    })
}

/// Names keep their letters, as they do in Sluice.
fn http1() -> Value {
    json!({
        "accept_http_10": true,
        "header_key_format": {
            "stateful_formatter": {
                "name": "preserve_case",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig",
                    "forward_reason_phrase": true,
                },
            },
        },
    })
}

fn router() -> Value {
    json!({
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            "suppress_envoy_headers": true,
        },
    })
}

fn wasm(f: &Filter) -> Value {
    let text = |value: &str| json!({ "@type": "type.googleapis.com/google.protobuf.StringValue", "value": value });
    let env: serde_json::Map<String, Value> = f.env.iter().map(|(n, v)| ((*n).to_owned(), json!(v))).collect();
    json!({
        "name": "envoy.filters.http.wasm",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": f.name,
                // A trap costs the requests in flight only, as in Sluice, and the guest is back at once.
                "failure_policy": "FAIL_RELOAD",
                "reload_config": { "backoff": { "base_interval": "0.02s", "max_interval": "0.02s" } },
                "configuration": text(&f.config),
                "vm_config": {
                    // Equal modules would share one guest otherwise.
                    "vm_id": f.name,
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": { "local": { "filename": f.module } },
                    "configuration": text(&f.vm_config),
                    "environment_variables": { "key_values": env },
                },
            },
        },
    })
}

fn cluster(name: &str, upstream: SocketAddr, http2: bool) -> Value {
    let endpoint = json!({
        "endpoint": { "address": { "socket_address": { "address": upstream.ip(), "port_value": upstream.port() } } },
    });
    let protocol =
        if http2 { json!({ "http2_protocol_options": {} }) } else { json!({ "http_protocol_options": http1() }) };
    json!({
        "name": name,
        "type": "STATIC",
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": [endpoint] }] },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": protocol,
            },
        },
    })
}
