//! Metrics, pushed: field by field, through a real collector, by either way, and when the collector is away or hangs.

use std::{net::TcpListener, time::Instant};

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    metrics::v1::{AggregationTemporality, HistogramDataPoint, Metric, metric::Data},
};
use prost::Message as _;
use tempfile::TempDir;

use super::{counted, metric, nobody, number, spreads};
use crate::harness::{Collector, Origin, Proxy, Reply, Rotel, chain_yaml, fixture, value};

const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

/// Each minute: what a test sees is the last push.
fn push(to: &str) -> String {
    format!("telemetry: {{ service: edge, metrics: {{ endpoint: \"http://{to}\" }} }}\n")
}

/// A filter that defines a counter, a gauge and a histogram, and records in each at every request.
fn defining() -> Vec<u8> {
    wat::parse_str(
        r#"(module
          (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
          (import "env" "proxy_record_metric" (func $record (param i32 i64) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "hits_kind=.=a;.;") (data (i32.const 32) "level") (data (i32.const 64) "sizes")
          (func (export "proxy_abi_version_0_2_1"))
          (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
          (func (export "proxy_on_context_create") (param i32 i32))
          (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (drop (call $define (i32.const 0) (i32.const 0) (i32.const 16) (i32.const 128)))
            (drop (call $define (i32.const 1) (i32.const 32) (i32.const 5) (i32.const 132)))
            (drop (call $define (i32.const 2) (i32.const 64) (i32.const 5) (i32.const 136)))
            (i32.const 1))
          (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (drop (call $record (i32.load (i32.const 128)) (i64.const 7)))
            (drop (call $record (i32.load (i32.const 132)) (i64.const -2)))
            (drop (call $record (i32.load (i32.const 136)) (i64.const 30)))
            (i32.const 0)))"#,
    )
    .unwrap()
}

#[test]
fn every_family_comes_with_its_kind_its_unit_and_its_attributes() {
    let collector = Collector::start();
    let origin = Origin::start(|_| Reply::ok("x"));
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("d.wasm"), defining()).unwrap();
    let tag = fixture("tag");
    let chain = [("t", tag.as_str(), "config: t"), ("d", "DIR/d.wasm", "")];
    let yaml = chain_yaml(&chain, Some(origin.address), &push(&collector.address.to_string()));
    let mut proxy = Proxy::start_in(dir, &yaml);
    for _ in 0..3 {
        assert_eq!(proxy.client().request("GET /a?q=1", &[], "").status(), 200);
    }
    assert!(proxy.log().contains(&format!("metrics go to http://{} by gRPC, every 1m", collector.address)));
    proxy.signal("TERM");
    assert!(proxy.wait().success());
    let (of, metrics) = collector.metrics("the last push", |metrics| !metrics.is_empty());
    assert_eq!(value(&of, "service.name"), "edge");
    assert_eq!(value(&of, "process.pid"), proxy.pid().to_string());
    assert_eq!(value(&of, "service.version"), env!("CARGO_PKG_VERSION"));

    let duration = metric(&metrics, "http.server.request.duration");
    assert_eq!((duration.unit.as_str(), duration.description.as_str()), ("s", "How long requests took, by route"));
    let [point] = spreads(duration) else { panic!("{duration:#?}") };
    for (name, text) in [
        ("http.request.method", "GET"),
        ("http.route", "/*"),
        ("http.response.status_code", "200"),
        ("network.protocol.version", "1.1"),
        ("url.scheme", "http"),
    ] {
        assert_eq!(value(&point.attributes, name), text, "{name}");
    }
    assert_eq!(point.attributes.len(), 5);
    assert_eq!(point.count, 3);
    assert_eq!(point.bucket_counts.iter().sum::<u64>(), 3);
    assert_eq!((point.explicit_bounds.len(), point.bucket_counts.len()), (18, 19));
    assert_eq!((point.explicit_bounds[0], point.explicit_bounds[17]), (0.000_25, 10.0));
    assert!(point.sum.is_some_and(|sum| sum > 0.0));
    assert!(0 < point.start_time_unix_nano && point.start_time_unix_nano < point.time_unix_nano);
    let Some(Data::Histogram(histogram)) = &duration.data else { panic!() };
    assert_eq!(histogram.aggregation_temporality, CUMULATIVE);

    let [attempt] = spreads(metric(&metrics, "http.client.request.duration")) else { panic!() };
    assert_eq!((value(&attempt.attributes, "server.address").as_str(), attempt.count), ("up", 3));

    let invocations = metric(&metrics, "sluice.filter.invocations");
    let of_tag = [("filter", "t"), ("phase", "request_headers"), ("outcome", "continued")];
    assert_eq!(number(invocations, &of_tag), 3.0);
    let Some(Data::Sum(sum)) = &invocations.data else { panic!() };
    assert_eq!((sum.is_monotonic, sum.aggregation_temporality), (true, CUMULATIVE));
    let active = metric(&metrics, "http.server.active_requests");
    let Some(Data::Sum(sum)) = &active.data else { panic!("{active:?}") };
    assert_eq!((sum.is_monotonic, number(active, &[]), active.unit.as_str()), (false, 0.0, "{request}"));
    let generation = metric(&metrics, "sluice.generation");
    assert!(matches!(generation.data, Some(Data::Gauge(_))));
    assert_eq!(number(generation, &[]), 1.0);
    assert_eq!(metric(&metrics, "sluice.filter.cpu").unit, "s");
    let memory = metric(&metrics, "sluice.filter.memory");
    assert_eq!(memory.unit, "By");
    assert_eq!(number(memory, &[("filter", "t")]), 0.0, "its guests have ended before the process does");
    assert!(number(metric(&metrics, "process.cpu.time"), &[]) > 0.0);

    assert_eq!(number(metric(&metrics, "sluice.custom.hits"), &[("kind", "a")]), 21.0);
    assert_eq!(number(metric(&metrics, "sluice.custom.level"), &[]), -2.0);
    let [sizes] = spreads(metric(&metrics, "sluice.custom.sizes")) else { panic!() };
    let HistogramDataPoint { count, sum, explicit_bounds, bucket_counts, .. } = sizes;
    assert_eq!((*count, *sum, explicit_bounds.len(), bucket_counts.as_slice()), (3, Some(90.0), 0, &[3][..]));
}

/// How many requests the filter of a chain has met.
fn met(metrics: &[Metric]) -> f64 {
    let exchanges = metrics.iter().find(|metric| metric.name == "sluice.filter.exchanges");
    exchanges.map_or(0.0, |exchanges| number(exchanges, &[("filter", "t")]))
}

#[test]
fn a_real_collector_takes_them_by_both_ways() {
    for http in [false, true] {
        let end = Collector::start();
        let rotel = Rotel::start(end.address);
        let (to, way) = if http { (rotel.http, "protocol: http, ") } else { (rotel.grpc, "") };
        let push = format!(
            "telemetry: {{ metrics: {{ endpoint: \"http://{to}\", {way}compression: gzip, interval: 200ms }} }}\n"
        );
        let proxy = Proxy::start(&chain_yaml(&[("t", &fixture("tag"), "config: t")], None, &push));
        assert_eq!(proxy.client().request("GET /", &[], "").status(), 200);
        // Not the last push: it serves meanwhile.
        let (of, metrics) = end.metrics("a request", |metrics| met(metrics) == 1.0);
        assert_eq!(value(&of, "service.name"), "sluice");
        let [point] = spreads(metric(&metrics, "http.server.request.duration")) else { panic!() };
        assert_eq!((point.count, value(&point.attributes, "http.response.status_code").as_str()), (1, "200"));
        let Some(Data::Sum(sum)) = &metric(&metrics, "sluice.filter.exchanges").data else { panic!() };
        assert!(sum.is_monotonic && sum.data_points[0].start_time_unix_nano > 0);
        assert_eq!(proxy.client().request("GET /", &[], "").status(), 200);
        end.metrics("the next one", |metrics| met(metrics) == 2.0);
    }
}

#[test]
fn the_environment_alone_turns_it_on_and_says_where_how_often_and_with_which_fields() {
    let collector = Origin::start(|_| Reply::ok(""));
    let endpoint = format!("http://{}/in", collector.address);
    let environment = [
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=s3cret%20key"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        ("OTEL_SERVICE_NAME", "named"),
    ];
    let proxy = Proxy::start_with(TempDir::new().unwrap(), &chain_yaml(&[], None, ""), &environment);
    let request = collector.request();
    assert_eq!((request.line.as_str(), request.header("x-key").as_str()), ("POST /in HTTP/1.1", "s3cret key"));
    assert_eq!(request.header("content-type"), "application/x-protobuf");
    let sent = ExportMetricsServiceRequest::decode(&request.body[..]).unwrap();
    let [of] = &sent.resource_metrics[..] else { panic!("{sent:?}") };
    let attributes = &of.resource.as_ref().unwrap().attributes;
    assert_eq!(value(attributes, "deployment.environment.name"), "test");
    assert_eq!(value(attributes, "service.name"), "named");
    assert_eq!(of.scope_metrics[0].scope.as_ref().unwrap().name, "sluice");
    let log = proxy.log();
    assert!(!log.contains("s3cret") && !log.contains("traces go"), "{log}");
    for (name, nonsense) in [("OTEL_METRIC_EXPORT_INTERVAL", "1m"), ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "x")] {
        let said = Proxy::refused_with(&chain_yaml(&[], None, ""), &[environment[0], (name, nonsense)]);
        assert!(said.contains("telemetry.metrics") && said.contains("OTEL_"), "{said}");
    }
}

