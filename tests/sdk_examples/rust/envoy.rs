//! The two examples of the Rust SDK that rely on parts of Envoy itself: its Lua filter, and its choice of a cluster.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

use crate::{
    example,
    harness::{Origin, Proxy, Reply},
};

/// In Envoy a Lua filter sets the metadata from a header. Here a property of the route has it, for one value of that.
#[test]
fn envoy_filter_metadata_answers_with_it() {
    let module = example("rust-envoy_filter_metadata");
    let proxy = Proxy::start(&format!(
        r#"
listeners: [{{ address: "127.0.0.1:0" }}]
filters: {{ metadata: {{ source: {{ path: "{module}" }} }} }}
routes:
  - filters: [metadata]
    respond: {{ body: "Welcome, set the `x-custom-metadata` header to change the response!\n" }}
  - match: {{ headers: {{ x-custom-metadata: some-value }} }}
    filters: [metadata]
    properties: {{ metadata.filter_metadata.envoy.filters.http.lua.uppercased-custom-metadata: SOME-VALUE }}
    respond: {{ status: 404 }}
"#
    ));
    let welcome = "Welcome, set the `x-custom-metadata` header to change the response!\n";
    assert_eq!(proxy.client().request("GET /", &[], "").text(), welcome);
    let answer = proxy.client().request("GET /", &["x-custom-metadata: some-value"], "");
    assert_eq!((answer.status(), answer.header("powered-by")), (200, "proxy-wasm".into()));
    assert_eq!(answer.header("uppercased-metadata"), "SOME-VALUE");
    assert_eq!(answer.text(), "Custom response with Envoy metadata: \"SOME-VALUE\"\n");
    // Nothing here makes metadata out of any other value.
    assert_eq!(proxy.client().request("GET /", &["x-custom-metadata: other"], "").text(), welcome);
}

/// A connection that comes from this address of the loopback.
fn connect(to: SocketAddr, from: IpAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from, 0)).unwrap();
        socket.connect(to).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// It reads the source, chooses, and sets Envoy's filter state `envoy.tcp_proxy.cluster`. It becomes a property, which
/// no TCP listener here reads: every connection goes to the upstream of its listener.
#[test]
fn envoy_tcp_routing_chooses_but_the_listener_decides() {
    let answer = |name: &str| format!("HTTP/1.1 200 OK\r\n\r\n{name}");
    let router = |name: &'static str| Origin::start(move |_| Reply::Close(answer(name).into_bytes()));
    let (first, second) = (router("egress-router1"), router("egress-router2"));
    let mut proxy = Proxy::start(&format!(
        r#"
listeners: [{{ address: "127.0.0.1:0", tcp: {{ upstream: egress-router1, filters: [route] }} }}]
filters: {{ route: {{ source: {{ path: "{}" }}, config: standalone }} }}
upstreams:
  egress-router1: {{ endpoints: ["{}"] }}
  egress-router2: {{ endpoints: ["{}"] }}
"#,
        example("rust-envoy_tcp_routing"),
        first.address,
        second.address
    ));
    proxy.wait_for("[TCP WASM] Configuration: ");
    for (index, (last, chosen)) in [(10, "egress-router1"), (11, "egress-router2")].into_iter().enumerate() {
        let mut stream = connect(proxy.addresses[0], IpAddr::from([127, 0, 0, last]));
        let source = stream.local_addr().unwrap();
        stream.write_all(b"GET /ip HTTP/1.1\r\nHost: httpbin.org\r\n\r\n").unwrap();
        let mut got = String::new();
        stream.read_to_string(&mut got).unwrap();
        drop(stream);
        assert_eq!(got, answer("egress-router1"));
        proxy.wait_for(&format!("[TCP WASM] Routed source {source} to {chosen}"));
        let line = &proxy.access(index + 1)[index];
        assert_eq!(
            (line["upstream"].as_str(), line["protocol"].as_str()),
            (Some("egress-router1"), Some("TCP")),
            "{line}"
        );
        assert!(line["properties"].to_string().contains(chosen), "the choice is in the access log: {line}");
    }
    assert!(second.untouched());
}
