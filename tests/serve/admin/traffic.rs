//! Requests by route, attempts by upstream and connections by endpoint, as `/metrics` has them.

use std::{fs, net::TcpListener};

use super::{Admin, exposition::Exposition};
use crate::harness::{Client, Origin, Proxy, Reply, fixture};

fn server(method: &str, route: &str, status: u16, error: &str) -> String {
    let error = if error.is_empty() { String::new() } else { format!("error_type=\"{error}\",") };
    let route = if route.is_empty() { String::new() } else { format!("http_route=\"{route}\",") };
    format!(
        "http_server_request_duration_seconds_count{{{error}http_request_method=\"{method}\",\
         http_response_status_code=\"{status}\",{route}network_protocol_version=\"1.1\",url_scheme=\"http\"}}"
    )
}

/// `answer` is status and version, where there was one.
fn client(upstream: &str, answer: Option<u16>, error: &str) -> String {
    let error = if error.is_empty() { String::new() } else { format!("error_type=\"{error}\",") };
    let status = answer.map(|status| format!("http_response_status_code=\"{status}\",")).unwrap_or_default();
    let version = answer.map(|_| "network_protocol_version=\"1.1\",").unwrap_or_default();
    format!(
        "http_client_request_duration_seconds_count{{{error}http_request_method=\"GET\",{status}{version}\
         server_address=\"{upstream}\"}}"
    )
}