#[test]
fn what_a_collector_does_not_take_is_counted_told_once_and_tried_again() {
    let refuses =
        Origin::start(|_| Reply::Bytes(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_vec()));
    let away = nobody();
    for (to, way) in [(refuses.address, "http"), (away, "grpc")] {
        let extra = format!(
            "telemetry: {{ metrics: {{ endpoint: \"http://{to}\", protocol: {way}, interval: 100ms }} }}\n\
             admin: {{ address: \"127.0.0.1:0\" }}\n"
        );
        let mut proxy = Proxy::start(&chain_yaml(&[], None, &extra));
        let began = Instant::now();
        while counted(&proxy, "sluice_telemetry_pushes_total{result=\"failed\"}") < 3.0 {
            assert!(began.elapsed().as_secs() < 30, "{}", proxy.log());
            assert_eq!(proxy.client().request("GET /", &[], "").status(), 200);
        }
        assert_eq!(counted(&proxy, "sluice_telemetry_pushes_total{result=\"sent\"}"), 0.0);
        assert_eq!(proxy.log().matches("metrics cannot be sent").count(), 1, "{}", proxy.log());
        proxy.signal("TERM");
        assert!(proxy.wait().success());
    }
}

#[test]
fn a_collector_that_never_answers_does_not_hold_up_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let extra = format!(
        "telemetry: {{ metrics: {{ endpoint: \"http://{}\", timeout: 60s, interval: 100ms }} }}\n",
        listener.local_addr().unwrap()
    );
    let mut proxy = Proxy::start(&chain_yaml(&[], None, &extra));
    // It has begun to send, and waits.
    let _held = listener.accept().unwrap();
    assert_eq!(proxy.client().request("GET /", &[], "").status(), 200);
    proxy.signal("TERM");
    // Without the bound this would take a minute, which is more than the harness waits.
    assert!(proxy.wait().success());
    let log = proxy.log();
    assert!(log.contains("the last metrics may not have been sent"), "{log}");
}

