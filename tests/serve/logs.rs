//! The proxy's own log: levels for filters and parts, changed while it runs; floods; text that would steer a terminal.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::ChildStderr,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::harness::{Client, Message, Proxy, chain_yaml, fixture};

/// Filters `a` and `b`, which say a word at each request, with this log and an admin listener; loaded again when asked to.
fn yaml(log: &str) -> String {
    let lifecycle = fixture("lifecycle");
    let more = "admin: { address: \"127.0.0.1:0\" }\nreload: { watch: false }\n";
    let filters = [("a", &*lifecycle, ""), ("b", &*lifecycle, "")];
    chain_yaml(&filters, None, &format!("{more}telemetry: {{ log: {log} }}\n"))
}

fn admin(proxy: &Proxy, method: &str, path: &str, body: &str) -> Message {
    let length = body.len();
    let text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}");
    Client::connect(proxy.admin()).send(text).read()
}

/// Who said something of one more request. A thread writes the log, in its order: a word of `b` comes after those of `a`.
fn who_speaks(proxy: &Proxy, number: usize, last: Option<&str>) -> Vec<&'static str> {
    assert_eq!(proxy.client().request(&format!("GET /n{number}-"), &[], "").status(), 200);
    // What filters say of a request is said before its own line is made.
    proxy.access(number);
    if let Some(last) = last {
        wait_until(|| who_spoke(&proxy.log(), number).contains(&last));
    }
    who_spoke(&proxy.log(), number)
}

fn who_spoke(log: &str, number: usize) -> Vec<&'static str> {
    let said = |name: &str| {
        log.lines().any(|l| l.contains(&format!("/n{number}-")) && l.contains(&format!("filter=\"{name}\"")))
    };
    ["a", "b"].into_iter().filter(|name| said(name)).collect()
}

