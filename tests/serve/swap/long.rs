//! Exchanges that are longer than their generation.

use std::{
    io::{BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use tempfile::TempDir;

use super::version::{Version, put};
use crate::harness::{Proxy, chain_yaml};

/// An origin that sends what it is told, a line a chunk, until it is told nothing more.
fn stream() -> (SocketAddr, std::sync::mpsc::Sender<&'static str>) {
    let (sender, lines) = std::sync::mpsc::channel::<&'static str>();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut first, _) = listener.accept().unwrap();
        thread::spawn(move || {
            // Everybody after the first gets a short answer.
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nshort");
            }
        });
        let _ = first.read(&mut [0; 4096]);
        first.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        for line in lines {
            if first.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).is_err() {
                return;
            }
        }
        let _ = first.write_all(b"0\r\n\r\n");
    });
    (address, sender)
}

fn proxy(upstream: SocketAddr, reload: &str) -> Proxy {
    let dir = TempDir::new().unwrap();
    put(dir.path(), &Version::new("1"));
    let extra = format!("telemetry: {{ log: {{ level: debug }} }}\nreload: {{ {reload} }}\n");
    Proxy::start_in(dir, &chain_yaml(&[("v", "DIR/v.wasm", "")], Some(upstream), &extra))
}

/// Reads until this text has come, or the end.
fn until(stream: &mut BufReader<TcpStream>, text: &str) -> String {
    let mut all = Vec::new();
    let mut byte = [0];
    while let Ok(1) = stream.read(&mut byte) {
        all.push(byte[0]);
        if all.ends_with(text.as_bytes()) {
            break;
        }
    }
    String::from_utf8(all).unwrap()
}

fn begin(proxy: &Proxy) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(proxy.addresses[0]).unwrap();
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    BufReader::new(stream)
}

#[test]
fn a_long_response_ends_on_the_generation_it_began_with() {
    let (address, lines) = stream();
    let mut proxy = proxy(address, "drain: 1h");
    let mut long = begin(&proxy);
    lines.send("one").unwrap();
    assert!(until(&mut long, "one").contains("x-version: 1"));
    put(proxy.dir.path(), &Version::new("2"));
    proxy.wait_for("the new configuration serves");
    assert_eq!(proxy.client().request("GET /", &[], "").header("x-version"), "2");
    assert!(!proxy.log().contains("the last request of an old generation has ended"), "one is under way");
    lines.send("two").unwrap();
    until(&mut long, "two");
    drop(lines);
    assert!(until(&mut long, "0\r\n\r\n").ends_with("0\r\n\r\n"), "whole");
    proxy.wait_for("the last request of an old generation has ended");
    let generations: Vec<_> = proxy.access(2).iter().map(|l| (l["path"].clone(), l["generation"].clone())).collect();
    assert!(generations.contains(&("/events".into(), 1.into())), "{generations:?}");
    assert!(generations.contains(&("/".into(), 2.into())), "{generations:?}");
}

#[test]
fn what_is_left_after_the_drain_goes_on_or_is_cut() {
    for policy in ["finish", "cut"] {
        let (address, lines) = stream();
        let mut proxy = proxy(address, &format!("drain: 100ms, after_drain: {policy}"));
        let mut long = begin(&proxy);
        lines.send("one").unwrap();
        until(&mut long, "one");
        put(proxy.dir.path(), &Version::new("2"));
        proxy.wait_for("`reload.drain` is over");
        lines.send("two").unwrap();
        drop(lines);
        let rest = until(&mut long, "0\r\n\r\n");
        assert_eq!(rest.ends_with("0\r\n\r\n"), policy == "finish", "{policy}: {rest:?}");
        proxy.wait_for("the last request of an old generation has ended");
        let line = proxy.access(1).remove(0);
        assert_eq!(line.to_string().contains("drained"), policy == "cut", "{line}");
    }
}
