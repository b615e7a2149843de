//! A process that asks to be left alone, and serves on.

use std::time::Duration;

use serde_json::json;
use tokio::net::TcpStream;

use super::{Admin, exposition::Exposition};
use crate::harness::{Proxy, chain_yaml};

fn serving() -> Proxy {
    Proxy::start(&chain_yaml(&[], None, "admin: { address: \"127.0.0.1:0\" }\n"))
}

#[test]
fn load_balancers_and_clients_are_told_to_go_and_requests_are_served() {
    let proxy = serving();
    let admin = Admin::of(&proxy);
    let mut kept = proxy.client();
    let answer = kept.request("GET /", &[], "");
    assert_eq!((answer.status(), &*answer.header("connection")), (200, "keep-alive"));

    let answer = admin.post("/drain", "");
    assert_eq!((answer.status(), &answer.json()["draining"]), (200, &true.into()), "{answer:?}");
    assert!(answer.json()["in_flight"].is_u64(), "{answer:?}");
    let ready = admin.get("/ready");
    assert_eq!((ready.status(), &ready.json()["ready"]), (503, &false.into()));
    assert!(ready.json()["reasons"][0].as_str().unwrap().contains("asked for a drain"), "{ready:?}");
    assert_eq!(admin.get("/live").status(), 200);
    for client in [&mut kept, &mut proxy.client()] {
        let answer = client.request("GET /", &[], "");
        assert_eq!((answer.status(), &*answer.header("connection")), (200, "close"));
        assert!(client.at_end());
    }
    Exposition::wait(admin, &[("sluice_draining", 1.0)]);
    assert_eq!(admin.post("/drain", "").status(), 200, "once more is no news");

    let (status, text) = admin.command(&["drain", "--off"]);
    assert_eq!((status, &*text), (Some(0), "not draining: `/ready` says what it finds\n"));
    assert_eq!(admin.get("/ready").json(), json!({ "ready": true, "reasons": [] }));
    let mut client = proxy.client();
    assert_eq!(client.request("GET /", &[], "").header("connection"), "keep-alive");
    assert_eq!(client.request("GET /", &[], "").status(), 200);
    Exposition::wait(admin, &[("sluice_draining", 0.0)]);
    let events = admin.get("/events").json();
    let drains: Vec<_> = events.as_array().unwrap().iter().filter(|e| e["event"] == "drain").collect();
    let told: Vec<_> = drains.iter().map(|e| (&e["on"], &e["generation"])).collect();
    assert_eq!(told, [(&json!(true), &json!(1)), (&json!(false), &json!(1))], "{events}");
    assert!(drains[0]["client"].as_str().unwrap().starts_with("127.0.0.1:"), "{events}");

    let (status, text) = admin.command(&["drain"]);
    assert!(status == Some(0) && text.starts_with("draining: `/ready` says no"), "{text}");
    assert_eq!(admin.post("/drain?off=perhaps", "").status(), 400);
}

#[test]
fn connections_of_http2_are_told_by_goaway_and_new_ones_are_served() {
    let yaml = chain_yaml(&[], None, "admin: { address: \"127.0.0.1:0\" }\n");
    let proxy = Proxy::start(&yaml.replace("127.0.0.1:0\" }]", "127.0.0.1:0\", h2c: true }]"));
    let (admin, address) = (Admin::of(&proxy), proxy.addresses[0]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let open = || async move {
        let stream = TcpStream::connect(address).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        (client, tokio::spawn(connection))
    };
    let ask = |client: h2::client::SendRequest<bytes::Bytes>| async move {
        let request = http::Request::get("http://test.example/").body(()).unwrap();
        let (answer, _) = client.ready().await.unwrap().send_request(request, true).unwrap();
        answer.await.unwrap().status().as_u16()
    };
    let (client, connection) = runtime.block_on(open());
    assert_eq!(runtime.block_on(ask(client.clone())), 200);
    assert_eq!(admin.post("/drain", "").status(), 200);
    // It ends although its client would have gone on.
    let ended = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), connection).await });
    assert!(ended.expect("it ends").unwrap().is_ok());
    drop(client);
    let (client, connection) = runtime.block_on(open());
    assert_eq!(runtime.block_on(ask(client.clone())), 200, "one that comes meanwhile is served");
    assert_eq!(admin.post("/drain?off=true", "").status(), 200);
    for _ in 0..3 {
        assert_eq!(runtime.block_on(ask(client.clone())), 200, "and stays");
    }
    assert!(!connection.is_finished());
    drop(client);
}