fn wait_until(there: impl Fn() -> bool) {
    let began = Instant::now();
    while !there() {
        assert!(began.elapsed() < Duration::from_secs(30), "it never comes");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn filters_and_parts_have_levels_which_change_with_the_file_and_by_order() {
    let mut proxy = Proxy::start(&yaml("{ level: info, filters: { b: warn } }"));
    assert_eq!(who_speaks(&proxy, 1, Some("a")), ["a"]);
    let levels = admin(&proxy, "GET", "/logging", "").json();
    assert_eq!(levels, json!({ "level": "info", "filters": { "b": "warn" }, "modules": {}, "changed": false }));

    let wish = r#"{"filters": {"a": "error", "b": "trace"}, "modules": {"pingora": "warn"}}"#;
    let levels = admin(&proxy, "POST", "/logging", wish).json();
    let wanted = json!({
        "level": "info", "filters": { "a": "error", "b": "trace" }, "modules": { "pingora": "warn" }, "changed": true
    });
    assert_eq!(levels, wanted);
    assert_eq!(who_speaks(&proxy, 2, Some("b")), ["b"]);
    proxy.wait_for("the levels of the log are others until the next reload");
    let events = admin(&proxy, "GET", "/events", "").json();
    let event = events.as_array().unwrap().last().unwrap();
    assert_eq!((&event["event"], &event["filters"]["b"]), (&"logging".into(), &"trace".into()), "{event}");

    for (wish, status, why) in [
        (r#"{"level": "loud"}"#, 400, "`loud` is none of trace, debug, info, warn, error"),
        (r#"{"filters": {"c": "info"}}"#, 404, "there is no filter `c`"),
        (r#"{"modules": {"kernel": "info"}}"#, 400, "`kernel` is none of server, host, pingora, wasmtime"),
        (r#"{"levle": "info"}"#, 400, "unknown field `levle`"),
        ("nonsense", 400, "the body is not"),
    ] {
        let answer = admin(&proxy, "POST", "/logging", wish);
        assert_eq!(answer.status(), status, "{wish}");
        assert!(answer.json()["error"].as_str().unwrap().contains(why), "{wish}: {}", answer.text());
    }
    assert_eq!(who_speaks(&proxy, 3, Some("b")), ["b"], "what was refused changed nothing");

    assert_eq!(admin(&proxy, "POST", "/logging", "").json()["changed"], false);
    assert_eq!(who_speaks(&proxy, 4, Some("a")), ["a"], "an empty wish is the file");

    admin(&proxy, "POST", "/logging", r#"{"level": "error"}"#);
    assert_eq!(who_speaks(&proxy, 5, None), Vec::<&str>::new());
    assert_eq!(admin(&proxy, "POST", "/reload", "").status(), 200);
    assert_eq!(who_speaks(&proxy, 6, Some("a")), ["a"], "a reload that somebody asks for brings the file back");

    let file = proxy.dir.path().join("sluice.yaml");
    fs::write(&file, yaml("{ level: warn, filters: { b: info }, modules: { server: info } }")).unwrap();
    proxy.signal("HUP");
    proxy.wait_count("the new configuration serves", 2);
    assert_eq!(who_speaks(&proxy, 7, Some("b")), ["b"]);
    assert!(!proxy.log().contains("needs a restart"), "{}", proxy.log());
    fs::write(&file, yaml("{ format: json }")).unwrap();
    proxy.signal("HUP");
    let log = proxy.wait_for("`telemetry.log.format` changed in the file: that needs a restart");
    // Nobody has said something since.
    let all: [&[&str]; 7] = [&["a"], &["b"], &["b"], &["a"], &[], &["a"], &["b"]];
    all.iter().enumerate().for_each(|(at, spoke)| assert_eq!(who_spoke(&log, at + 1), *spoke, "{}", at + 1));
}

#[test]
fn a_filter_that_says_too_much_is_cut_counted_and_told_of() {
    let limits = "config: '{\"paths\": [\"request.path\"]}', limits: { log_rate: 1, log_burst: 20 }";
    let admin_yaml = "admin: { address: \"127.0.0.1:0\" }\n";
    let mut proxy = Proxy::start(&chain_yaml(&[("p", &fixture("properties"), limits)], None, admin_yaml));
    let mut client = proxy.client();
    for _ in 0..100 {
        client.request("GET /", &[], "");
    }
    proxy.access(100);
    let log = proxy.wait_for("log lines were dropped: the filter writes too many a second");
    assert!(log.contains("cap=\"log_rate\" setting=\"limits.log_rate\" limit=1"), "{log}");
    let written = log.matches("log request.path").count() as u64;
    let metrics = admin(&proxy, "GET", "/metrics", "").text();
    let line = metrics.lines().find_map(|l| l.strip_prefix("sluice_filter_log_dropped_total{filter=\"p\"} "));
    let dropped: u64 = line.expect("the count").parse().unwrap();
    assert!(written > 0 && dropped > 0);
    assert_eq!(written + dropped, 100);
}

/// What a terminal would obey, and a line that was never written.
const HOSTILE: &str = "\"x\\e[2J\\n2026-11-25T00:00:00Z ERROR forged\\u202E\\u2028\\u009b1m\\t\"";

/// A log in which a guest and a request have said what they should not.
fn hostile(format: &str) -> String {
    let more = format!("telemetry: {{ log: {{ format: {format} }} }}\n");
    let filters = [("l", &*fixture("lifecycle"), &*format!("config: {HOSTILE}")), ("t", &*fixture("trap"), "")];
    let mut proxy = Proxy::start(&chain_yaml(&filters, None, &more));
    let headers = ["x-request-id: \u{202e}\u{9b}2J\u{2028}id", "x-trap: request_headers"];
    proxy.client().request("GET /?\u{202e}", &headers, "");
    proxy.access(1);
    proxy.wait_for("forged");
    proxy.wait_for("the guest died")
}

fn is_shown(text: &str) -> bool {
    text.chars().all(|c| matches!(c, '\n' | '\t' | ' '..='~' | 'é' | '…'))
}

#[test]
fn neither_a_guest_nor_a_request_steers_who_reads_the_log() {
    let log = hostile("human");
    assert!(is_shown(&log), "{log:?}");
    assert!(log.contains("x\\u{1b}[2J\\n2026-11-25T00:00:00Z ERROR forged\\u{202e}\\u{2028}\\u{9b}1m"), "{log}");
    assert!(log.lines().all(|line| !line.starts_with("2026-11-25T00:00:00Z")), "{log}");
}

#[test]
fn each_line_of_a_log_in_json_is_one_object_that_steers_nothing() {
    let log = hostile("json");
    assert!(is_shown(&log), "{log:?}");
    let lines: Vec<Value> =
        log.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect();
    let guest = lines.iter().find(|l| l["message"].as_str().is_some_and(|m| m.contains("forged"))).unwrap();
    assert_eq!((&guest["filter"], &guest["level"]), (&"l".into(), &"INFO".into()), "{guest}");
}

/// Serves with a filter that writes the path of each request into a log that nobody reads, until lines found no room.
fn flooded() -> (Proxy, BufReader<ChildStderr>) {
    let limits = "limits: { log_rate: 1000000, log_burst: 1000000 }";
    let yaml = chain_yaml(&[("l", &fixture("lifecycle"), limits)], None, "admin: { address: \"127.0.0.1:0\" }\n");
    let (proxy, pipe) = Proxy::piped(&yaml);
    let (path, mut client) = ("x".repeat(30_000), proxy.client());
    for _ in 0..300 {
        assert_eq!(client.request(&format!("GET /{path}"), &[], "").status(), 200);
    }
    let metrics = admin(&proxy, "GET", "/metrics", "").text();
    let dropped = metrics.lines().find_map(|l| l.strip_prefix("sluice_log_dropped_total{reason=\"queue_full\"} "));
    assert!(dropped.expect("the count").parse::<u64>().unwrap() > 0, "{metrics}");
    (proxy, pipe)
}

/// What a pipe has brought so far.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    fn wait_for(&self, text: &str) {
        wait_until(|| self.text().contains(text));
    }
}

#[test]
fn a_reader_of_the_log_that_sleeps_keeps_nobody_waiting_and_is_told_what_it_missed() {
    let (mut proxy, mut pipe) = flooded();
    let said = Said::default();
    let heard = said.clone();
    let reader = thread::spawn(move || {
        loop {
            let piece = pipe.fill_buf().unwrap().to_vec();
            if piece.is_empty() {
                return;
            }
            pipe.consume(piece.len());
            heard.0.lock().unwrap().extend(piece);
        }
    });
    said.wait_for("the log could not keep up: lines were dropped");
    assert_eq!(proxy.client().request("GET /awake", &[], "").status(), 200);
    said.wait_for("GET /awake 200");
    proxy.signal("TERM");
    assert_eq!(proxy.wait().code(), Some(0));
    reader.join().unwrap();
    assert!(said.text().lines().last().unwrap().contains("stopped"), "everything is there at the end");
}

#[test]
fn the_end_does_not_wait_for_a_reader_that_sleeps() {
    let (mut proxy, _pipe) = flooded();
    proxy.signal("TERM");
    assert_eq!(proxy.wait().code(), Some(0));
}
