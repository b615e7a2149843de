//! The other proxies, each with one worker, kept connections on both sides and no access log.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    daemon::{Daemon, PROXY_CORE, free_address},
    work::{Filter, Work},
    world::{Front, World},
};

pub(crate) fn bare(world: &World) -> Daemon {
    let address = free_address();
    let dir = TempDir::new().expect("a folder");
    let args = [address.to_string(), world.origin.address.to_string()];
    Daemon::start(PROXY_CORE, &world.bare().display().to_string(), &[&args[0], &args[1]], address, dir)
}

pub(crate) fn nginx(world: &World, front: Front) -> Daemon {
    let dir = TempDir::new().expect("a folder");
    let address = free_address();
    let prefix = dir.path().display().to_string();
    let listen = match front {
        Front::Plain => String::new(),
        Front::Tls => "ssl".to_owned(),
        Front::Http2 => "ssl http2".to_owned(),
    };
    let tls = match front {
        Front::Plain => String::new(),
        _ => format!("ssl_certificate {}; ssl_certificate_key {};", world.pem("cert.pem"), world.pem("key.pem")),
    };
    let conf = format!(
        "daemon off; master_process off; worker_processes 1; pid nginx.pid; error_log error.log;
         events {{ worker_connections 4096; }}
         http {{
           access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; tcp_nodelay on;
           client_body_temp_path {prefix}; proxy_temp_path {prefix}; fastcgi_temp_path {prefix};
           uwsgi_temp_path {prefix}; scgi_temp_path {prefix};
           upstream up {{ server {origin}; keepalive 128; keepalive_requests 1000000000; }}
           server {{
             listen {address} {listen} backlog=4096; {tls}
             location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ''; }}
           }}
         }}",
        origin = world.origin.address,
    );
    fs::write(dir.path().join("nginx.conf"), conf).expect("a file");
    Daemon::start(PROXY_CORE, "nginx", &["-p", &prefix, "-e", "error.log", "-c", "nginx.conf"], address, dir)
}

pub(crate) fn haproxy(world: &World, front: Front) -> Daemon {
    let dir = TempDir::new().expect("a folder");
    let address = free_address();
    let bind = match front {
        Front::Plain => String::new(),
        Front::Tls => format!(" ssl crt {} alpn http/1.1", world.pem("both.pem")),
        Front::Http2 => format!(" ssl crt {} alpn h2,http/1.1", world.pem("both.pem")),
    };
    let conf = format!(
        "global\n  nbthread 1\n  maxconn 4096\n\
         defaults\n  mode http\n  timeout connect 1s\n  timeout client 60s\n  timeout server 30s\n  http-reuse always\n\
         frontend all\n  bind {address}{bind}\n  default_backend up\n\
         backend up\n  server one {}\n",
        world.origin.address
    );
    fs::write(dir.path().join("haproxy.cfg"), conf).expect("a file");
    Daemon::start(PROXY_CORE, "haproxy", &["-db", "-f", "haproxy.cfg"], address, dir)
}

pub(crate) fn envoy(world: &World, front: Front, work: Work) -> Daemon {
    let dir = TempDir::new().expect("a folder");
    let address = free_address();
    let mut filters: Vec<Value> = work.filters().iter().map(wasm).collect();
    filters.push(typed("envoy.filters.http.router", "http.router.v3.Router", json!({})));
    let manager = json!({
        "stat_prefix": "main", "http_filters": filters, "generate_request_id": false,
        "codec_type": if front == Front::Http2 { "HTTP2" } else { "HTTP1" },
        "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"],
            "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "up" } }] }] },
    });
    let manager = typed(
        "envoy.filters.network.http_connection_manager",
        "network.http_connection_manager.v3.HttpConnectionManager",
        manager,
    );
    let mut chain = json!({ "filters": [manager] });
    if front.encrypted() {
        let certificate = json!({
            "certificate_chain": { "filename": world.pem("cert.pem") },
            "private_key": { "filename": world.pem("key.pem") },
        });
        let alpn = if front == Front::Http2 { "h2" } else { "http/1.1" };
        let common = json!({ "tls_certificates": [certificate], "alpn_protocols": [alpn] });
        let tls = json!({ "common_tls_context": common });
        chain["transport_socket"] =
            typed("envoy.transport_sockets.tls", "transport_sockets.tls.v3.DownstreamTlsContext", tls);
    }
    let origin = world.origin.address;
    let socket =
        |at: std::net::SocketAddr| json!({ "socket_address": { "address": at.ip(), "port_value": at.port() } });
    let endpoints = json!([{ "lb_endpoints": [{ "endpoint": { "address": socket(origin) } }] }]);
    let bootstrap = json!({ "static_resources": {
        "listeners": [{ "name": "main", "address": socket(address), "filter_chains": [chain] }],
        "clusters": [{ "name": "up", "connect_timeout": "1s",
            "load_assignment": { "cluster_name": "up", "endpoints": endpoints } }],
    } });
    fs::write(dir.path().join("envoy.json"), bootstrap.to_string()).expect("a file");
    let args = ["--concurrency", "1", "-l", "error", "--disable-hot-restart", "-c", "envoy.json"];
    Daemon::start(PROXY_CORE, &world.envoy().display().to_string(), &args, address, dir)
}

/// Something of Envoy's with its type.
fn typed(name: &str, kind: &str, mut config: Value) -> Value {
    config["@type"] = json!(format!("type.googleapis.com/envoy.extensions.{}", with_filters(kind)));
    json!({ "name": name, "typed_config": config })
}

fn with_filters(kind: &str) -> String {
    if kind.starts_with("transport_sockets") { kind.to_owned() } else { format!("filters.{kind}") }
}

fn wasm(filter: &Filter) -> Value {
    let text = json!({ "@type": "type.googleapis.com/google.protobuf.StringValue", "value": filter.config });
    let config = json!({
        "name": filter.name,
        "configuration": text,
        "vm_config": {
            // Equal modules would share one guest otherwise, which they do not in Sluice.
            "vm_id": filter.name,
            "runtime": "envoy.wasm.runtime.v8",
            "code": { "local": { "filename": filter.module } },
        },
    });
    typed("envoy.filters.http.wasm", "http.wasm.v3.Wasm", json!({ "config": config }))
}
