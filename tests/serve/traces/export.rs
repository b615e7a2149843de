//! The way to the collector: by HTTP, with fields, and when it is away.

use std::{
    fs,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    trace::v1::{Span, span::SpanKind},
};
use prost::Message as _;
use tempfile::TempDir;

use super::{PARENT, TRACE, from_caller, hex, of_caller};
use crate::harness::{Client, Collector, Origin, Proxy, Reply, Rotel, attribute, chain_yaml, fixture};

#[test]
fn spans_go_by_http_with_the_fields_of_the_file_and_the_name_of_the_service() {
    let collector = Origin::start(|_| Reply::ok(""));
    let otlp =
        format!("endpoint: \"http://{}/base/\", protocol: http, headers: {{ X-Key: secret }}", collector.address);
    let mut proxy =
        Proxy::start(&chain_yaml(&[], None, &format!("telemetry: {{ service: edge, otlp: {{ {otlp} }} }}\n")));
    assert_eq!(proxy.client().request("GET /", &[], "").status(), 200);
    proxy.signal("TERM");
    proxy.wait();
    assert!(!proxy.log().contains("secret"));
    let mut names = Vec::new();
    while !names.contains(&"GET /*".to_owned()) {
        let request = collector.request();
        assert_eq!(
            (request.line.as_str(), request.header("x-key").as_str()),
            ("POST /base/v1/traces HTTP/1.1", "secret")
        );
        let sent = ExportTraceServiceRequest::decode(&request.body[..]).unwrap();
        for of in sent.resource_spans {
            assert!(format!("{:?}", of.resource).contains("\"edge\""), "{:?}", of.resource);
            names.extend(of.scope_spans.into_iter().flat_map(|scope| scope.spans).map(|span| span.name));
        }
    }
}

#[test]
fn a_collector_that_is_away_holds_nobody_up() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let extra =
        format!("telemetry: {{ otlp: {{ endpoint: \"http://{nobody}\" }} }}\nadmin: {{ address: \"127.0.0.1:0\" }}\n");
    let mut proxy = Proxy::start(&chain_yaml(&[], None, &extra));
    let mut client = proxy.client();
    for _ in 0..100 {
        assert_eq!(client.request("GET /", &[], "").status(), 200);
    }
    let counted = |metrics: &str, result: &str| -> u64 {
        let name = format!("sluice_telemetry_spans_total{{result=\"{result}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or_default()
    };
    let began = Instant::now();
    loop {
        let metrics =
            Client::connect(proxy.admin()).send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").read().text();
        if counted(&metrics, "failed") >= 100 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{metrics}");
        std::thread::sleep(Duration::from_millis(50));
    }
    proxy.logged("traces cannot be sent");
    proxy.signal("TERM");
    assert!(proxy.wait().success());
}

#[test]
fn a_real_collector_takes_them_by_both_ways() {
    let end = Collector::start();
    let rotel = Rotel::start(end.address);
    for (ip, otlp) in [
        ("10.0.0.1", format!("endpoint: \"http://{}\", compression: gzip", rotel.grpc)),
        ("10.0.0.2", format!("endpoint: \"http://{}\", compression: gzip, protocol: http", rotel.http)),
    ] {
        let extra = format!("telemetry: {{ otlp: {{ {otlp} }} }}\n");
        let mut proxy = Proxy::start(&chain_yaml(&[("t", &fixture("tag"), "config: t")], None, &extra));
        assert_eq!(proxy.client().request("GET /", &[&format!("user-agent: {ip}")], "").status(), 200);
        proxy.signal("TERM");
        proxy.wait();
        let of_this = |span: &Span| attribute(span, "user_agent.original") == ip;
        let server = end.wait_for("requests", of_this, 1).remove(0);
        let filter = |span: &Span| span.parent_span_id == server.span_id && attribute(span, "sluice.filter") == "t";
        let phases: Vec<_> = end.wait_for("filters", filter, 3).iter().map(|s| attribute(s, "sluice.phase")).collect();
        assert!(
            phases.iter().all(|phase| phase.starts_with("request_") || phase.starts_with("response_")),
            "{phases:?}"
        );
        end.wait_for("the start", |span| span.name == "sluice.start", 1);
    }
}

