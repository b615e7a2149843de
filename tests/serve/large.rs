//! Large bodies: streamed through, in bounded memory.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
};

use crate::harness::{Client, Proxy, chain_yaml, fixture};

const GIB: u64 = 1 << 30;
const MEMORY: usize = 64 << 20;

/// Answers any request with a body of one GiB, and counts the bytes of any body it is sent.
fn origin(download: bool) -> (SocketAddr, thread::JoinHandle<u64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let handle = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = vec![0; 256 << 10];
        let mut head = Vec::new();
        let body_so_far = loop {
            let n = stream.read(&mut buffer).unwrap();
            head.extend_from_slice(&buffer[..n]);
            if let Some(at) = head.windows(4).position(|w| w == b"\r\n\r\n") {
                break (head.len() - at - 4) as u64;
            }
        };
        if download {
            stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {GIB}\r\n\r\n").as_bytes()).unwrap();
            let chunk = vec![b'x'; 256 << 10];
            for _ in 0..GIB / chunk.len() as u64 {
                stream.write_all(&chunk).unwrap();
            }
            return GIB;
        }
        let mut received = body_so_far;
        while received < GIB {
            received += stream.read(&mut buffer).unwrap() as u64;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        let _ = stream.shutdown(Shutdown::Write);
        received
    });
    (address, handle)
}

fn read_all(mut stream: TcpStream) -> u64 {
    let mut buffer = vec![0; 256 << 10];
    let (mut total, mut head) = (0u64, true);
    loop {
        let n = stream.read(&mut buffer).unwrap();
        if n == 0 {
            return total;
        }
        let skip =
            if std::mem::take(&mut head) { buffer.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4 } else { 0 };
        total += (n - skip) as u64;
        if total >= GIB {
            return total;
        }
    }
}

/// The request-id filter of this repository has no body callbacks of its own, yet the Rust SDK exports them all, so the
/// raw module is the one that does not read bodies; `noop` shows the case of the SDK, which streams.
fn chains() -> Vec<(&'static str, Vec<(&'static str, String, &'static str)>)> {
    vec![
        ("a chain that does not read bodies", vec![("l", fixture("legacy"), "")]),
        ("a chain that lets bodies stream", vec![("n", fixture("noop"), "limits: { cpu_per_request: 60s }")]),
    ]
}

#[test]
fn one_gibibyte_down() {
    for (name, filters) in chains() {
        let (address, origin) = origin(true);
        let filters: Vec<(&str, &str, &str)> = filters.iter().map(|(n, m, c)| (*n, m.as_str(), *c)).collect();
        let proxy = Proxy::start(&chain_yaml(&filters, Some(address), "server: { workers: 2 }\n"));
        proxy.reset_peak_memory();
        let mut client = proxy.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(read_all_of(client, name == chains()[0].0), GIB, "{name}");
        assert_eq!(origin.join().unwrap(), GIB);
        let peak = proxy.peak_memory();
        println!("{name}: 1 GiB down, peak memory {} MiB", peak >> 20);
        assert!(peak < MEMORY, "{name}: {} MiB", peak >> 20);
    }
}

/// A stream of chunks has to be read as such; a body with a length is counted.
fn read_all_of(mut client: Client, with_length: bool) -> u64 {
    if with_length {
        return read_all(client.into_stream());
    }
    client.read().body.len() as u64
}

#[test]
fn one_gibibyte_up() {
    for (name, filters) in chains().into_iter().take(1) {
        let (address, origin) = origin(false);
        let filters: Vec<(&str, &str, &str)> = filters.iter().map(|(n, m, c)| (*n, m.as_str(), *c)).collect();
        let proxy = Proxy::start(&chain_yaml(&filters, Some(address), "server: { workers: 2 }\n"));
        proxy.reset_peak_memory();
        let mut client = proxy.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {GIB}\r\n\r\n"));
        let chunk = vec![b'x'; 256 << 10];
        for _ in 0..GIB / chunk.len() as u64 {
            client.send(&chunk);
        }
        assert_eq!(client.read().status(), 200, "{name}");
        assert_eq!(origin.join().unwrap(), GIB);
        let peak = proxy.peak_memory();
        println!("{name}: 1 GiB up, peak memory {} MiB", peak >> 20);
        assert!(peak < MEMORY, "{name}: {} MiB", peak >> 20);
    }
}
