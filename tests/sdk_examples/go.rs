//! Examples of the SDK for Go, by what they show.

mod bodies;
mod calls;
mod http;
mod shared;
mod ticks;

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::{
    example,
    harness::{Origin, Proxy, Reply, alone, counted},
};

/// A request as curl sends it over a bare TCP proxy, until the other side ends.
pub(crate) fn over_tcp(proxy: &Proxy, listener: usize) -> String {
    let mut stream = TcpStream::connect(proxy.addresses[listener]).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(b"GET /uuid HTTP/1.1\r\nHost: localhost:18000\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// What the examples' own configurations answer behind the filter.
pub(crate) const BODY: &str = "example body\n";

#[test]
fn vm_plugin_configuration_logs_both() {
    let config = r#"vm_config: "{ \"name\": \"vm configuration\" }", config: "{ \"name\": \"plugin configuration\" }""#;
    let mut proxy = alone(&example("go-vm_plugin_configuration"), config, None);
    let log = proxy.wait_for("plugin config: ");
    assert!(log.contains(r#"vm config: { "name": "vm configuration" }"#), "{log}");
    assert!(log.contains(r#"plugin config: { "name": "plugin configuration" }"#), "{log}");
}

#[test]
fn network_logs_what_passes_and_counts_connections() {
    let origin = Origin::start(|_| Reply::Close(format!("HTTP/1.1 200 OK\r\n\r\n{BODY}").into_bytes()));
    let mut proxy = Proxy::start(&format!(
        r#"
listeners: [{{ address: "127.0.0.1:0", tcp: {{ upstream: web_service, filters: [network] }} }}]
admin: {{ address: "127.0.0.1:0" }}
filters: {{ network: {{ source: {{ path: "{}" }} }} }}
upstreams: {{ web_service: {{ endpoints: ["{}"] }} }}
"#,
        example("go-network"),
        origin.address
    ));
    assert_eq!(over_tcp(&proxy, 0), format!("HTTP/1.1 200 OK\r\n\r\n{BODY}"));
    let log = proxy.wait_for("connection complete!");
    let address = format!("remote address: {}", origin.address);
    let wanted = [
        "new connection!",
        ">>>>>> downstream data received >>>>>>",
        "GET /uuid HTTP/1.1",
        &address,
        // The metadata of a cluster belongs to Envoy's configuration; upstreams here have none.
        "failed to get upstream location metadata",
        "<<<<<< upstream data received <<<<<<",
        "example body",
        "downstream connection close!",
        "connection complete!",
    ];
    let found: Vec<usize> =
        wanted.iter().map(|w| log.find(w).unwrap_or_else(|| panic!("`{w}` is not in\n{log}"))).collect();
    assert!(found.is_sorted(), "{log}");
    counted(&proxy, "sluice_custom_proxy_wasm_go_connection_counter_total 1");
    over_tcp(&proxy, 0);
    counted(&proxy, "sluice_custom_proxy_wasm_go_connection_counter_total 2");
}
