//! Traces: what a collector sees of requests and of swaps.

mod b3;
mod calls;
mod export;
mod sampling;
mod swap;
mod tcp;

use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};

use crate::harness::{Collector, Origin, Proxy, Reply, attribute, chain_yaml, fixture};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// The telemetry section: a collector, and what more is said.
fn telemetry(collector: &Collector, more: &str) -> String {
    format!("telemetry: {{ otlp: {{ endpoint: \"http://{}\" }}, {more} }}\n", collector.address)
}

/// The head that says where a request comes from.
fn from_caller(flags: &str) -> String {
    format!("traceparent: 00-{TRACE}-{PARENT}-{flags}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn of_caller(span: &Span) -> bool {
    hex(&span.trace_id) == TRACE
}

/// The only span of which this is true.
fn the<'a>(spans: &'a [Span], what: &str, wanted: impl Fn(&Span) -> bool) -> &'a Span {
    let found: Vec<_> = spans.iter().filter(|span| wanted(span)).collect();
    let [span] = found[..] else { panic!("{} of {what}: {spans:#?}", found.len()) };
    span
}

#[test]
fn a_request_is_a_tree_of_spans() {
    let collector = Collector::start();
    let origin = Origin::start(|_| Reply::ok("x"));
    let tag = fixture("tag");
    let chain = [("a", tag.as_str(), "config: a"), ("b", tag.as_str(), "config: b")];
    let mut proxy = Proxy::start(&chain_yaml(&chain, Some(origin.address), &telemetry(&collector, "")));
    let answer = proxy.client().request(
        "GET /some/path?q=1&sig=secret",
        &[&from_caller("01"), "tracestate: v=1", "baggage: k=v"],
        "",
    );
    assert_eq!(answer.status(), 200);
    let at_origin = origin.request();
    proxy.signal("TERM");
    proxy.wait();

    let spans = collector.wait_for("the request's spans", of_caller, 8);
    let server = the(&spans, "server spans", |span| span.kind() == SpanKind::Server);
    assert_eq!((server.name.as_str(), hex(&server.parent_span_id).as_str()), ("GET /*", PARENT));
    for (name, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/*"),
        ("url.path", "/some/path"),
        ("url.query", "q=1&sig=REDACTED"),
        ("url.scheme", "http"),
        ("http.response.status_code", "200"),
        ("network.protocol.version", "1.1"),
        ("client.address", "127.0.0.1"),
        ("error.type", ""),
    ] {
        assert_eq!(attribute(server, name), value, "{name}");
    }
    let of_server = |s: &&Span| s.parent_span_id == server.span_id;
    let client = the(&spans, "client spans", |span| span.kind() == SpanKind::Client);
    assert!(of_server(&client));
    assert_eq!(attribute(client, "server.port"), origin.address.port().to_string());
    assert_eq!(attribute(client, "http.response.status_code"), "200");
    // The upstream's parent is the attempt, and what was beside the context goes on.
    assert_eq!(at_origin.header("traceparent"), format!("00-{TRACE}-{}-01", hex(&client.span_id)));
    assert_eq!((at_origin.header("tracestate").as_str(), at_origin.header("baggage").as_str()), ("v=1", "k=v"));
    let filters: Vec<_> = spans.iter().filter(|s| s.kind() == SpanKind::Internal).filter(of_server).collect();
    let mut names: Vec<_> = filters.iter().map(|s| s.name.as_str()).collect();
    names.sort_unstable();
    let of = |filter: &str| {
        ["request_headers", "response_body", "response_headers"].map(|phase| format!("{filter} {phase}"))
    };
    assert_eq!(names, [of("a"), of("b")].concat());
    for span in filters {
        assert_eq!(attribute(span, "sluice.outcome"), "continued");
        assert!(attribute(span, "sluice.cpu_us").parse::<f64>().unwrap() > 0.0);
        // Not every phase of this guest asks for something.
        let asks = attribute(span, "sluice.phase").ends_with("headers");
        assert_eq!(attribute(span, "sluice.hostcalls") != "0", asks, "{}", span.name);
        assert!(attribute(span, "sluice.digest").starts_with("sha256:"));
        assert!(span.start_time_unix_nano >= server.start_time_unix_nano);
        assert!(span.end_time_unix_nano <= server.end_time_unix_nano);
    }
}

#[test]
fn a_callout_hangs_below_the_callback_that_made_it() {
    let collector = Collector::start();
    let (origin, auth) = (Origin::start(|_| Reply::ok("x")), Origin::start(|_| Reply::ok("yes")));
    let chain = [
        ("t", fixture("tag"), "config: t"),
        ("c", fixture("callout"), "config: \"auth 5000\", capabilities: { callouts: [auth] }"),
    ];
    let chain = chain.each_ref().map(|(name, path, more)| (*name, path.as_str(), *more));
    let yaml = chain_yaml(&chain, Some(origin.address), &telemetry(&collector, ""));
    let auth_upstream = format!("upstreams:\n  auth: {{ endpoints: [\"{}\"] }}\n", auth.address);
    let mut proxy = Proxy::start(&yaml.replace("upstreams:\n", &auth_upstream));
    let heads = [from_caller("01"), "x-call-at: request_headers".into(), "baggage: k=v".into()];
    assert_eq!(proxy.client().request("GET /", &heads.each_ref().map(String::as_str), "").status(), 200);
    let asked = auth.request();
    proxy.signal("TERM");
    proxy.wait();
    let spans = collector.wait_for("spans", |span| of_caller(span) && span.name == "GET /*", 1);
    let spans = [spans, collector.wait_for("spans", |span| of_caller(span) && span.name != "GET /*", 7)].concat();
    let server = the(&spans, "servers", |span| span.kind() == SpanKind::Server);
    let made = the(&spans, "callbacks that call", |span| span.name == "c request_headers");
    let callout = the(&spans, "callouts", |span| span.name == "POST");
    let heard = the(&spans, "callbacks that hear", |span| span.name == "c callout");
    assert_eq!((callout.kind(), &callout.parent_span_id), (SpanKind::Client, &made.span_id));
    assert_eq!((&made.parent_span_id, &heard.parent_span_id), (&server.span_id, &server.span_id));
    assert_eq!(
        (attribute(made, "sluice.outcome").as_str(), attribute(callout, "sluice.upstream").as_str()),
        ("paused", "auth")
    );
    assert_eq!(
        (attribute(callout, "sluice.filter").as_str(), attribute(callout, "http.response.status_code").as_str()),
        ("c", "200")
    );
    assert_eq!(asked.header("traceparent"), format!("00-{TRACE}-{}-01", hex(&callout.span_id)));
    assert_eq!(asked.header("baggage"), "k=v");
}

#[test]
fn a_filter_knows_its_span_and_adds_to_it() {
    let collector = Collector::start();
    let config = r#"config: { paths: [sluice.trace_id, sluice.span_id, sluice.sampled], set: [[sluice.span.user.tier, none], [sluice.span.sluice.outcome, fine], [sluice.span.user.tier, "gold\u0007"], [sluice.event, cache miss], [sluice.mine, "1"]] }"#;
    let mut proxy =
        Proxy::start(&chain_yaml(&[("p", &fixture("properties"), config)], None, &telemetry(&collector, "")));
    let answer = proxy.client().request("GET /", &[&from_caller("01")], "");
    let text = |name: &str| {
        let hex = answer.header(name);
        let bytes: Vec<u8> =
            (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
        String::from_utf8(bytes).unwrap()
    };
    assert_eq!(
        (text("x-prop-0").as_str(), text("x-prop-2").as_str(), text("x-set-prop-4").as_str()),
        (TRACE, "\u{1}", "1")
    );
    proxy.signal("TERM");
    proxy.wait();
    let [first] = &collector.wait_for("the filter's span", |span| span.name == "p request_headers", 1)[..] else {
        panic!()
    };
    assert_eq!(text("x-prop-1"), hex(&first.span_id));
    assert_eq!(attribute(first, "user.tier"), "gold\\u{7}");
    // What we say of it stays.
    assert_eq!(attribute(first, "sluice.outcome"), "continued");
    assert_eq!(first.attributes.iter().filter(|a| a.key == "user.tier" || a.key == "sluice.outcome").count(), 2);
    let [event] = &first.events[..] else { panic!("{first:?}") };
    assert_eq!(event.name, "cache miss");
    assert!((first.start_time_unix_nano..=first.end_time_unix_nano).contains(&event.time_unix_nano));
    // What it logs says where it stands.
    let line = proxy.log().lines().find(|line| line.contains("log sluice.trace_id")).unwrap_or_default().to_owned();
    assert!(line.contains(&format!("trace_id={TRACE}")) && line.contains("span_id="), "{line}");
}

#[test]
fn each_attempt_at_an_upstream_is_a_span() {
    let collector = Collector::start();
    let origin = Origin::start(|_| Reply::Bytes(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec()));
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let yaml = chain_yaml(&[], Some(origin.address), &telemetry(&collector, ""));
    let both = format!("[\"{nobody}\", \"{}\"]", origin.address);
    let mut proxy = Proxy::start(&yaml.replace(&format!("[\"{}\"]", origin.address), &both));
    // One of two requests meets the dead endpoint first.
    for _ in 0..2 {
        assert_eq!(proxy.client().request("GET /", &[&from_caller("01")], "").status(), 404);
    }
    proxy.signal("TERM");
    proxy.wait();
    let spans = collector.wait_for("attempts", |span| of_caller(span) && span.kind() == SpanKind::Client, 3);
    let failed = spans.iter().find(|span| attribute(span, "error.type") == "upstream_connect").unwrap();
    assert_eq!(attribute(failed, "http.response.status_code"), "");
    let same = |span: &Span| span.parent_span_id == failed.parent_span_id && span.span_id != failed.span_id;
    let again = the(&spans, "second attempts", same);
    assert_eq!(attribute(again, "http.request.resend_count"), "1");
    assert_eq!(attribute(again, "server.port"), origin.address.port().to_string());
    assert_eq!(
        (attribute(again, "http.response.status_code").as_str(), attribute(again, "error.type").as_str()),
        ("404", "404")
    );
}
