//! WebSocket upgrades pass through a chain, with a real WebSocket implementation on both ends.

use std::{net::TcpListener, thread};

use tungstenite::{Message, accept, client::IntoClientRequest};

use crate::harness::{Origin, Proxy, Reply, fixture, go_fixture};

#[test]
fn a_websocket_passes_through_a_chain_of_both_languages() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                let mut socket = accept(stream.unwrap()).unwrap();
                while let Ok(message) = socket.read() {
                    if message.is_text() || message.is_binary() {
                        socket.send(message).unwrap();
                    }
                }
            });
        }
    });
    let proxy = Proxy::chain(
        &[
            ("h", &fixture("headers"), ""),
            ("b", &fixture("body"), "config: { request: upper, response: upper }"),
            ("g", &go_fixture("headers"), ""),
        ],
        Some(address),
    );
    for round in 0..10 {
        let request = format!("ws://{}/chat", proxy.addresses[0]).into_client_request().unwrap();
        let (mut socket, answer) = tungstenite::client(request, proxy.client().into_stream()).unwrap();
        assert_eq!(answer.status(), 101);
        assert_eq!(answer.headers()["x-added"], "one", "filters see the 101");
        for i in 0..20 {
            let text = format!("round {round} message {i}");
            socket.send(Message::text(text.clone())).unwrap();
            assert_eq!(socket.read().unwrap(), Message::text(text), "bytes of a tunnel are nobody's body");
        }
        let big = vec![7u8; 300_000];
        socket.send(Message::binary(big.clone())).unwrap();
        assert_eq!(socket.read().unwrap(), Message::binary(big));
        socket.close(None).unwrap();
    }
}

#[test]
fn what_switches_without_being_asked_is_no_answer() {
    let origin = Origin::start(|_| {
        Reply::Bytes(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfree bytes".to_vec(),
        )
    });
    let proxy = Proxy::chain(&[("h", &fixture("headers"), "")], Some(origin.address));
    let mut client = proxy.client();
    let answer = client.request("GET /", &[], "");
    assert_eq!(answer.status(), 502, "{answer:?}");
    assert!(answer.header("proxy-status").contains("upstream_protocol"), "{answer:?}");
    assert!(!answer.text().contains("free bytes"));
}

#[test]
fn a_handshake_that_is_refused_is_an_answer_like_any_other() {
    let origin = Origin::start(|_| Reply::ok("no tunnel here"));
    let proxy = Proxy::chain(&[("b", &fixture("body"), "config: { response: upper }")], Some(origin.address));
    let mut client = proxy.client();
    let handshake = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"];
    let answer = client.request("GET /", &handshake, "");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "NO TUNNEL HERE"));
    let seen = origin.request();
    assert_eq!((seen.header("connection").as_str(), seen.header("upgrade").as_str()), ("Upgrade", "websocket"));
}
