//! HTTP/2 on both sides: by prior knowledge and by ALPN, with many streams and trailers.

use std::fs;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Origin, Proxy, Reply, chain_yaml, fixture};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Reads a whole body and its trailers.
async fn whole(mut body: h2::RecvStream) -> (Vec<u8>, Option<HeaderMap>) {
    let mut out = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.unwrap();
        body.flow_control().release_capacity(chunk.len()).unwrap();
        out.extend_from_slice(&chunk);
    }
    (out, body.trailers().await.unwrap())
}

/// An HTTP/2 origin without TLS: answers with the request's body and trailers that tell its `x-chain`.
async fn origin(trailers: bool) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    tokio::spawn(async move {
                        let chain = request.headers().get("x-chain").cloned();
                        let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
                        let (body, _) = whole(request.into_body()).await;
                        let response = Response::builder().header("x-authority", authority).body(()).unwrap();
                        let mut send = respond.send_response(response, false).unwrap();
                        send.send_data(Bytes::from(body), !trailers).unwrap();
                        if trailers {
                            let mut map = HeaderMap::new();
                            map.insert("grpc-status", "0".parse().unwrap());
                            if let Some(chain) = chain {
                                map.insert("x-chain-seen", chain);
                            }
                            send.send_trailers(map).unwrap();
                        }
                    });
                }
            });
        }
    });
    address
}

#[test]
fn prior_knowledge_on_both_sides_with_trailers() {
    runtime().block_on(async {
        let upstream = origin(true).await;
        let script = r#"response_body: proxy_get_header_map_value 2 "x-authority"; response_trailers: proxy_get_header_map_value 2 "x-authority"; log: proxy_get_header_map_value 2 "x-authority""#;
        let mut proxy = tokio::task::spawn_blocking(move || {
            Proxy::start(&format!(
                r#"
listeners: [{{ address: "127.0.0.1:0", h2c: true }}]
filters:
  t: {{ source: {{ path: "{}" }}, config: two }}
  l: {{ source: {{ path: "{}" }} }}
  p: {{ source: {{ path: "{}" }}, env: {{ SCRIPT: '{script}' }} }}
upstreams: {{ app: {{ endpoints: ["{upstream}"], http: h2 }} }}
routes: [{{ filters: [t, l, p], upstream: app }}]
"#,
                fixture("tag"),
                fixture("lifecycle"),
                fixture("probe")
            ))
        })
        .await
        .unwrap();
        let stream = TcpStream::connect(proxy.addresses[0]).await.unwrap();
        let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut pending = Vec::new();
        for i in 0..50 {
            client = client.ready().await.unwrap();
            let request = Request::post(format!("http://h2.example/{i}")).header("te", "trailers").body(()).unwrap();
            let (response, mut body) = client.send_request(request, false).unwrap();
            body.send_data(Bytes::from(format!("body {i}")), true).unwrap();
            pending.push((i, response));
        }
        for (i, response) in pending {
            let response = response.await.unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["x-chain"], "two");
            assert_eq!(response.headers()["x-authority"], "h2.example");
            let (body, trailers) = whole(response.into_body()).await;
            assert_eq!(body, format!("body {i}").into_bytes());
            let trailers = trailers.expect("trailers");
            assert_eq!(trailers["grpc-status"], "0");
            assert_eq!(trailers["x-chain-seen"], "two");
        }
        // Filters see response trailers, and the head of an answer with all that comes behind it.
        proxy.logged("on_response_trailers count=2");
        for phase in ["response_body", "response_trailers", "log"] {
            proxy.wait_count(&format!("{phase} proxy_get_header_map_value -> 0 \"h2.example\""), 50);
        }
    });
}