/// TLS in front of a collector, and the file with its certificate.
fn tls_in_front(of: std::net::SocketAddr, http: &str) -> Proxy {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("cert.pem"), key.cert.pem()).unwrap();
    std::fs::write(dir.path().join("key.pem"), key.signing_key.serialize_pem()).unwrap();
    let front = format!(
        "listeners: [{{ address: \"127.0.0.1:0\", tls: {{ cert: cert.pem, key: key.pem }} }}]\n\
         upstreams: {{ up: {{ endpoints: [\"{of}\"], http: {http} }} }}\nroutes: [{{ upstream: up }}]\n"
    );
    Proxy::start_in(dir, &front)
}

#[test]
fn a_collector_is_known_by_the_certificates_of_the_file() {
    let collector = Collector::start();
    let front = tls_in_front(collector.address, "h2");
    let section = |front: &Proxy, more: &str| {
        let (port, ca) = (front.addresses[0].port(), front.dir.path().join("cert.pem"));
        format!("{{ endpoint: \"https://localhost:{port}\", ca: \"{}\"{more} }}", ca.display())
    };
    // Spans and metrics by gRPC.
    let both =
        format!("telemetry: {{ otlp: {}, metrics: {} }}\n", section(&front, ""), section(&front, ", interval: 100ms"));
    let proxy = Proxy::start(&chain_yaml(&[], None, &both));
    assert_eq!(proxy.client().request("GET /", &[], "").status(), 200);
    collector.metrics("metrics", |metrics| metrics.iter().any(|m| m.name == "http.server.request.duration"));
    collector.wait_for("a request", |span| span.name == "GET /*", 1);
    // The same by HTTP.
    let takes = Origin::start(|_| Reply::ok(""));
    let front = tls_in_front(takes.address, "h1");
    let more = ", protocol: http, interval: 100ms";
    let _proxy =
        Proxy::start(&chain_yaml(&[], None, &format!("telemetry: {{ metrics: {} }}\n", section(&front, more))));
    assert_eq!(takes.request().line, "POST /v1/metrics HTTP/1.1");
    let missing = "telemetry: { metrics: { endpoint: \"https://localhost:1\", ca: none.pem } }\n";
    let said = Proxy::refused(&chain_yaml(&[], None, missing));
    assert!(said.contains("telemetry.metrics: ca: ") && said.contains("none.pem"), "{said}");
}
