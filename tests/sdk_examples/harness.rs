//! The parts of the harness of tests/serve that are used here, and what examples need beside them.

#[path = "../serve/harness/client.rs"]
mod client;
#[path = "../serve/harness/origin.rs"]
mod origin;
#[path = "../serve/harness/proxy.rs"]
mod proxy;
#[path = "../serve/harness/wire.rs"]
pub mod wire;

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

pub use client::Client;
pub use origin::{Origin, Reply};
pub use proxy::{Proxy, chain_yaml, root};

/// One example in front of the embedded echo, or of `upstream`.
pub fn alone(module: &str, more: &str, upstream: Option<SocketAddr>) -> Proxy {
    Proxy::start(&chain_yaml(&[("example", module, more)], upstream, ""))
}

/// The same with one more upstream, which the example may call. Examples name it as Envoy's cluster.
pub fn calling(module: &str, name: &str, callee: SocketAddr, upstream: Option<SocketAddr>) -> Proxy {
    let filter = ("example", module, &*format!("capabilities: {{ callouts: [{name}] }}"));
    let yaml = chain_yaml(&[filter], upstream, "");
    Proxy::start(&yaml.replace("upstreams:\n", &format!("upstreams:\n  {name}: {{ endpoints: [\"{callee}\"] }}\n")))
}

/// Examples on a route that no request takes: they live by ticks and queues alone, as Envoy's Wasm services do.
pub fn without_traffic(modules: &[(&str, &str, &str)], more: &str) -> String {
    let names: Vec<&str> = modules.iter().map(|(name, ..)| *name).collect();
    let names = names.join(", ");
    let yaml = chain_yaml(modules, None, &format!("services: [{names}]\n{more}"));
    yaml.replace(&format!("filters: [{names}], "), "")
}

/// Waits until `/metrics` has this line.
pub fn counted(proxy: &Proxy, line: &str) {
    let began = Instant::now();
    loop {
        let text =
            Client::connect(proxy.admin()).send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").read().text();
        if text.lines().any(|l| l == line) {
            return;
        }
        let custom: Vec<&str> = text.lines().filter(|l| l.contains("custom")).collect();
        assert!(began.elapsed() < Duration::from_secs(30), "`{line}` never comes: {custom:#?}");
        thread::sleep(Duration::from_millis(10));
    }
}
