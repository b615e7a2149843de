//! WebSocket upgrades pass through a chain, with a real WebSocket implementation on both ends.

use std::{net::TcpListener, thread, time::Duration};

use tungstenite::{Message, accept, client::IntoClientRequest};

use crate::harness::{Proxy, fixture, go_fixture};

#[test]
fn a_websocket_passes_through_a_chain_of_both_languages() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                let stream = stream.unwrap();
                // A tunnel is closed by Pingora 0.9.1 when the 101 arrives before the proxy's own task runs again after
                // writing the request (its issue 946): no network is that fast, but loopback on a loaded machine is.
                thread::sleep(Duration::from_millis(50));
                let mut socket = accept(stream).unwrap();
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