#[test]
fn a_request_through_two_filters_with_a_callout_is_a_tree_behind_a_real_collector() {
    let end = Collector::start();
    let rotel = Rotel::start(end.address);
    let (origin, auth) = (Origin::start(|_| Reply::ok("x")), Origin::start(|_| Reply::ok("yes")));
    let (tag, callout) = (fixture("tag"), fixture("callout"));
    let chain = [
        ("t", tag.as_str(), "config: t"),
        ("c", callout.as_str(), "config: \"auth 5000\", capabilities: { callouts: [auth] }"),
    ];
    let extra = format!("telemetry: {{ service: edge, otlp: {{ endpoint: \"http://{}\" }} }}\n", rotel.grpc);
    let upstream = format!("upstreams:\n  auth: {{ endpoints: [\"{}\"] }}\n", auth.address);
    let yaml = chain_yaml(&chain, Some(origin.address), &extra).replace("upstreams:\n", &upstream);
    let mut proxy = Proxy::start(&yaml);
    let head = [from_caller("01"), "x-call-at: request_headers".to_owned(), "user-agent: ua".to_owned()];
    let answer = proxy.client().request("POST /a?token=secret&q=1", &head.each_ref().map(String::as_str), "body");
    assert_eq!(answer.status(), 200);
    proxy.signal("TERM");
    proxy.wait();
    let spans = end.wait_for("the server's span", |span| of_caller(span) && span.kind() == SpanKind::Server, 1);
    let server = &spans[0];
    assert_eq!((server.name.as_str(), hex(&server.parent_span_id).as_str()), ("POST /*", PARENT));
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/*"),
        ("http.response.status_code", "200"),
        ("url.path", "/a"),
        ("url.query", "token=REDACTED&q=1"),
        ("url.scheme", "http"),
        ("network.protocol.version", "1.1"),
        ("client.address", "127.0.0.1"),
        ("user_agent.original", "ua"),
        ("sluice.generation", "1"),
    ] {
        assert_eq!(attribute(server, name), value, "{name}");
    }
    let below = |parent: &Span, what: &str, name: &str, kind: SpanKind| {
        let wanted = |span: &Span| span.parent_span_id == parent.span_id && span.name == name && span.kind() == kind;
        let mut found = end.wait_for(what, wanted, 1);
        assert_eq!(found.len(), 1, "{what}: {found:#?}");
        let span = found.remove(0);
        assert_eq!(span.trace_id, server.trace_id);
        span
    };
    for (filter, outcome) in [("t", "continued"), ("c", "paused")] {
        let visit = below(server, "a visit", &format!("{filter} request_headers"), SpanKind::Internal);
        assert_eq!(
            (attribute(&visit, "sluice.filter"), attribute(&visit, "sluice.outcome")),
            (filter.into(), outcome.into())
        );
        assert!(attribute(&visit, "sluice.cpu_us").parse::<f64>().unwrap() > 0.0);
        assert!(attribute(&visit, "sluice.digest").starts_with("sha256:"));
        if filter == "c" {
            let call = below(&visit, "the callout", "POST", SpanKind::Client);
            for (name, value) in [
                ("sluice.filter", "c"),
                ("sluice.upstream", "auth"),
                ("server.address", "127.0.0.1"),
                ("server.port", auth.address.port().to_string().as_str()),
                ("http.response.status_code", "200"),
            ] {
                assert_eq!(attribute(&call, name), value, "{name}");
            }
            assert_eq!(auth.request().header("traceparent"), format!("00-{TRACE}-{}-01", hex(&call.span_id)));
        }
    }
    below(server, "the answer of the callout", "c callout", SpanKind::Internal);
    let attempt = below(server, "the attempt", "POST", SpanKind::Client);
    assert_eq!(attribute(&attempt, "server.port"), origin.address.port().to_string());
    assert_eq!(attribute(&attempt, "sluice.upstream"), "up");
}

#[test]
fn tls_is_spoken_where_the_url_says_so_and_the_environment_is_enough() {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let collector = Collector::start();
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("cert.pem"), key.cert.pem()).unwrap();
    fs::write(dir.path().join("key.pem"), key.signing_key.serialize_pem()).unwrap();
    let certificate = dir.path().join("cert.pem").display().to_string();
    let front = format!(
        "listeners: [{{ address: \"127.0.0.1:0\", tls: {{ cert: cert.pem, key: key.pem }} }}]\n\
         upstreams: {{ up: {{ endpoints: [\"{}\"], http: h2 }} }}\nroutes: [{{ upstream: up }}]\n",
        collector.address
    );
    let front = Proxy::start_in(dir, &front);
    let endpoint = format!("https://localhost:{}", front.addresses[0].port());
    let environment = [
        ("SSL_CERT_FILE", certificate.as_str()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ];
    let mut proxy = Proxy::start_with(TempDir::new().unwrap(), &chain_yaml(&[], None, ""), &environment);
    assert_eq!(proxy.client().request("GET /", &[], "").status(), 200);
    proxy.signal("TERM");
    proxy.wait();
    collector.wait_for("requests", |span| span.name == "GET /*", 1);
    let wrong = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:1"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")];
    let said = Proxy::refused_with(&chain_yaml(&[], None, ""), &wrong);
    assert!(said.contains("OTEL_EXPORTER_OTLP_PROTOCOL") && said.contains("`http/json`"), "{said}");
}
