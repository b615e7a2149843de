//! TLS by rustls: ALPN on listeners, verification towards upstreams.

use std::{fs, net::SocketAddr, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::harness::{Proxy, fixture};

/// Writes `cert.pem` and `key.pem` for a name.
fn certificate(dir: &Path, name: &str) {
    let key = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    fs::write(dir.join("cert.pem"), key.cert.pem()).unwrap();
    fs::write(dir.join("key.pem"), key.signing_key.serialize_pem()).unwrap();
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn connector(dir: &Path, alpn: &[&str]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(dir.join("cert.pem")).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|a| a.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

/// An HTTPS origin that answers `secure <protocol>` to anything.
async fn origin(dir: &Path, alpn: &[&str]) -> SocketAddr {
    let certificate = CertificateDer::from_pem_file(dir.join("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(dir.join("key.pem")).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|a| a.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    let mut connection = h2::server::handshake(stream).await.unwrap();
                    while let Some(Ok((_, mut respond))) = connection.accept().await {
                        let mut send = respond.send_response(http::Response::new(()), false).unwrap();
                        send.send_data(bytes::Bytes::from_static(b"secure h2"), true).unwrap();
                    }
                    return;
                }
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).await.unwrap_or(0) > 0 {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsecure h1").await;
                }
            });
        }
    });
    address
}

fn block_on<F: Future>(f: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(f)
}

async fn start(dir: tempfile::TempDir, yaml: String) -> Proxy {
    tokio::task::spawn_blocking(move || Proxy::start_in(dir, &yaml)).await.unwrap()
}

#[test]
fn a_listener_offers_http2_and_http1() {
    block_on(async {
        let dir = tempfile::TempDir::new().unwrap();
        certificate(dir.path(), "proxy.test");
        let both = connector(dir.path(), &["h2", "http/1.1"]);
        let one = connector(dir.path(), &["http/1.1"]);
        let yaml = format!(
            "listeners: [{{ address: \"127.0.0.1:0\", tls: {{ cert: cert.pem, key: key.pem }} }}]\nfilters: {{ h: {{ source: {{ path: \"{}\" }} }} }}\nupstreams: {{ e: {{ builtin: echo }} }}\nroutes: [{{ filters: [h], upstream: e }}]\n",
            fixture("headers")
        );
        let proxy = start(dir, yaml).await;
        let name = ServerName::try_from("proxy.test").unwrap();

        let stream = both.connect(name.clone(), TcpStream::connect(proxy.addresses[0]).await.unwrap()).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get("https://proxy.test/x").body(()).unwrap();
        let (response, _) = client.ready().await.unwrap().send_request(request, true).unwrap();
        let mut body = response.await.unwrap().into_body();
        let text = String::from_utf8(body.data().await.unwrap().unwrap().to_vec()).unwrap();
        assert!(text.contains("\"protocol\":\"HTTP/2\"") && text.contains("proxy.test"), "{text}");

        let mut stream = one.connect(name, TcpStream::connect(proxy.addresses[0]).await.unwrap()).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: proxy.test\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text).await;
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        for (line, protocol) in proxy.access(2).iter().zip(["HTTP/2", "HTTP/1.1"]) {
            assert_eq!((&line["protocol"], &line["host"]), (&protocol.into(), &"proxy.test".into()), "{line}");
            assert_eq!(line["tls_version"], "TLSv1.3", "{line}");
            assert_eq!(line["tls_server_name"], "proxy.test", "{line}");
            assert!(line["tls_cipher"].as_str().is_some_and(|cipher| cipher.contains("AES")), "{line}");
        }
    });
}