#[test]
fn http2_client_to_http1_upstream_and_local_answers() {
    runtime().block_on(async {
        let (proxy, origin) = tokio::task::spawn_blocking(|| {
            let origin = Origin::start(|_| Reply::chunked(&["from ", "http/1"]));
            let yaml = format!(
                r#"
listeners: [{{ address: "127.0.0.1:0", h2c: true }}]
filters:
  h: {{ source: {{ path: "{}" }} }}
  b: {{ source: {{ path: "{}" }}, config: {{ request: upper, response: append, text: "!" }} }}
upstreams: {{ app: {{ endpoints: ["{}"] }} }}
routes: [{{ filters: [h, b], upstream: app }}]
"#,
                fixture("headers"),
                fixture("body"),
                origin.address
            );
            (Proxy::start(&yaml), origin)
        })
        .await
        .unwrap();
        let stream = TcpStream::connect(proxy.addresses[0]).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut client = client.ready().await.unwrap();
        let request = Request::post("http://h2.example/up").body(()).unwrap();
        let (response, mut body) = client.send_request(request, false).unwrap();
        body.send_data(Bytes::from_static(b"some "), false).unwrap();
        body.send_data(Bytes::from_static(b"body"), true).unwrap();
        let response = response.await.unwrap();
        assert_eq!(response.status(), 200);
        let (body, _) = whole(response.into_body()).await;
        assert_eq!(body, b"from http/1!");
        let origin = std::sync::Arc::new(origin);
        let first = origin.clone();
        let seen = tokio::task::spawn_blocking(move || first.request()).await.unwrap();
        assert_eq!((seen.line.as_str(), seen.text().as_str()), ("POST /up HTTP/1.1", "SOME BODY"));
        assert_eq!(seen.header("host"), "h2.example");

        // Cookies in several fields are one for HTTP/1.1, and what a filter says is the authority is it.
        client = client.ready().await.unwrap();
        let request = Request::get("http://h2.example/").header("cookie", "a=1").header("cookie", "b=2");
        let request = request.header("x-authority", "other.example:81").body(()).unwrap();
        let (response, _) = client.send_request(request, true).unwrap();
        assert_eq!(response.await.unwrap().status(), 200);
        let seen = tokio::task::spawn_blocking(move || origin.request()).await.unwrap();
        assert_eq!((seen.header("cookie").as_str(), seen.header("host").as_str()), ("a=1; b=2", "other.example:81"));

        client = client.ready().await.unwrap();
        let request = Request::get("http://h2.example/").header("x-deny", "1").body(()).unwrap();
        let (response, _) = client.send_request(request, true).unwrap();
        let response = response.await.unwrap();
        assert_eq!(response.status(), 403);
        assert_eq!(response.headers()["x-denied-by"], "headers");
        // The second filter never saw the request, so it is not asked about the answer.
        assert_eq!(whole(response.into_body()).await.0, b"denied\n");
    });
}

#[test]
fn an_answer_without_a_body_ends_with_its_head() {
    runtime().block_on(async {
        let proxy = tokio::task::spawn_blocking(|| {
            Proxy::start(&format!(
                "listeners: [{{ address: \"127.0.0.1:0\", h2c: true }}]\nfilters:\n  l: {{ source: {{ path: \"{}\" }}, config: request_headers }}\n\
                 upstreams: {{ app: {{ builtin: echo }} }}\nroutes: [{{ filters: [l], upstream: app }}]\n",
                fixture("local")
            ))
        })
        .await
        .unwrap();
        let stream = TcpStream::connect(proxy.addresses[0]).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        // A client of gRPC takes a frame behind the head for an error.
        for kind in ["application/grpc", "text/plain"] {
            let request = Request::post("http://h2.example/").header("x-local-bare", "1").header("content-type", kind);
            let mut ready = client.clone().ready().await.unwrap();
            let (response, _) = ready.send_request(request.body(()).unwrap(), true).unwrap();
            let response = response.await.unwrap();
            assert!(response.body().is_end_stream(), "{kind}: {response:?}");
            assert_eq!(response.headers().contains_key("grpc-status"), kind == "application/grpc");
        }
    });
}

#[test]
fn a_connection_that_rested_while_its_upstream_began_to_speak_http2_is_served() {
    let runtime = runtime();
    let newer = runtime.block_on(origin(false));
    let older = Origin::start(|request| Reply::ok(&request.text()));
    let yaml = |address: String| {
        chain_yaml(
            &[("t", &fixture("tag"), "config: two"), ("b", &fixture("body"), "config: { request: upper }")],
            None,
            "",
        )
        .replace("builtin: echo", &address)
    };
    let mut proxy = Proxy::start(&yaml(format!("endpoints: [\"{}\"]", older.address)));
    let file = proxy.dir.path().join("sluice.yaml");
    let mut client = proxy.client();
    let post = ["Content-Length: 4\r\n\r\nbody", "Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n"];
    for round in 1..4 {
        for framed in post {
            let answer = client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framed}")).read();
            assert_eq!((answer.status(), answer.text().as_str()), (200, "BODY"), "round {round}: {framed}");
            assert_eq!(answer.header("x-chain"), "two", "filters run on the way back too");
        }
        let speaks = if round % 2 == 1 {
            format!("endpoints: [\"{newer}\"], http: h2")
        } else {
            format!("endpoints: [\"{}\"]", older.address)
        };
        fs::write(&file, yaml(speaks)).unwrap();
        proxy.wait_count("the new configuration serves", round);
    }
}
