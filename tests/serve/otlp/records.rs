//! The access log, sent as log records.

use std::time::Instant;

use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    logs::v1::{LogRecord, SeverityNumber},
};
use prost::Message as _;
use tempfile::TempDir;

use super::{counted, nobody};
use crate::harness::{Client, Collector, Origin, Proxy, Reply, Rotel, chain_yaml, fixture, text, value};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn logging(to: &str, more: &str) -> String {
    format!("telemetry: {{ service: edge, otlp: {{ endpoint: \"http://{to}\" }}, access_log: {{ to: otlp{more} }} }}\n")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The fields that a record lists.
fn fields(record: &LogRecord) -> &[KeyValue] {
    match record.body.as_ref().unwrap().value.as_ref().unwrap() {
        Value::KvlistValue(list) => &list.values,
        other => panic!("no list: {other:?}"),
    }
}

#[test]
fn a_request_is_a_record_with_types_and_its_place_in_the_trace() {
    let collector = Collector::start();
    let tag = fixture("tag");
    let extra = logging(&collector.address.to_string(), "");
    let mut proxy = Proxy::start(&chain_yaml(&[("t", &tag, "config: t")], None, &extra));
    let parent = format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01");
    let head = [parent.as_str(), "x-request-id: r-1", "user-agent: \"ua\""];
    assert_eq!(proxy.client().request("GET /a?sig=secret&q=1", &head, "").status(), 200);
    proxy.signal("TERM");
    assert!(proxy.wait().success());
    let (of, records) = collector.records(1);
    assert_eq!(value(&of, "service.name"), "edge");
    let [record] = &records[..] else { panic!("{records:#?}") };
    assert_eq!(hex(&record.trace_id), TRACE);
    let server = collector.wait_for("the server's span", |span| span.name == "GET /*", 1).remove(0);
    assert_eq!((&record.span_id, record.flags), (&server.span_id, 1));
    assert_eq!((record.severity_number, record.severity_text.as_str()), (SeverityNumber::Info.into(), "INFO"));
    assert_eq!((record.event_name.as_str(), record.time_unix_nano), ("sluice.access", server.start_time_unix_nano));
    assert!(record.observed_time_unix_nano >= record.time_unix_nano);
    for (name, text) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.route", "/*"),
        ("sluice.request_id", "r-1"),
        ("sluice.upstream", "up"),
        ("sluice.generation", "1"),
    ] {
        assert_eq!(value(&record.attributes, name), text, "{name}");
    }
    assert_eq!(record.attributes.len(), 6);
    let fields = fields(record);
    for (name, text) in [
        ("method", "GET"),
        ("path", "/a?sig=REDACTED&q=1"),
        ("user_agent", "\"ua\""),
        ("protocol", "HTTP/1.1"),
        ("status", "200"),
        ("time", ""),
        ("trace_id", ""),
        ("error", ""),
    ] {
        assert_eq!(value(fields, name), text, "{name}");
    }
    let field = |name: &str| fields.iter().find(|field| field.key == name).unwrap().value.clone().unwrap().value;
    assert_eq!(field("status"), Some(Value::IntValue(200)));
    assert!(matches!(field("duration_us"), Some(Value::DoubleValue(us)) if us > 0.0));
    let Some(Value::ArrayValue(chain)) = field("filters") else { panic!("{fields:?}") };
    let [Value::KvlistValue(filter)] = &chain.values.iter().map(|v| v.value.clone().unwrap()).collect::<Vec<_>>()[..]
    else {
        panic!("{chain:?}")
    };
    assert_eq!(value(&filter.values, "filter"), "t");
    assert_eq!(value(&filter.values, "outcome"), "continued");
    assert_eq!(std::fs::read(proxy.dir.path().join("access.log")).unwrap(), b"", "nothing goes to standard output");
}

#[test]
fn a_format_is_the_text_and_what_failed_is_an_error() {
    let collector = Collector::start();
    let more = ", format: \"{method} {path} {status} {error}\"";
    let extra = logging(&collector.address.to_string(), more);
    let proxy = Proxy::start(&chain_yaml(&[], Some(nobody()), &extra));
    assert_eq!(proxy.client().request("BREW /a", &[], "").status(), 502);
    let (_, records) = collector.records(1);
    let [record] = &records[..] else { panic!("{records:#?}") };
    assert_eq!(text(record.body.as_ref().unwrap()), "BREW /a 502 upstream_connect");
    assert_eq!(record.severity_number, i32::from(SeverityNumber::Error));
    assert_eq!(value(&record.attributes, "error.type"), "upstream_connect");
    assert_eq!(value(&record.attributes, "http.request.method"), "_OTHER");
}

#[test]
fn a_real_collector_takes_them_and_a_reload_changes_the_way() {
    let end = Collector::start();
    let rotel = Rotel::start(end.address);
    let to = format!("telemetry: {{ otlp: {{ endpoint: \"http://{}\" }}, access_log: ", rotel.grpc);
    let more = "admin: { address: \"127.0.0.1:0\" }\nreload: { watch: false }\n";
    let yaml = |log: &str| chain_yaml(&[], None, &format!("{more}{to}{log} }}\n"));
    let proxy = Proxy::start(&yaml("{ path: stdout }"));
    let get = |path: &str| assert_eq!(proxy.client().request(&format!("GET {path}"), &[], "").status(), 200);
    get("/first");
    assert_eq!(proxy.access(1)[0]["path"], "/first");
    let reload = |log: &str| {
        std::fs::write(proxy.dir.path().join("sluice.yaml"), yaml(log)).unwrap();
        let post = "POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(Client::connect(proxy.admin()).send(post).read().status(), 200);
    };
    reload("{ to: otlp }");
    get("/second");
    let (_, records) = end.records(1);
    assert_eq!(value(fields(&records[0]), "path"), "/second");
    reload("{ to: path }");
    get("/third");
    assert_eq!(proxy.access(2)[1]["path"], "/third");
    reload("{ to: otlp }");
    get("/fourth");
    let (_, records) = end.records(2);
    assert_eq!((records.len(), value(fields(&records[1]), "path").as_str()), (2, "/fourth"));
}

#[test]
fn a_collector_that_is_away_costs_records_which_are_counted_and_nobody_waits() {
    let extra = logging(&nobody().to_string(), "") + "admin: { address: \"127.0.0.1:0\" }\n";
    let mut proxy = Proxy::start(&chain_yaml(&[], None, &extra));
    let mut client = proxy.client();
    for _ in 0..50 {
        assert_eq!(client.request("GET /", &[], "").status(), 200);
    }
    let began = Instant::now();
    while counted(&proxy, "sluice_access_log_dropped_total{reason=\"write_failed\"}") < 50.0 {
        assert!(began.elapsed().as_secs() < 30, "{}", proxy.log());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let log = proxy.log();
    assert_eq!(log.matches("the collector does not take the access log").count(), 1, "{log}");
    proxy.signal("TERM");
    assert!(proxy.wait().success());
}

#[test]
fn it_needs_a_collector_which_the_environment_can_name_or_forbid() {
    let yaml = chain_yaml(&[], None, "telemetry: { access_log: { to: otlp } }\n");
    let said = Proxy::refused(&yaml);
    assert!(said.contains("telemetry.access_log") && said.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{said}");
    let both = "telemetry: { access_log: { to: otlp, path: a } }\n";
    assert!(Proxy::refused(&chain_yaml(&[], None, both)).contains("`path` is only for `to: path`"));
    let proxy = Proxy::start_with(TempDir::new().unwrap(), &yaml, &[("OTEL_LOGS_EXPORTER", "none")]);
    assert_eq!(proxy.client().request("GET /", &[], "").status(), 200);
    let collector = Origin::start(|_| Reply::ok(""));
    let endpoint = format!("http://{}", collector.address);
    let environment = [("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", endpoint.as_str())];
    let proxy = Proxy::start_with(TempDir::new().unwrap(), &yaml, &environment);
    assert_eq!(proxy.client().request("GET /x", &[], "").status(), 200);
    let request = collector.request();
    assert_eq!(request.line, "POST / HTTP/1.1");
    let sent = ExportLogsServiceRequest::decode(&request.body[..]).unwrap();
    let record = &sent.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!(value(fields(record), "path"), "/x");
    assert_eq!(record.trace_id, b"", "nothing is traced");
}
