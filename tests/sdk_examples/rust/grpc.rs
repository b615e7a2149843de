//! `grpc_auth_random`: a client of gRPC, a server of it, and one call of the filter's own in between.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header::HeaderValue};
use tokio::{net::TcpStream, runtime::Runtime};

use crate::{
    example,
    harness::{Proxy, chain_yaml},
};

/// A message of gRPC without bytes.
const EMPTY: Bytes = Bytes::from_static(&[0; 5]);

/// A stand-in for grpcbin, and the paths that were called.
struct Grpcbin {
    address: SocketAddr,
    called: Arc<Mutex<Vec<String>>>,
    runtime: Runtime,
}

impl Grpcbin {
    /// `RandomError` ends with this status and every other method well.
    fn start(random: u32) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let (address, called) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
        let seen = called.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = seen.clone();
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(stream).await.unwrap();
                    while let Some(Ok((request, mut respond))) = connection.accept().await {
                        let path = request.uri().path().to_owned();
                        let status = if path.ends_with("/RandomError") { random } else { 0 };
                        seen.lock().unwrap().push(path);
                        let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
                        let mut body = respond.send_response(head, false).unwrap();
                        if status == 0 {
                            body.send_data(EMPTY, false).unwrap();
                        }
                        let end = HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from(status))]);
                        body.send_trailers(end).unwrap();
                    }
                });
            }
        });
        Self { address, called, runtime }
    }

    fn proxy(&self) -> Proxy {
        let filter = ("grpc", &*example("rust-grpc_auth_random"), "capabilities: { callouts: [grpcbin] }");
        let yaml = chain_yaml(&[filter], None, "").replace("127.0.0.1:0\" }", "127.0.0.1:0\", h2c: true }");
        let grpcbin = format!("  grpcbin: {{ endpoints: [\"{}\"], http: h2 }}", self.address);
        Proxy::start(&yaml.replace("  up: { builtin: echo }", &grpcbin).replace("upstream: up", "upstream: grpcbin"))
    }

    /// Calls a method through the proxy; gives the head with what the trailers add, and whether a message came.
    fn call(&self, proxy: &Proxy, path: &str) -> (HeaderMap, bool) {
        self.runtime.block_on(async {
            let stream = TcpStream::connect(proxy.addresses[0]).await.unwrap();
            let (client, connection) = h2::client::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            let request =
                Request::post(format!("http://grpc.example{path}")).header("content-type", "application/grpc");
            let mut client = client.ready().await.unwrap();
            let (answer, mut body) =
                client.send_request(request.header("te", "trailers").body(()).unwrap(), false).unwrap();
            body.send_data(EMPTY, true).unwrap();
            let (head, mut body) = answer.await.unwrap().into_parts();
            assert_eq!(head.status, 200);
            let mut message = false;
            while let Some(data) = body.data().await {
                message |= !data.unwrap().is_empty();
            }
            let mut fields = head.headers;
            fields.extend(body.trailers().await.unwrap().unwrap_or_default());
            (fields, message)
        })
    }
}

#[test]
fn grpc_auth_random_lets_pass_by_an_even_status_and_aborts_by_an_odd_one() {
    for (random, said) in [(0, "Access granted."), (12, "Access granted."), (7, "Access forbidden.")] {
        let grpcbin = Grpcbin::start(random);
        let mut proxy = grpcbin.proxy();
        let (fields, message) = grpcbin.call(&proxy, "/hello.HelloService/SayHello");
        proxy.wait_for(said);
        assert_eq!(fields["powered-by"], "proxy-wasm", "{fields:?}");
        let granted = random % 2 == 0;
        let called = grpcbin.called.lock().unwrap().clone();
        if granted {
            assert_eq!((fields["grpc-status"].to_str().unwrap(), message), ("0", true), "{random}: {fields:?}");
            assert_eq!(called, ["/grpcbin.GRPCBin/RandomError", "/hello.HelloService/SayHello"]);
        } else {
            assert_eq!((fields["grpc-status"].to_str().unwrap(), message), ("10", false), "{fields:?}");
            assert_eq!(fields["grpc-message"], "Aborted by Proxy-Wasm!");
            assert_eq!(called, ["/grpcbin.GRPCBin/RandomError"]);
        }
    }
}

#[test]
fn grpc_auth_random_asks_nobody_for_reflection_and_refuses_what_is_not_grpc() {
    let grpcbin = Grpcbin::start(7);
    let proxy = grpcbin.proxy();
    let (fields, _) = grpcbin.call(&proxy, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
    assert_eq!(fields["grpc-status"], "0");
    assert_eq!(grpcbin.called.lock().unwrap().len(), 1);
    let refused = proxy.client().request("GET /", &[], "");
    assert_eq!((refused.status(), refused.text()), (503, "Service accessible only to gRPC clients.\n".into()));
    assert_eq!(refused.header("powered-by"), "proxy-wasm");
    assert_eq!(grpcbin.called.lock().unwrap().len(), 1);
}
