//! Upstreams as they are configured.

use serde_json::{Value, json};
use sluice_config::plan::{self, Balance, Servers, Upstream, UpstreamHttp, UpstreamKind};

use super::{path, time};

pub(super) fn upstream(upstream: &Upstream) -> Value {
    let Upstream { name: _, kind, at: _ } = upstream;
    let UpstreamKind::Servers(servers) = kind else { return json!({ "builtin": "echo" }) };
    let Servers { endpoints, balance, tls, http, timeouts, health } = &**servers;
    let plan::Timeouts { connect, read, write, idle } = timeouts;
    let plan::UpstreamHealth { failures, period, max_period, check } = health;
    let check = check.as_ref().map(|plan::HealthCheck { path, every, timeout }| {
        json!({ "path": path, "every": time(*every), "timeout": time(*timeout) })
    });
    let endpoint = |endpoint: &plan::Endpoint| {
        let plan::Endpoint { host, port, weight } = endpoint;
        json!({ "host": host, "port": port, "weight": weight })
    };
    let tls = tls.as_ref().map(
        |plan::UpstreamTls { sni, ca, verify }| json!({ "sni": sni, "ca": ca.as_deref().map(path), "verify": verify }),
    );
    json!({
        "endpoints": endpoints.iter().map(endpoint).collect::<Vec<_>>(),
        "balance": match balance {
            Balance::RoundRobin => "round_robin",
            Balance::Random => "random",
        },
        "tls": tls,
        "http": match http {
            UpstreamHttp::H1 => "h1",
            UpstreamHttp::H2 => "h2",
            UpstreamHttp::Auto => "auto",
        },
        "timeouts": { "connect": time(*connect), "read": time(*read), "write": time(*write), "idle": time(*idle) },
        "health": { "failures": failures, "period": time(*period), "max_period": time(*max_period), "check": check },
    })
}
