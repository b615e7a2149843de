//! Spans of TCP connections.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
};

use opentelemetry_proto::tonic::trace::v1::{span::SpanKind, status::StatusCode};

use super::{hex, telemetry, the};
use crate::harness::{Collector, Proxy, attribute, fixture};

/// A server that takes one connection, sends back what it gets, and ends when its client does.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::copy(&mut stream.try_clone().unwrap(), &mut stream).unwrap();
        let _ = stream.shutdown(Shutdown::Write);
    });
    address
}

fn start(collector: &Collector, upstream: SocketAddr, more: &str) -> Proxy {
    Proxy::start(&format!(
        "listeners:\n  - {{ address: \"127.0.0.1:0\", tcp: {{ upstream: up, filters: [t] }} }}\n\
         filters:\n  t: {{ source: {{ path: \"{}\" }}, config: \"upper tag\" }}\n\
         upstreams:\n  up: {{ endpoints: [\"{upstream}\"] }}\n{}",
        fixture("tcp"),
        telemetry(collector, more)
    ))
}

#[test]
fn a_connection_is_a_span_with_its_bytes_and_its_filters_below_it() {
    let (collector, upstream) = (Collector::start(), echo());
    let proxy = start(&collector, upstream, "sampling: 1.0");
    let mut stream = TcpStream::connect(proxy.addresses[0]).unwrap();
    let client = stream.local_addr().unwrap();
    stream.write_all(b"hello\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "> HELLO\n");
    let server = collector.wait_for("the connection", |span| span.kind() == SpanKind::Server, 1).remove(0);
    assert_eq!(server.name, "tcp 127.0.0.1:0");
    assert!(server.parent_span_id.is_empty());
    for (name, value) in [
        ("network.transport", "tcp"),
        ("server.address", "127.0.0.1"),
        ("server.port", proxy.addresses[0].port().to_string().as_str()),
        ("client.address", "127.0.0.1"),
        ("network.peer.port", client.port().to_string().as_str()),
        ("sluice.route", "tcp 127.0.0.1:0"),
        ("sluice.upstream", "up"),
        ("sluice.upstream_address", upstream.to_string().as_str()),
        ("sluice.bytes_received", "6"),
        ("sluice.bytes_sent", "8"),
        ("sluice.generation", "1"),
        ("error.type", ""),
    ] {
        assert_eq!(attribute(&server, name), value, "{name}");
    }
    let below = |span: &_| {
        let span: &opentelemetry_proto::tonic::trace::v1::Span = span;
        span.parent_span_id == server.span_id
    };
    let spans = collector.wait_for("its filter's visits", below, 3);
    for phase in ["new_connection", "downstream_data", "upstream_data"] {
        let visits: Vec<_> = spans.iter().filter(|span| attribute(span, "sluice.phase") == phase).collect();
        assert!(!visits.is_empty(), "no {phase}: {spans:#?}");
        assert!(visits.iter().all(|span| span.kind() == SpanKind::Internal && span.trace_id == server.trace_id));
    }
    // The access log knows the same place.
    let line = &proxy.access(1)[0];
    assert_eq!(
        (line["trace_id"].as_str(), line["span_id"].as_str()),
        (Some(hex(&server.trace_id).as_str()), Some(hex(&server.span_id).as_str()))
    );
}

#[test]
fn one_that_fails_is_sent_though_it_was_not_drawn_and_says_why() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let collector = Collector::start();
    let proxy = start(&collector, nobody, "sampling: 0.0");
    let mut stream = TcpStream::connect(proxy.addresses[0]).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    let spans = collector.wait_for("the connection", |span| span.kind() == SpanKind::Server, 1);
    let server = the(&spans, "connections", |_| true);
    assert_eq!(attribute(server, "error.type"), "upstream_connect");
    assert_eq!(server.status.as_ref().unwrap().code(), StatusCode::Error);
    assert_eq!(attribute(server, "sluice.upstream_address"), "");
}
