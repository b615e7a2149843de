//! TCP listeners: filters on bytes.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use crate::harness::{Origin, Proxy, Reply, fixture};

/// A server that answers each line with itself, and ends when its client does.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut buffer = [0; 65536];
                while let Ok(n @ 1..) = stream.read(&mut buffer) {
                    if stream.write_all(&buffer[..n]).is_err() {
                        return;
                    }
                }
                let _ = stream.shutdown(Shutdown::Write);
            });
        }
    });
    address
}

fn start(config: &str, more: &str, upstream: SocketAddr, auth: SocketAddr) -> Proxy {
    Proxy::start(&format!(
        "listeners:\n  - {{ address: \"127.0.0.1:0\", tcp: {{ upstream: up, filters: [t], properties: {{ tenant: acme }}{more} }} }}\n\
         filters:\n  t: {{ source: {{ path: \"{}\" }}, config: \"{config}\", capabilities: {{ callouts: [auth] }} }}\n\
         upstreams:\n  up: {{ endpoints: [\"{upstream}\"] }}\n  auth: {{ endpoints: [\"{auth}\"] }}\n",
        fixture("tcp")
    ))
}

fn plain(config: &str) -> Proxy {
    start(config, "", echo(), "127.0.0.1:1".parse().unwrap())
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.addresses[0]).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn read(stream: &mut TcpStream, n: usize) -> String {
    let mut bytes = vec![0; n];
    stream.read_exact(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn bytes_pass_both_ways_and_every_callback_comes_once() {
    let mut proxy = plain("upper tag");
    let mut stream = connect(&proxy);
    stream.write_all(b"hello\n").unwrap();
    assert_eq!(read(&mut stream, 8), "> HELLO\n");
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut stream), b"");
    let log = proxy.wait_for("tcp 2 done");
    let wanted = [
        "tcp 2 new tenant=acme route=tcp 127.0.0.1:0 request=-",
        "tcp 2 downstream 6 false",
        "tcp 2 upstream 6 false",
        "tcp 2 downstream 0 true",
        "tcp 2 upstream 0 true",
        "tcp 2 downstream closed by Remote",
        "tcp 2 upstream closed by Local",
        "tcp 2 done",
    ];
    let found: Vec<usize> =
        wanted.iter().map(|w| log.find(w).unwrap_or_else(|| panic!("`{w}` is not in\n{log}"))).collect();
    assert!(found.is_sorted(), "{log}");
    let line = &proxy.access(1)[0];
    assert_eq!(
        (&line["protocol"], &line["bytes_received"], &line["bytes_sent"]),
        (&"TCP".into(), &6.into(), &8.into())
    );
    assert_eq!((&line["filters"][0]["filter"], &line["upstream"]), (&"t".into(), &"up".into()));
}

#[test]
fn what_is_held_is_shown_again_with_more() {
    let mut proxy = plain("lines upper");
    let mut stream = connect(&proxy);
    stream.write_all(b"one ").unwrap();
    proxy.wait_for("downstream 4 false");
    stream.write_all(b"line\n").unwrap();
    assert_eq!(read(&mut stream, 9), "ONE LINE\n");
    proxy.wait_for("downstream 9 false");
}

#[test]
fn callouts_hold_a_connection_in_every_callback() {
    let auth = Origin::start(|_| Reply::ok("yes"));
    for config in ["call-new", "call-upstream", ""] {
        let mut proxy = start(config, "", echo(), auth.address);
        let mut stream = connect(&proxy);
        let sent = if config.is_empty() { "call\n" } else { "data\n" };
        stream.write_all(sent.as_bytes()).unwrap();
        assert_eq!(read(&mut stream, 5), sent, "{config}");
        assert_eq!(auth.request().target(), "/tcp");
        proxy.wait_for("tcp call answered");
    }
}

