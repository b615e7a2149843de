//! B3 beside the W3C trace context: who reads it, who is told it, and when it is left alone.

use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use tempfile::TempDir;

use super::{PARENT, TRACE, from_caller, hex, of_caller, telemetry, the};
use crate::harness::{Collector, Message, Origin, Proxy, Reply, chain_yaml, fixture};

const FIELDS: [&str; 6] = ["b3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags"];

struct Rig {
    collector: Collector,
    origin: Origin,
    auth: Origin,
    proxy: Proxy,
}

/// A filter that calls `auth` in front of an origin.
fn rig(more: &str, environment: &[(&str, &str)]) -> Rig {
    let collector = Collector::start();
    let (origin, auth) = (Origin::start(|_| Reply::ok("x")), Origin::start(|_| Reply::ok("yes")));
    let filter = "config: \"auth 5000\", capabilities: { callouts: [auth] }";
    let yaml = chain_yaml(&[("c", &fixture("callout"), filter)], Some(origin.address), &telemetry(&collector, more));
    let upstream = format!("upstreams:\n  auth: {{ endpoints: [\"{}\"] }}\n", auth.address);
    let yaml = yaml.replace("upstreams:\n", &upstream);
    let proxy = Proxy::start_with(TempDir::new().unwrap(), &yaml, environment);
    Rig { collector, origin, auth, proxy }
}

impl Rig {
    /// What the origin and the server of the callout got.
    fn ask(&self, fields: &[&str]) -> (Message, Message) {
        let fields = [&["x-call-at: request_headers"], fields].concat();
        assert_eq!(self.proxy.client().request("GET /", &fields, "").status(), 200);
        (self.origin.request(), self.auth.request())
    }

    fn end(mut self, wanted: impl Fn(&Span) -> bool, count: usize) -> Vec<Span> {
        self.proxy.signal("TERM");
        self.proxy.wait();
        self.collector.wait_for("spans", wanted, count)
    }
}

/// The place that a message tells by B3, in either form, and whether it is drawn.
fn told(message: &Message, form: &str) -> String {
    match form {
        "single" => message.header("b3"),
        _ => ["x-b3-traceid", "x-b3-spanid", "x-b3-sampled"].map(|name| message.header(name)).join("-"),
    }
}

#[test]
fn it_is_read_where_nothing_else_is_said_and_written_in_the_form_that_is_wanted() {
    for form in ["single", "multi"] {
        for said in [
            vec![format!("b3: {TRACE}-{PARENT}-1-{PARENT}")],
            vec![
                format!("X-B3-TraceId: {TRACE}"),
                format!("X-B3-SpanId: {PARENT}"),
                format!("X-B3-ParentSpanId: {PARENT}"),
                "X-B3-Flags: 1".to_owned(),
            ],
        ] {
            let rig = rig(&format!("b3: {form}"), &[]);
            let (at_origin, at_auth) = rig.ask(&said.iter().map(String::as_str).collect::<Vec<_>>());
            let spans = rig.end(of_caller, 7);
            let server = the(&spans, "server spans", |span| span.kind() == SpanKind::Server);
            assert_eq!(hex(&server.parent_span_id), PARENT);
            let below = |span: &Span| span.kind() == SpanKind::Client && span.parent_span_id == server.span_id;
            let attempt = the(&spans, "attempts", below);
            let callout = the(&spans, "callouts", |span| span.name == "POST");
            for (message, span) in [(&at_origin, attempt), (&at_auth, callout)] {
                let id = hex(&span.span_id);
                assert_eq!(told(message, form), format!("{TRACE}-{id}-1"), "{form} {said:?} {message:?}");
                assert_eq!(message.header("traceparent"), format!("00-{TRACE}-{id}-01"));
                // What the caller said of itself is not passed on.
                let ours = if form == "single" { 1 } else { 3 };
                assert_eq!(FIELDS.iter().filter(|name| message.has(name)).count(), ours, "{message:?}");
            }
        }
    }
}

#[test]
fn a_traceparent_comes_first_nonsense_says_nothing_and_a_decision_is_followed() {
    let rig = rig("b3: single, sampling: { errors: false }", &[]);
    let other = "b3: 00000000000000000000000000000001-0000000000000002-0";
    rig.ask(&[&from_caller("01"), other]);
    let long = "9".repeat(5000);
    for hostile in ["", "-", "2", &format!("{TRACE}-{PARENT}-9"), &TRACE.to_uppercase(), &long] {
        let (at_origin, _) = rig.ask(&[&format!("b3: {hostile}")]);
        assert!(at_origin.header("b3").ends_with("-1") && at_origin.header("b3").len() == 51, "{at_origin:?}");
        assert!(!at_origin.header("b3").contains(TRACE));
    }
    // Who is believed and draws nothing is not sent, and says so to all.
    for undrawn in ["b3: 0".to_owned(), format!("b3: {TRACE}-{PARENT}-0")] {
        let (at_origin, at_auth) = rig.ask(&[&undrawn]);
        assert!(at_origin.header("b3").ends_with("-0") && at_auth.header("b3").ends_with("-0"), "{at_auth:?}");
        assert!(at_origin.header("traceparent").ends_with("-00"));
        assert_eq!(at_origin.header("b3").contains(TRACE), undrawn.contains(TRACE));
    }
    let servers = rig.end(|span| span.kind() == SpanKind::Server, 7);
    assert_eq!(servers.len(), 7);
    assert_eq!(servers.iter().filter(|span| of_caller(span)).count(), 1);
    assert!(servers.iter().all(|span| span.links.is_empty()));
}

#[test]
fn who_is_not_believed_is_linked_to() {
    let rig = rig("b3: multi, trust: none", &[]);
    let (at_origin, _) = rig.ask(&[&format!("b3: {TRACE}-{PARENT}-0")]);
    assert!(!at_origin.has("b3") && at_origin.header("x-b3-traceid") != TRACE);
    let server = rig.end(|span| span.kind() == SpanKind::Server, 1).remove(0);
    assert!(server.parent_span_id.is_empty());
    assert_eq!((hex(&server.links[0].trace_id).as_str(), hex(&server.links[0].span_id).as_str()), (TRACE, PARENT));
}

#[test]
fn when_it_is_off_it_passes_like_any_field() {
    let rig = rig("sampling: 1.0", &[]);
    let said = format!("{TRACE}-{PARENT}-0");
    let (at_origin, at_auth) = rig.ask(&[&format!("b3: {said}"), "x-b3-flags: 1"]);
    assert_eq!((at_origin.header("b3"), at_origin.header("x-b3-flags").as_str()), (said, "1"));
    assert!(!at_auth.has("b3"));
    let server = rig.end(|span| span.kind() == SpanKind::Server, 1).remove(0);
    assert!(!of_caller(&server) && server.links.is_empty());
}

#[test]
fn the_environment_says_which_of_them_are_spoken() {
    let rig = rig("sampling: 1.0", &[("OTEL_PROPAGATORS", "b3multi,baggage")]);
    let (at_origin, at_auth) = rig.ask(&[&format!("b3: {TRACE}-{PARENT}-1"), &from_caller("00"), "baggage: k=v"]);
    assert_eq!(at_origin.header("x-b3-traceid"), TRACE);
    assert_eq!(at_auth.header("x-b3-traceid"), TRACE);
    // W3C's field is not ours then.
    assert_eq!(at_origin.header("traceparent"), format!("00-{TRACE}-{PARENT}-00"));
    assert_eq!(at_origin.header("baggage"), "k=v");
    assert_eq!(rig.end(of_caller, 7).len(), 7);
}
