//! Everything that happened, as a list and as a stream.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

use super::{Admin, serving_version_1, swap_to};

/// A stream of events as a browser reads it.
struct Stream(BufReader<TcpStream>);

impl Stream {
    fn open(admin: Admin, more: &str) -> Self {
        let mut socket = TcpStream::connect(admin.0).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let host = admin.0;
        write!(socket, "GET /events HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n{more}\r\n").unwrap();
        let mut stream = Self(BufReader::new(socket));
        assert_eq!(stream.line(), "HTTP/1.1 200 OK");
        let mut types = 0;
        loop {
            match stream.line().as_str() {
                "" => break,
                line => types += usize::from(line.eq_ignore_ascii_case("content-type: text/event-stream")),
            }
        }
        assert_eq!(types, 1);
        stream
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the stream ended");
        line.trim_end().to_owned()
    }

    /// The next event, with its id. Sizes of chunks stand between the lines.
    fn next(&mut self) -> Value {
        let mut id = None;
        loop {
            let line = self.line();
            if let Some(text) = line.strip_prefix("id: ") {
                id = Some(text.parse::<u64>().unwrap());
            } else if let Some(data) = line.strip_prefix("data: ") {
                let event: Value = serde_json::from_str(data).unwrap();
                assert_eq!(event["id"].as_u64(), id, "{event}");
                return event;
            }
        }
    }

    /// The next that is not about an old generation.
    fn next_of(&mut self, what: &str) -> Value {
        loop {
            let event = self.next();
            if event["event"] != "drained" {
                assert_eq!(event["event"], what, "{event}");
                return event;
            }
        }
    }
}

#[test]
fn what_happens_is_told_with_its_cause_and_its_digests() {
    let proxy = serving_version_1("");
    let admin = Admin::of(&proxy);
    let digest = || admin.get("/filters/v").json()["digest"].clone();
    let first = digest();
    let mut stream = Stream::open(admin, "");
    let start = stream.next_of("swapped");
    assert_eq!((&start["cause"]["kind"], &start["filters"][0]["after"]), (&"start".into(), &first));

    swap_to(&proxy, "2");
    let second = digest();
    let swapped = stream.next_of("swapped");
    assert_eq!(swapped["cause"]["kind"], "files");
    assert!(swapped["cause"]["files"][0].as_str().unwrap().ends_with("v.wasm"), "{swapped}");
    let change = &swapped["filters"][0];
    assert_eq!((&change["filter"], &change["before"], &change["after"]), (&"v".into(), &first, &second));
    assert_eq!(swapped["generation"], 2);
    for stage in ["read_ms", "compile_ms", "start_ms", "probe_ms", "total_ms"] {
        assert!(swapped["stages"][stage].is_f64(), "{swapped}");
    }

    fs::write(proxy.dir.path().join("nonsense"), "nonsense").unwrap();
    fs::rename(proxy.dir.path().join("nonsense"), proxy.dir.path().join("v.wasm")).unwrap();
    let refused = stream.next_of("refused");
    assert_eq!((&refused["generation"], &refused["cause"]["kind"]), (&2.into(), &"files".into()));
    assert!(refused["error"].as_str().unwrap().contains("is not a WebAssembly module"), "{refused}");

    assert_eq!(admin.post("/filters/v/rollback", "").status(), 200);
    let back = stream.next_of("swapped");
    let (cause, change) = (&back["cause"], &back["filters"][0]);
    assert_eq!((&cause["kind"], &cause["filter"]), (&"rollback".into(), &"v".into()));
    assert!(cause["client"].as_str().unwrap().starts_with("127.0.0.1:"), "{back}");
    assert_eq!((&change["before"], &change["after"]), (&second, &first));

    // The list says the same, and a stream goes on where one ended.
    let id = refused["id"].as_u64().unwrap();
    let list = admin.get(&format!("/events?since={}", id - 1)).json();
    assert_eq!(list[0], refused);
    assert!(list.as_array().unwrap().contains(&back));
    assert_eq!(admin.get("/events").json()[0], start);
    let mut again = Stream::open(admin, &format!("Last-Event-ID: {}\r\n", id - 1));
    assert_eq!(again.next(), refused);
    let answer = admin.get("/events?since=yesterday");
    assert_eq!(answer.status(), 400);
    assert!(answer.json()["error"].is_string());
}

#[test]
fn streams_are_few_and_give_their_places_back() {
    let proxy = serving_version_1("");
    let admin = Admin::of(&proxy);
    let mut open: Vec<_> = (0..16).map(|_| Stream::open(admin, "")).collect();
    let one_more = || admin.send("GET", "/events", &["Accept: text/event-stream"], "");
    assert_eq!(one_more().status(), 503);
    assert_eq!(admin.get("/live").status(), 200);
    assert_eq!(admin.get("/events").status(), 200, "a list is no stream");
    open.clear();
    let began = std::time::Instant::now();
    loop {
        let host = admin.0;
        let mut client = crate::harness::Client::connect(host);
        client.send(format!("GET /events HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n"));
        if client.read_head_only().status() == 200 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "no place is free");
    }
}