#[test]
fn a_filter_closes_a_connection_by_itself_and_by_an_answer() {
    let auth = Origin::start(|_| Reply::Bytes(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n".to_vec()));
    for (config, sent) in [("close-new", ""), ("", "close\n"), ("call-new", ""), ("", "call\n")] {
        let proxy = start(config, "", echo(), auth.address);
        let mut stream = connect(&proxy);
        stream.write_all(sent.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        // A reset is an end too: unread bytes may still have been on their way.
        let _ = stream.read_to_end(&mut bytes);
        assert_eq!(bytes, b"", "{config} {sent}");
        assert_eq!(proxy.access(1)[0]["error"], "closed_by_filter", "{config} {sent}");
    }
}

#[test]
fn a_trap_ends_its_connection_and_no_other() {
    let mut proxy = plain("");
    let mut other = connect(&proxy);
    other.write_all(b"before\n").unwrap();
    assert_eq!(read(&mut other, 7), "before\n");
    let mut stream = connect(&proxy);
    stream.write_all(b"trap\n").unwrap();
    assert_eq!(rest(&mut stream), b"");
    proxy.wait_for("the guest died");
    assert_eq!(proxy.access(1)[0]["error"], "trap");
    let mut third = connect(&proxy);
    third.write_all(b"after\n").unwrap();
    assert_eq!(read(&mut third, 6), "after\n");
}

#[test]
fn megabytes_pass_while_neither_side_waits_for_the_other() {
    let proxy = plain("tag");
    let mut stream = connect(&proxy);
    let mut writer = stream.try_clone().unwrap();
    let sent: Vec<u8> = (0..8 << 20).map(|i: u32| b'a' + u8::try_from(i % 26).unwrap()).collect();
    let wanted = sent.clone();
    let thread = thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut got = rest(&mut stream);
    thread.join().unwrap();
    // Each piece was marked by the filter; without the marks it is what was sent.
    got.retain(|b| b.is_ascii_lowercase());
    assert!(got == wanted, "{} of {} bytes", got.len(), wanted.len());
}

#[test]
fn a_silent_connection_and_an_absent_upstream_are_told() {
    let proxy = start("", ", idle: 300ms", echo(), "127.0.0.1:1".parse().unwrap());
    let mut stream = connect(&proxy);
    assert_eq!(rest(&mut stream), b"");
    assert_eq!(proxy.access(1)[0]["error"], "idle");
    let gone = "127.0.0.1:1".parse().unwrap();
    let mut proxy = start("", "", gone, gone);
    assert_eq!(rest(&mut connect(&proxy)), b"");
    proxy.wait_for("no endpoint takes the connection");
    assert_eq!(proxy.access(1)[0]["error"], "upstream_connect");
}

#[test]
fn http_and_tcp_listeners_stand_side_by_side_and_reload_together() {
    let yaml = |tenant: &str| {
        format!(
            "listeners:\n  - {{ address: \"127.0.0.1:0\" }}\n  - {{ address: \"127.0.0.1:0\", tcp: {{ upstream: up, filters: [t], properties: {{ tenant: {tenant} }} }} }}\n\
             filters:\n  t: {{ source: {{ path: \"{}\" }}, config: \"\" }}\n\
             upstreams:\n  up: {{ endpoints: [\"{}\"] }}\n  e: {{ builtin: echo }}\nroutes: [{{ upstream: e }}]\n",
            fixture("tcp"),
            echo()
        )
    };
    let mut proxy = Proxy::start(&yaml("one"));
    assert_eq!(proxy.client().request("GET /", &[], "").status(), 200);
    let tcp = |proxy: &Proxy| {
        let mut stream = TcpStream::connect(proxy.addresses[1]).unwrap();
        stream.write_all(b"x\n").unwrap();
        assert_eq!(read(&mut stream, 2), "x\n");
    };
    tcp(&proxy);
    proxy.wait_for("tenant=one");
    std::fs::write(proxy.dir.path().join("sluice.yaml"), yaml("two")).unwrap();
    proxy.signal("HUP");
    proxy.wait_for("the new configuration serves");
    tcp(&proxy);
    proxy.wait_for("tenant=two");
}