/// An address where nobody listens.
fn nobody() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn yaml(upstream: &str, dead: &str, more: &str) -> String {
    format!(
        "listeners: [{{ address: \"127.0.0.1:0\" }}]
admin: {{ address: \"127.0.0.1:0\" }}
filters: {{ p: {{ source: {{ path: \"{}\" }}, on_headers_stop_iteration: true }} }}
upstreams:
  up: {{ endpoints: [\"{upstream}\"], timeouts: {{ read: 30s }} }}
  dead: {{ endpoints: [\"{dead}\"] }}
routes:
  - {{ name: items, match: {{ path_prefix: /items }}, upstream: up }}
  - {{ name: behind, match: {{ path_prefix: /behind }}, filters: [p], upstream: up }}
  - {{ name: dead, match: {{ path: /dead }}, upstream: dead }}
  - {{ name: dead-behind, match: {{ path: /dead-behind }}, filters: [p], upstream: dead }}
  - {{ match: {{ path: /secret, headers: {{ x-key: s3cret }} }}, respond: {{ body: x }} }}
{more}",
        fixture("pause")
    )
}

#[test]
fn requests_and_attempts_are_counted_and_outlive_a_swap() {
    let origin = Origin::start(|r| match r.target() {
        "/items/broken" => Reply::Bytes(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_vec()),
        "/items/gone" => Reply::Close(Vec::new()),
        _ => Reply::ok("origin"),
    });
    let (up, dead) = (origin.address.to_string(), nobody().to_string());
    let proxy = Proxy::start(&yaml(&up, &dead, ""));
    let admin = Admin::of(&proxy);
    let get = |path: &str| proxy.client().request(&format!("GET {path}"), &[], "").status();
    let mut kept = proxy.client();
    for path in ["/items/1", "/items/2", "/behind/1", "/behind/2"] {
        assert_eq!(kept.request(&format!("GET {path}"), &[], "").status(), 200);
    }
    assert_eq!(kept.request("NONSENSE /items/3", &[], "").status(), 200);
    assert_eq!(
        ["/items/broken", "/dead", "/dead-behind", "/items/gone", "/nowhere"].map(get),
        [503, 502, 502, 502, 404]
    );
    assert_eq!(proxy.client().request("GET /secret", &["x-key: s3cret"], "").status(), 200);
    let end = |of: &str| format!("{{upstream=\"{}\",endpoint=\"{of}\"}}", if of == up { "up" } else { "dead" });
    let wanted = [
        (server("GET", "items", 200, ""), 2.0),
        (server("GET", "behind", 200, ""), 2.0),
        (server("_OTHER", "items", 200, ""), 1.0),
        (server("GET", "items", 503, "503"), 1.0),
        (server("GET", "items", 502, "upstream_reset"), 1.0),
        (server("GET", "dead", 502, "upstream_connect"), 1.0),
        (server("GET", "dead-behind", 502, "upstream_connect"), 1.0),
        (server("GET", "", 404, "no_route"), 1.0),
        (client("up", Some(200), ""), 4.0),
        (client("up", Some(503), "503"), 1.0),
        (client("dead", None, "upstream_connect"), 2.0),
        (format!("sluice_upstream_attempts_total{}", end(&dead)), 2.0),
        (format!("sluice_upstream_failures_total{}", end(&dead)), 2.0),
        (format!("sluice_upstream_connections_total{}", end(&dead)), 0.0),
        ("http_server_active_requests".to_owned(), 0.0),
    ];
    let wanted: Vec<_> = wanted.iter().map(|(key, value)| (&**key, *value)).collect();
    let page = Exposition::wait(admin, &wanted);
    let value = |name: &str| page.value(&format!("sluice_upstream_{name}_total{}", end(&up)));
    // One that finds a connection broken is tried again, so this says how each was counted and not how many there were.
    let (attempts, opened, reused) = (value("attempts"), value("connections"), value("connections_reused"));
    assert!(attempts >= 7.0 && opened >= 2.0 && reused >= 3.0 && opened + reused == attempts, "{opened} {reused}");
    assert!(value("failures") >= 1.0);
    let text = admin.get("/metrics").text();
    assert!(!text.contains("s3cret") && text.contains("http_route=\"") && text.contains("x-key"), "{text}");

    // Other settings of the upstream, a route less and one more.
    let file = proxy.dir.path().join("sluice.yaml");
    let next = yaml(&up, &dead, "reload: { watch: false }\n")
        .replace("read: 30s", "read: 20s")
        .replace("name: dead,", "name: other,");
    fs::write(file, next).unwrap();
    assert_eq!(admin.post("/reload", "").status(), 200);
    assert_eq!(get("/items/1"), 200);
    Exposition::wait(
        admin,
        &[(&server("GET", "items", 200, ""), 3.0), (&server("GET", "dead", 502, "upstream_connect"), 1.0)],
    );
}

#[test]
fn what_clients_make_up_does_not_make_the_page_grow() {
    let origin = Origin::start(|_| Reply::ok(""));
    let proxy = Proxy::start(&yaml(&origin.address.to_string(), &nobody().to_string(), ""));
    let admin = Admin::of(&proxy);
    let mut client = proxy.client();
    let mut round = |from: usize, to: usize| {
        for n in from..to {
            // No route, a route, and a route with a method that nobody knows.
            let line = match n % 3 {
                0 => format!("GET /made-up-{n}"),
                1 => format!("GET /items/made-up-{n}?q={n}"),
                _ => format!("M{n} /items/made-up"),
            };
            let answer = client.request(&line, &[&format!("x-made-up-{n}: {n}")], "");
            assert!(matches!(answer.status(), 200 | 404), "{answer:?}");
        }
    };
    let page = |count: f64| {
        let lines = [(server("GET", "", 404, "no_route"), count), (server("_OTHER", "items", 200, ""), count)];
        Exposition::wait(admin, &lines.each_ref().map(|(key, count)| (&**key, *count)))
    };
    round(0, 300);
    let before = page(100.0).len();
    round(300, 10_200);
    let after = page(3400.0);
    assert_eq!(after.len(), before, "a line for a path, a method or a field");
    assert!(!admin.get("/metrics").text().contains("made-up"));
}

#[test]
fn connections_of_http_listeners_are_counted() {
    let proxy = Proxy::start(
        "listeners: [{ address: \"127.0.0.1:0\" }]
admin: { address: \"127.0.0.1:0\" }
upstreams: { echo: { builtin: echo } }
routes: [{ upstream: echo }]
",
    );
    let admin = Admin::of(&proxy);
    let (mut first, mut second) = (proxy.client(), proxy.client());
    for client in [&mut first, &mut second] {
        // Many requests are one connection.
        (0..3).for_each(|_| assert_eq!(client.request("GET /", &[], "").status(), 200));
    }
    let wait = |taken, active| {
        let wanted = [("sluice_http_connections_total", taken), ("sluice_http_connections_active", active)];
        Exposition::wait(admin, &wanted)
    };
    wait(2.0, 2.0);
    drop(first);
    wait(2.0, 1.0);
    drop(second);
    wait(2.0, 0.0);
}

#[test]
fn connections_of_tcp_listeners_are_counted() {
    let origin = Origin::start(|_| Reply::ok("origin"));
    let (up, dead) = (origin.address, nobody());
    let proxy = Proxy::start(&format!(
        "listeners:
  - {{ address: \"127.0.0.1:0\", tcp: {{ upstream: up }} }}
  - {{ address: \"127.0.0.1:0\", tcp: {{ upstream: dead }} }}
admin: {{ address: \"127.0.0.1:0\" }}
upstreams: {{ up: {{ endpoints: [\"{up}\"] }}, dead: {{ endpoints: [\"{dead}\"] }} }}
"
    ));
    let admin = Admin::of(&proxy);
    let mut client = proxy.client();
    assert_eq!(client.request("GET /", &[], "").text(), "origin");
    assert!(Client::connect(proxy.addresses[1]).at_end(), "nobody is there");
    let of = |name: &str, upstream: &str, endpoint| {
        format!("sluice_upstream_{name}_total{{upstream=\"{upstream}\",endpoint=\"{endpoint}\"}}")
    };
    let wanted = [
        (of("attempts", "up", up), 1.0),
        (of("connections", "up", up), 1.0),
        (of("failures", "up", up), 0.0),
        (of("attempts", "dead", dead), 1.0),
        (of("failures", "dead", dead), 1.0),
        ("sluice_tcp_connections_total".to_owned(), 2.0),
        ("sluice_tcp_connections_active".to_owned(), 1.0),
        ("http_server_active_requests".to_owned(), 0.0),
    ];
    Exposition::wait(admin, &wanted.each_ref().map(|(key, value)| (&**key, *value)));
    drop(client);
    Exposition::wait(admin, &[("sluice_tcp_connections_active", 0.0)]);
}
