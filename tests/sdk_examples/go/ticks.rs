//! Examples of the Go SDK that work by ticks.

use crate::{
    example,
    harness::{Origin, Proxy, Reply, alone, chain_yaml},
};

#[test]
fn helloworld_says_the_time_at_each_tick() {
    let mut proxy = alone(&example("go-helloworld"), "", None);
    assert_eq!(proxy.client().request("GET /", &[], "").status(), 200);
    let log = proxy.wait_count("OnTick called", 2);
    for line in ["OnPluginStart from Go!", "It's 1", ": random value: "] {
        assert!(log.contains(line), "`{line}` is not in\n{log}");
    }
}

#[test]
fn dispatch_call_on_tick_calls_good_and_bad_paths() {
    let service = Origin::start(|r| match r.target() {
        "/ok" => Reply::ok(super::BODY),
        _ => Reply::Bytes(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_vec()),
    });
    // Two plugins of the same module, as in the example's configuration.
    let module = example("go-dispatch_call_on_tick");
    let may = |config: &str| format!("config: {config}, capabilities: {{ callouts: [web_service] }}");
    let (one, two) = (may("plugin1"), may("plugin2"));
    let yaml = chain_yaml(&[("plugin1", &module, &one), ("plugin2", &module, &two)], Some(service.address), "");
    let mut proxy =
        Proxy::start(&yaml.replace("  up: ", "  web_service: ").replace("upstream: up", "upstream: web_service"));
    proxy.wait_count("set tick period milliseconds: 100", 2);
    let mut paths = std::collections::BTreeSet::new();
    // By chance half of the calls go to either path; that all go to one never happens.
    while paths.len() < 2 {
        let asked = service.request();
        assert_eq!((asked.header("host"), asked.header("accept")), ("some_authority".into(), "*/*".into()));
        paths.insert(asked.target().to_owned());
    }
    assert!(paths.iter().eq(["/fail", "/ok"]), "{paths:?}");
    proxy.wait_for("called 10 for contextID=");
    proxy.wait_for("response header for the dispatched call: :status: 503");
    proxy.wait_for("response header for the dispatched call: :status: 200");
    let log = proxy.log();
    assert!(["plugin1", "plugin2"].iter().all(|p| log.contains(&format!("filter=\"{p}\""))), "{log}");
}

#[test]
fn foreign_call_on_tick_compresses() {
    let mut proxy = alone(&example("go-foreign_call_on_tick"), "", None);
    // What zlib makes of `hello world!`, in the words of the example's README.
    let log = proxy.wait_for("foreign function (compress) called: 8, result: 789ccb48cdc9c95728cf2fca495104001e89047e");
    assert!(!log.contains("failed"), "{log}");
}

#[test]
fn postpone_requests_goes_on_with_the_next_tick() {
    let mut proxy = alone(&example("go-postpone_requests"), "", None);
    let mut client = proxy.client();
    for round in 1..=2 {
        let answer = client.request("GET /later", &[], "");
        assert_eq!((answer.status(), answer.json()["path"].as_str()), (200, Some("/later")), "{round}");
        let log = proxy.wait_count("resume request with contextID=", round);
        assert_eq!(log.matches("postpone request with contextID=").count(), round, "{log}");
    }
}
