//! gRPC calls of filters, to a real gRPC server.

use std::{
    net::{SocketAddr, TcpListener},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use crate::harness::{GrpcServer, Origin, Proxy, Reply, chain_yaml, fixture};

struct Rig {
    server: GrpcServer,
    proxy: Proxy,
}

/// The guest in front of an origin, and the gRPC server as the upstream `rpc`.
fn rig(config: &str, isolation: &str) -> Rig {
    let (server, origin) = (GrpcServer::start(), Origin::start(|_| Reply::ok("origin")));
    let filter = format!("config: \"{config}\", isolation: {isolation}, capabilities: {{ callouts: all }}");
    let yaml = chain_yaml(&[("g", &fixture("grpc"), &filter)], Some(origin.address), "server: { workers: 1 }\n");
    let rpc = format!("upstreams:\n  rpc: {{ endpoints: [\"{}\"], http: h2 }}\n", server.address);
    let proxy = Proxy::start(&yaml.replace("upstreams:\n", &rpc));
    Rig { server, proxy }
}

impl Rig {
    fn notes(&self, headers: &[&str]) -> String {
        let answer = self.proxy.client().request("GET /", headers, "");
        assert_eq!((answer.status(), answer.text().as_str()), (200, "origin"), "{headers:?}");
        answer.header("x-grpc-notes")
    }
}

#[test]
fn a_unary_call_is_answered_once() {
    for isolation in ["shared", "request"] {
        let rig = rig("rpc 5000", isolation);
        let trace = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(rig.notes(&["x-grpc: unary", trace]), "answer you said asked");
        assert!(rig.server.seen()[0].starts_with("/test.Echo/Say data 00-0af7651916cd43dd8448eb211c80319c-"));
        assert_eq!(rig.notes(&["x-grpc: unary", "x-grpc-message: fail"]), "status 7 7 not you: ä");
        assert_eq!(rig.notes(&["x-grpc: unary", "x-grpc-method: None_such"]), "answer you said asked");
        let big = rig.notes(&["x-grpc: unary", "x-grpc-message: big"]);
        assert!(big.starts_with("status 8 8 a message of 5242880 bytes"), "{big}");
    }
}

#[test]
fn a_stream_tells_all_that_comes_in_its_order() {
    for isolation in ["shared", "request"] {
        let rig = rig("rpc 5000", isolation);
        assert_eq!(
            rig.notes(&["x-grpc: stream"]),
            "metadata true yes; message echo one; message echo two; trailing 2; closed 11 11 that was all"
        );
    }
}

#[test]
fn the_response_can_wait_for_a_stream_too() {
    let mut rig = rig("rpc 5000", "shared");
    rig.notes(&["x-grpc: stream", "x-grpc-response: 1"]);
    rig.proxy.wait_for(
        "notes: metadata true yes; message echo one; message echo two; trailing 2; closed 11 11 that was all",
    );
}

#[test]
fn cancelled_and_closed_streams_are_told_to_the_server_and_no_more_to_the_filter() {
    let rig = rig("rpc 5000", "shared");
    assert_eq!(rig.notes(&["x-grpc: cancel"]), "metadata true yes; message echo one");
    rig.server.wait_for("stream over");
    assert_eq!(rig.notes(&["x-grpc: close"]), "");
    rig.server.wait_for("heard last words");
    rig.server.wait_for("stream over");
    assert_eq!(rig.notes(&["x-grpc: unary-cancel"]), "");
}

/// A server that answers the head of one stream, and tells first that it came and then by which code it was reset.
fn watched() -> (SocketAddr, Receiver<Option<h2::Reason>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (told, reason) = channel();
    let serve = async move {
        listener.set_nonblocking(true).unwrap();
        let (stream, _) = tokio::net::TcpListener::from_std(listener).unwrap().accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let (request, mut respond) = connection.accept().await.unwrap().unwrap();
        // Nothing moves on the connection unless it is polled.
        tokio::spawn(async move { while connection.accept().await.is_some() {} });
        let _half = respond.send_response(http::Response::new(()), false).unwrap();
        told.send(None).unwrap();
        let mut body = request.into_body();
        loop {
            match body.data().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return told.send(error.reason()).unwrap(),
                None => return told.send(None).unwrap(),
            }
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    thread::spawn(move || runtime.block_on(serve));
    (address, reason)
}

#[test]
fn a_stream_that_is_never_ended_is_cancelled_with_its_guest() {
    let rig = rig("rpc 5000", "request");
    let (address, reason) = watched();
    let mut client = rig.proxy.client();
    client.send(format!("GET / HTTP/1.1\r\nhost: a.test\r\nx-grpc: open\r\nx-grpc-to: {address}\r\n\r\n"));
    assert_eq!(reason.recv_timeout(Duration::from_secs(20)).unwrap(), None);
    drop(client);
    assert_eq!(reason.recv_timeout(Duration::from_secs(20)).unwrap(), Some(h2::Reason::CANCEL));
}

#[test]
fn what_goes_wrong_is_a_status_with_words() {
    let mut rig = rig("rpc 300", "shared");
    assert_eq!(rig.notes(&["x-grpc: unary", "x-grpc-message: hang"]), "status 4 4 timeout");
    let refused = rig.notes(&["x-grpc: unary", "x-grpc-to: 127.0.0.1:1"]);
    assert!(refused.starts_with("status 14 14 ") && refused.contains("refused"), "{refused}");
    assert_eq!(rig.notes(&["x-grpc: unary", "x-grpc-to: nobody"]), "refused ParseFailure");
    rig.proxy.wait_for("proxy_grpc_call to `nobody` was refused: the configuration has no such upstream");
    let http1 = rig.notes(&["x-grpc: unary", &format!("x-grpc-to: {}", rig.proxy.addresses[0])]);
    assert!(http1.starts_with("status 14 14 "), "{http1}");
    assert_eq!(rig.notes(&["x-grpc: flood"]), "sent 4");
    rig.proxy.wait_for("4 MiB wait to be sent on this stream");
}

#[test]
fn a_root_calls_from_a_tick() {
    let mut rig = rig("rpc 5000 tick", "shared");
    rig.proxy.wait_for("root gRPC answer 0 you said from a tick");
}
