//! Spans of callouts: whom they asked, and that they were cancelled.

use std::{net::TcpListener, sync::mpsc::channel, thread};

use super::telemetry;
use crate::harness::{Collector, GrpcServer, Origin, Proxy, Reply, attribute, chain_yaml, fixture};

fn start(collector: &Collector, isolation: &str, rpc: std::net::SocketAddr) -> Proxy {
    let origin = Origin::start(|_| Reply::ok("origin"));
    let filter = format!("config: \"rpc 5000\", isolation: {isolation}, capabilities: {{ callouts: all }}");
    let yaml =
        chain_yaml(&[("g", &fixture("grpc"), &filter)], Some(origin.address), &telemetry(collector, "sampling: 1.0"));
    let rpc = format!("upstreams:\n  rpc: {{ endpoints: [\"{rpc}\"], http: h2 }}\n");
    Proxy::start(&yaml.replace("upstreams:\n", &rpc))
}

#[test]
fn a_call_that_its_filter_cancels_says_so_and_whom_it_asked() {
    let (collector, server) = (Collector::start(), GrpcServer::start());
    let proxy = start(&collector, "shared", server.address);
    assert_eq!(proxy.client().request("GET /", &["x-grpc: cancel"], "").status(), 200);
    server.wait_for("stream over");
    let cancelled = |span: &_| attribute(span, "error.type") == "cancelled";
    let span = collector.wait_for("the call", cancelled, 1).remove(0);
    assert_eq!(attribute(&span, "sluice.filter"), "g");
    assert_eq!(attribute(&span, "server.address"), "127.0.0.1");
    assert_eq!(attribute(&span, "server.port"), server.address.port().to_string());
    assert_eq!(attribute(&span, "rpc.response.status_code"), "");
    // Below the callback that made it.
    collector.wait_for("its callback", |made| made.span_id == span.parent_span_id, 1);
    assert_eq!(proxy.client().request("GET /", &["x-grpc: unary"], "").status(), 200);
    let whole = |span: &_| attribute(span, "rpc.response.status_code") == "0";
    let span = collector.wait_for("a whole call", whole, 1).remove(0);
    assert_eq!(attribute(&span, "error.type"), "");
    assert_eq!(attribute(&span, "server.port"), server.address.port().to_string());
    assert_eq!(collector.spans().iter().filter(|span| cancelled(span)).count(), 1, "each is told once");
}

/// A server that takes a stream, answers its head, and says when each came and was over.
fn watched() -> (std::net::SocketAddr, std::sync::mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (told, seen) = channel();
    let serve = async move {
        listener.set_nonblocking(true).unwrap();
        let (stream, _) = tokio::net::TcpListener::from_std(listener).unwrap().accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let (request, mut respond) = connection.accept().await.unwrap().unwrap();
        tokio::spawn(async move { while connection.accept().await.is_some() {} });
        let _half = respond.send_response(http::Response::new(()), false).unwrap();
        told.send(()).unwrap();
        let mut body = request.into_body();
        while let Some(Ok(_)) = body.data().await {}
        told.send(()).unwrap();
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    thread::spawn(move || runtime.block_on(serve));
    (address, seen)
}

#[test]
fn a_call_that_ends_with_its_stream_was_cancelled_too() {
    let collector = Collector::start();
    let (address, seen) = watched();
    let proxy = start(&collector, "request", address);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nhost: a.test\r\nx-grpc: open\r\n\r\n");
    seen.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
    drop(client);
    seen.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
    let span = collector.wait_for("the call", |span| attribute(span, "error.type") == "cancelled", 1).remove(0);
    assert_eq!(attribute(&span, "server.port"), address.port().to_string());
}
