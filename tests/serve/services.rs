//! Services: filters that run without traffic, once in the process.

use std::{fs, sync::mpsc, thread};

use tempfile::TempDir;

use crate::harness::{Client, Origin, Proxy, Reply, fixture};

/// A service that plays this script beside a route that has no filter.
fn yaml(script: &str, upstream: &str) -> String {
    format!(
        r#"
listeners: [{{ address: "127.0.0.1:0" }}]
server: {{ workers: 3 }}
reload: {{ debounce: 10ms }}
filters: {{ clock: {{ source: {{ path: "{}" }}, env: {{ SCRIPT: '{script}' }} }} }}
upstreams: {{ up: {upstream} }}
routes: [{{ upstream: up }}]
services: [clock]
admin: {{ address: "127.0.0.1:0" }}
"#,
        fixture("probe")
    )
}

const ECHO: &str = "{ builtin: echo }";

#[test]
fn a_service_runs_once_however_many_workers_there_are() {
    let script = r#"configure: proxy_set_tick_period_milliseconds 5; tick#3: proxy_log 2 "third""#;
    let mut proxy = Proxy::start(&yaml(script, ECHO));
    let log = proxy.wait_for("third");
    assert_eq!(log.matches("configure proxy_set_tick_period_milliseconds").count(), 1, "{log}");
    assert_eq!(proxy.client().request("GET /", &[], "").status(), 200);
    let get = |line: &str| {
        Client::connect(proxy.admin())
            .send(format!("{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"))
            .read()
    };
    let shown = get("GET /filters/clock").json();
    assert_eq!((&shown["service"], &shown["guests"], &shown["exchanges"]), (&true.into(), &1.into(), &0.into()));
    // There is no chain to take it out of.
    let refused = get("POST /filters/clock/disable?force=true");
    assert_eq!(refused.status(), 409, "{refused:?}");
    assert!(refused.text().contains("take it out of `services`"), "{refused:?}");
}

#[test]
fn a_service_needs_no_route() {
    let yaml = yaml(r#"configure: proxy_log 2 "runs""#, ECHO).replace("routes: [{ upstream: up }]\n", "");
    let mut proxy = Proxy::start(&yaml);
    proxy.wait_for("runs");
    assert_eq!(proxy.client().request("GET /", &[], "").status(), 404);
}

#[test]
fn a_new_version_takes_the_place_of_a_service_while_old_requests_go_on() {
    let (arrived, arrives) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel::<()>();
    let goes_on = std::sync::Mutex::new(goes_on);
    let origin = Origin::start(move |_| {
        arrived.send(()).unwrap();
        goes_on.lock().unwrap().recv().unwrap();
        Reply::ok("at last")
    });
    let upstream = format!("{{ endpoints: [\"{}\"] }}", origin.address);
    let dir = TempDir::new().unwrap();
    let mut proxy = Proxy::start_in(dir, &yaml(r#"done: proxy_log 2 "first is over""#, &upstream));
    thread::scope(|scope| {
        let client = scope.spawn(|| proxy.client().request("GET /", &[], "").text());
        arrives.recv().unwrap();
        let file = proxy.dir.path().join("sluice.yaml");
        let before = fs::read_to_string(&file).unwrap();
        let now = before
            .replace("done:", "configure: proxy_log 2 \"second runs\"; done:")
            .replace("first is over", "second is over");
        fs::write(&file, now).unwrap();
        // The request still holds the generation that the old one belongs to.
        proxy.logged("second runs");
        proxy.logged("first is over");
        go_on.send(()).unwrap();
        assert_eq!(client.join().unwrap(), "at last");
    });
    proxy.signal("TERM");
    assert!(proxy.wait().success());
    let log = proxy.log();
    assert_eq!(log.matches("done proxy_log").count(), 2, "each is ended once: {log}");
}

#[test]
fn a_filter_becomes_a_service_and_back() {
    let dir = TempDir::new().unwrap();
    let script = r#"configure: proxy_log 2 "runs"; request_headers: proxy_log 2 "met""#;
    let as_service = yaml(script, ECHO);
    let as_filter = as_service
        .replace("[{ upstream: up }]", "[{ filters: [clock], upstream: up }]")
        .replace("services: [clock]\n", "");
    let mut proxy = Proxy::start_in(dir, &as_filter);
    assert_eq!(proxy.client().request("GET /", &[], "").status(), 200);
    proxy.wait_count("met", 1);
    for (yaml, swaps, runs) in [(&as_service, 1, 4), (&as_filter, 2, 7)] {
        fs::write(proxy.dir.path().join("sluice.yaml"), yaml).unwrap();
        proxy.wait_count("the new configuration serves", swaps);
        proxy.wait_count("configure proxy_log", runs);
        assert_eq!(proxy.client().request("GET /", &[], "").status(), 200);
    }
    proxy.wait_count("request_headers proxy_log", 2);
}