#[test]
fn the_name_that_a_client_asks_for_reaches_filters_and_traces() {
    let collector = crate::harness::Collector::start();
    block_on(async {
        let dir = tempfile::TempDir::new().unwrap();
        certificate(dir.path(), "proxy.test");
        let connector = connector(dir.path(), &["http/1.1"]);
        let yaml = format!(
            "listeners: [{{ address: \"127.0.0.1:0\", tls: {{ cert: cert.pem, key: key.pem }} }}]\nfilters: {{ p: {{ source: {{ path: \"{}\" }}, config: {{ paths: [connection.requested_server_name, connection.tls_version] }} }} }}\nupstreams: {{ e: {{ builtin: echo }} }}\nroutes: [{{ filters: [p], upstream: e }}]\ntelemetry: {{ otlp: {{ endpoint: \"http://{}\" }} }}\n",
            fixture("properties"),
            collector.address
        );
        let mut proxy = start(dir, yaml).await;
        let name = ServerName::try_from("proxy.test").unwrap();
        let mut stream = connector.connect(name, TcpStream::connect(proxy.addresses[0]).await.unwrap()).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text).await;
        let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
        for (at, value) in [(0, "proxy.test"), (1, "TLSv1.3")] {
            assert!(text.contains(&format!("x-prop-{at}: {}\r\n", hex(value))), "{value}: {text}");
        }
        proxy.signal("TERM");
        tokio::task::spawn_blocking(move || proxy.wait()).await.unwrap();
    });
    let spans = collector.wait_for("requests", |span| span.name == "GET /*", 1);
    assert_eq!(crate::harness::attribute(&spans[0], "tls.client.server_name"), "proxy.test");
}

async fn ask(dir: tempfile::TempDir, upstream: SocketAddr, tls: &str, http: &str) -> crate::harness::Message {
    let yaml = format!(
        "listeners: [{{ address: \"127.0.0.1:0\" }}]\nupstreams: {{ app: {{ endpoints: [\"{upstream}\"], tls: {tls}, http: {http} }} }}\nroutes: [{{ upstream: app }}]\n"
    );
    let proxy = start(dir, yaml).await;
    tokio::task::spawn_blocking(move || proxy.client().request("GET /", &[], "")).await.unwrap()
}

fn with_certificate(name: &str) -> tempfile::TempDir {
    let dir = tempfile::TempDir::new().unwrap();
    certificate(dir.path(), name);
    dir
}

#[test]
fn upstream_certificates_are_verified_unless_the_file_says_otherwise() {
    block_on(async {
        let server = with_certificate("origin.test");
        let upstream = origin(server.path(), &["h2", "http/1.1"]).await;
        let copy = || {
            let dir = tempfile::TempDir::new().unwrap();
            fs::copy(server.path().join("cert.pem"), dir.path().join("ca.pem")).unwrap();
            dir
        };
        let trusted = ask(copy(), upstream, "{ sni: origin.test, ca: ca.pem }", "h1").await;
        assert_eq!((trusted.status(), trusted.text().as_str()), (200, "secure h1"));
        let h2 = ask(copy(), upstream, "{ sni: origin.test, ca: ca.pem }", "auto").await;
        assert_eq!(h2.text(), "secure h2", "ALPN chooses HTTP/2");
        for (name, tls) in
            [("nobody vouches for it", "{ sni: origin.test }"), ("another name", "{ sni: other.test, ca: ca.pem }")]
        {
            let refused = ask(copy(), upstream, tls, "h1").await;
            assert_eq!(refused.status(), 502, "{name}");
            assert!(refused.header("proxy-status").contains("error=tls_"), "{name}: {refused:?}");
        }
        let careless = ask(copy(), upstream, "{ verify: false }", "h1").await;
        assert_eq!(careless.text(), "secure h1");
    });
}

#[test]
fn a_broken_certificate_is_an_error_of_the_configuration() {
    let said = Proxy::refused(
        "listeners: [{ address: \"127.0.0.1:0\", tls: { cert: nowhere.pem, key: key.pem } }]\nroutes: [{ respond: { status: 200 } }]\n",
    );
    assert!(said.contains("the certificate") && said.contains("nowhere.pem"), "{said}");
}
