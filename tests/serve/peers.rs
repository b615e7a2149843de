//! A real nginx behind the proxy: keep-alive, chunks, range requests and conditional answers as a real origin makes them.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::harness::{Proxy, fixture, go_fixture};

struct Nginx {
    child: Child,
    address: SocketAddr,
    _dir: TempDir,
}

impl Nginx {
    fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let path = dir.path().display().to_string();
        fs::create_dir(dir.path().join("www")).unwrap();
        fs::write(dir.path().join("www/file.txt"), "0123456789".repeat(1000)).unwrap();
        fs::write(
            dir.path().join("nginx.conf"),
            format!(
                "daemon off; worker_processes 1; pid {path}/pid; error_log {path}/error.log;\n\
                 events {{}}\nhttp {{ access_log off; client_body_temp_path {path}/b; proxy_temp_path {path}/p; fastcgi_temp_path {path}/f; uwsgi_temp_path {path}/u; scgi_temp_path {path}/s;\n\
                 server {{ listen {address}; root {path}/www; location /moved {{ return 301 /file.txt; }} location /empty {{ return 204; }} }} }}\n"
            ),
        )
        .unwrap();
        let child = Command::new("nginx")
            .args(["-p", &path, "-c", &format!("{path}/nginx.conf")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is missing: install it (Debian: apt-get install nginx-light)");
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "nginx does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        Self { child, address, _dir: dir }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_real_origin_through_a_rust_and_a_go_filter() {
    let nginx = Nginx::start();
    let proxy =
        Proxy::chain(&[("r", &fixture("headers"), ""), ("g", &go_fixture("lifecycle"), "")], Some(nginx.address));
    let mut client = proxy.client();
    let file = client.request("GET /file.txt", &[], "");
    assert_eq!((file.status(), file.body.len()), (200, 10_000));
    assert!(!file.has("server"), "the filter removes it");
    let range = client.request("GET /file.txt", &["Range: bytes=5-9"], "");
    assert_eq!((range.status(), range.text().as_str()), (206, "56789"));
    let etag = file.header("etag");
    let fresh = client.request("GET /file.txt", &[&format!("If-None-Match: {etag}")], "");
    assert_eq!((fresh.status(), fresh.body.len()), (304, 0));
    let head = client.request("HEAD /file.txt", &[], "");
    assert_eq!((head.status(), head.header("content-length").as_str()), (200, "10000"));
    assert_eq!(client.request("GET /moved", &[], "").status(), 301);
    assert_eq!(client.request("GET /empty", &[], "").status(), 204);
    assert_eq!(client.request("GET /missing", &[], "").status(), 404);
    assert_eq!(client.request("POST /file.txt", &[], "body").status(), 405);
    assert_eq!(proxy.access(8).len(), 8);
}
