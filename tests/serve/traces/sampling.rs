//! Which requests are traced, and whose word counts.

use opentelemetry_proto::tonic::trace::v1::{span::SpanKind, status::StatusCode};
use tempfile::TempDir;

use super::{PARENT, TRACE, from_caller, hex, of_caller, telemetry};
use crate::{
    harness::{Collector, Origin, Proxy, Reply, attribute, chain_yaml},
    swap::version::{Version, put},
};

/// A proxy whose filter traps on every request.
fn trapping(extra: &str) -> Proxy {
    let dir = TempDir::new().unwrap();
    put(dir.path(), &Version::new("1").trapping_every(1));
    Proxy::start_in(dir, &chain_yaml(&[("v", "DIR/v.wasm", "")], None, extra))
}

#[test]
fn the_word_of_a_believed_caller_counts_and_nonsense_is_no_word() {
    let collector = Collector::start();
    let mut proxy = trapping(&telemetry(&collector, "sampling: { errors: false }"));
    let mut client = proxy.client();
    assert_eq!(client.request("GET /", &[&from_caller("00")], "").status(), 503);
    for hostile in ["", "00-", "zz", "00-00000000000000000000000000000000-0000000000000000-01", &"9".repeat(5000)] {
        assert_eq!(client.request("GET /", &[&format!("traceparent: {hostile}")], "").status(), 503);
    }
    proxy.signal("TERM");
    proxy.wait();
    let servers = collector.wait_for("requests", |span| span.kind() == SpanKind::Server, 5);
    assert_eq!(servers.len(), 5);
    for server in servers {
        assert!(!of_caller(&server));
        assert_eq!(attribute(&server, "error.type"), "trap");
        assert_eq!(server.status.unwrap().code(), StatusCode::Error);
    }
    let failed = collector.wait_for("filters", |span| span.name == "v request_headers", 5);
    assert!(failed.iter().all(|span| attribute(span, "error.type") == "trap"));
}

#[test]
fn who_is_not_believed_is_linked_to_and_decides_nothing() {
    let collector = Collector::start();
    let origin = Origin::start(|_| Reply::ok("x"));
    let mut proxy =
        Proxy::start(&chain_yaml(&[], Some(origin.address), &telemetry(&collector, "trust: [192.0.2.0/24]")));
    for flags in ["00", "01"] {
        assert_eq!(proxy.client().request("GET /", &[&from_caller(flags), "tracestate: v=1"], "").status(), 200);
        let seen = origin.request();
        assert!(!seen.header("traceparent").contains(TRACE), "{seen:?}");
        assert!(!seen.has("tracestate"));
    }
    proxy.signal("TERM");
    proxy.wait();
    for server in collector.wait_for("requests", |span| span.kind() == SpanKind::Server, 2) {
        assert!(server.parent_span_id.is_empty() && !of_caller(&server));
        let [link] = &server.links[..] else { panic!("{server:?}") };
        assert_eq!((hex(&link.trace_id).as_str(), hex(&link.span_id).as_str()), (TRACE, PARENT));
    }
}

#[test]
fn what_fails_is_kept_though_it_was_not_drawn() {
    let collector = Collector::start();
    let dir = TempDir::new().unwrap();
    put(dir.path(), &Version::new("1").trapping_every(10));
    let origin = Origin::start(|_| Reply::ok("x"));
    let yaml = chain_yaml(&[("v", "DIR/v.wasm", "")], Some(origin.address), &telemetry(&collector, "sampling: 0.0"));
    let mut proxy = Proxy::start_in(dir, &yaml);
    let mut client = proxy.client();
    let failed = (0..40).filter(|_| client.request("GET /", &[], "").status() == 503).count();
    assert!(failed > 0);
    // The upstream is told that nobody reads it.
    assert!(origin.request().header("traceparent").ends_with("-00"));
    proxy.signal("TERM");
    proxy.wait();
    let servers = collector.wait_for("failures", |span| span.kind() == SpanKind::Server, failed);
    assert_eq!(servers.len(), failed);
    assert!(servers.iter().all(|server| attribute(server, "http.response.status_code") == "503"));
}

#[test]
fn a_filters_own_context_is_what_the_upstream_sees() {
    let collector = Collector::start();
    let origin = Origin::start(|_| Reply::ok("x"));
    let own = "00-11111111111111111111111111111111-2222222222222222-01";
    let more =
        format!("env: {{ SCRIPT: 'request_headers: proxy_replace_header_map_value 0 \"traceparent\" \"{own}\"' }}");
    let chain = [("s", crate::harness::fixture("probe"), more)];
    let chain = chain.each_ref().map(|(name, path, more)| (*name, path.as_str(), more.as_str()));
    let proxy = Proxy::start(&chain_yaml(&chain, Some(origin.address), &telemetry(&collector, "")));
    assert_eq!(proxy.client().request("GET /", &[], "").status(), 200);
    assert_eq!(origin.request().header("traceparent"), own);
}
