//! Filters that other people published, as a registry hands them out: each does here what its author meant it to do.
//!
//! What was tried, and what came of it, stands in `tests/wild/README.md`.

use std::net::SocketAddr;

use crate::harness::{Client, Origin, Proxy, Reply, chain_yaml, root};

/// The path of a published filter; fails with the command that builds it.
fn wild(name: &str) -> String {
    let path = root().join(format!(".build/wild/{name}.wasm"));
    assert!(path.exists(), "{} is missing: run `tools/build-guests.sh wild`", path.display());
    path.display().to_string()
}

#[test]
fn the_header_filter_greets_and_logs() {
    let module = wild("headers-0-1");
    let mut proxy =
        Proxy::start(&chain_yaml(&[("headers", &module, "")], None, "telemetry: { log: { level: trace } }\n"));
    let mut client = proxy.client();
    let hello = client.request("GET /hello", &[], "");
    assert_eq!((hello.status(), hello.text()), (200, "Hello, World!\n".into()), "{hello:?}");
    assert_eq!((hello.header("hello"), hello.header("powered-by")), ("World".into(), "proxy-wasm".into()));
    let other = client.request("GET /other", &["X-One: 1"], "");
    assert_eq!(other.json()["path"], "/other");
    let log = proxy.wait_count(" completed.", 2);
    assert!(
        log.contains("-> :path: /other") && log.contains("-> x-one: 1") && log.contains("<- :status: 200"),
        "{log}"
    );
}

#[test]
fn the_authorizing_filter_asks_and_obeys() {
    // It asks an upstream of its own for a byte: an even one lets the request pass.
    for (byte, status) in [("b", 200), ("a", 403)] {
        let httpbin = Origin::start(move |_| Reply::ok(byte));
        let proxy = asking(httpbin.address);
        let answer = proxy.client().request("GET /page", &[], "");
        assert_eq!((answer.status(), answer.header("powered-by")), (status, "proxy-wasm".into()), "{answer:?}");
        let asked = httpbin.request();
        assert_eq!((asked.target(), asked.header("host")), ("/bytes/1", "httpbin.org".into()));
        match status {
            200 => assert_eq!(answer.json()["path"], "/page"),
            _ => assert_eq!(answer.text(), "Access forbidden.\n"),
        }
    }
}

fn asking(httpbin: SocketAddr) -> Proxy {
    let filter = ("auth", &*wild("auth-0-1"), "capabilities: { callouts: [httpbin] }");
    let yaml = chain_yaml(&[filter], None, "");
    Proxy::start(&yaml.replace("upstreams:\n", &format!("upstreams:\n  httpbin: {{ endpoints: [\"{httpbin}\"] }}\n")))
}

#[test]
fn the_configured_filters_add_their_header() {
    for name in ["config-0-2", "config-experimental"] {
        let proxy = Proxy::chain(&[("c", &wild(name), "config: \"as configured\"")], None);
        let mut client = proxy.client();
        for path in ["/", "/again"] {
            let answer = client.request(&format!("GET {path}"), &[], "");
            assert_eq!(answer.header("custom-header"), "as configured", "{name}: {answer:?}");
        }
    }
}

#[test]
fn the_body_filters_keep_secrets() {
    let origin = Origin::start(|r| match r.target() {
        "/secret" => Reply::ok("the secret is 42"),
        "/chunks" => Reply::chunked(&["the sec", "ret is", " 42"]),
        _ => Reply::ok("nothing to see"),
    });
    for name in ["body-0-2", "body-experimental"] {
        let proxy = Proxy::chain(&[("b", &wild(name), "")], Some(origin.address));
        let mut client = proxy.client();
        for path in ["/secret", "/chunks"] {
            let answer = client.request(&format!("GET {path}"), &[], "");
            assert_eq!(answer.text(), "Original message body (16 bytes) redacted.", "{name} {path}");
        }
        assert_eq!(client.request("GET /", &[], "").text(), "nothing to see", "{name}");
    }
}

#[test]
fn the_firewall_of_coraza_itself_blocks_attacks() {
    let config = r#"config: { default_directives: default, directives_map: { default: [
        "Include @recommended-conf", "Include @crs-setup-conf", "Include @owasp_crs/*.conf", "SecRuleEngine On" ] } }"#;
    let limits = "limits: { cpu_start: 60s, cpu_per_call: 5s, cpu_per_request: 10s, memory: 256MiB }";
    let filter = ("coraza", &*wild("coraza-proxy-wasm"), &*format!("{}, {limits}", config.replace('\n', " ")));
    let proxy = Proxy::start(&chain_yaml(&[filter], None, "server: { workers: 1 }\n"));
    let ask = |client: &mut Client, line: &str, more: &[&str], body: &str| {
        let mut headers = vec!["User-Agent: Mozilla/5.0 Firefox/140.0", "Accept: */*"];
        headers.extend(more);
        client.request(line, &headers, body)
    };
    let form = &["Content-Type: application/x-www-form-urlencoded"];
    let mut client = proxy.client();
    for round in 0..5 {
        let clean = ask(&mut client, "GET /shop?id=1", &[], "");
        assert_eq!((clean.status(), clean.json()["path"].as_str()), (200, Some("/shop?id=1")), "{round}: {clean:?}");
        let clean = ask(&mut client, "POST /", form, "name=Ada");
        assert_eq!((clean.status(), clean.json()["body"].as_str()), (200, Some("name=Ada")), "{round}: {clean:?}");
        for (line, body) in [
            ("GET /?id=1%27%20OR%201=1--%20-", ""),
            ("GET /?file=../../../../etc/passwd", ""),
            ("POST /", "a=x' UNION SELECT password FROM users-- -"),
        ] {
            let more: &[&str] = if body.is_empty() { &[] } else { form };
            assert_eq!(ask(&mut proxy.client(), line, more, body).status(), 403, "{round}: {line} {body}");
        }
    }
    let log = proxy.logged("942100");
    assert!(!log.contains(" ERROR filter"), "{log}");
}
