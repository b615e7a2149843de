//! The access log: what stands in a line, where lines go, and what becomes of them when they cannot go there.

use std::{
    fs,
    io::Read as _,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use serde_json::Value;

use crate::harness::{Client, Origin, Proxy, Reply, chain_yaml, fixture};

/// The echo behind no filter, with this access log and an admin listener. It is only loaded again when a test says so.
fn logging(access_log: &str) -> Proxy {
    Proxy::start(&yaml(access_log))
}

fn yaml(access_log: &str) -> String {
    let more = "admin: { address: \"127.0.0.1:0\" }\nreload: { watch: false }\n";
    chain_yaml(&[], None, &format!("{more}telemetry: {{ access_log: {access_log} }}\n"))
}

/// Asks for the numbers of a range.
fn ask(proxy: &Proxy, numbers: std::ops::Range<usize>) {
    let mut client = proxy.client();
    for n in numbers {
        assert_eq!(client.request(&format!("GET /{n}"), &[], "").status(), 200);
    }
}

fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{what} never came");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until the file holds so many lines.
fn lines(file: &PathBuf, count: usize) -> Vec<String> {
    until(&format!("{count} lines of {}", file.display()), || {
        let text = fs::read_to_string(file).unwrap_or_default();
        let whole: Vec<String> = text.split_inclusive('\n').filter(|l| l.ends_with('\n')).map(str::to_owned).collect();
        (whole.len() >= count).then_some(whole)
    })
}

/// How many lines were not written for this reason.
fn lost(proxy: &Proxy, reason: &str) -> u64 {
    let text = Client::connect(proxy.admin()).send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").read().text();
    let name = format!("sluice_access_log_dropped_total{{reason=\"{reason}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&name)).expect("the count").parse().unwrap()
}

/// Has the file loaded again with another access log.
fn reload(proxy: &mut Proxy, access_log: &str, said: &str) {
    let text = yaml(access_log).replace("DIR", &proxy.dir.path().display().to_string());
    fs::write(proxy.dir.path().join("sluice.yaml"), text).unwrap();
    proxy.signal("HUP");
    proxy.wait_for(said);
}

#[test]
fn a_line_says_what_is_known_of_a_request() {
    let set = "config: '{\"set\": [[\"audit.user\", \"ann\"]]}'";
    let origin = Origin::start(|_| Reply::ok("four"));
    let proxy = Proxy::chain(&[("p", &fixture("properties"), set)], Some(origin.address));
    let trace = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [trace, "x-request-id: r-1", "user-agent: test/1"];
    proxy.client().request("POST /a?b=1&access_token=s3cret", &headers, "hello");
    let line = &proxy.access(1)[0];
    for (name, value) in [
        ("trace_id", "0af7651916cd43dd8448eb211c80319c"),
        ("span_id", "b7ad6b7169203331"),
        ("request_id", "r-1"),
        ("user_agent", "test/1"),
        ("method", "POST"),
        ("host", "test.example"),
        ("path", "/a?b=1&access_token=REDACTED"),
        ("protocol", "HTTP/1.1"),
        ("route", "/*"),
        ("upstream", "up"),
        ("upstream_address", &origin.address.to_string()),
    ] {
        assert_eq!(line[name], value, "{name}: {line}");
    }
    for (name, value) in
        [("status", 200), ("bytes_received", 5), ("bytes_sent", 4), ("upstream_attempts", 1), ("generation", 1)]
    {
        assert_eq!(line[name], value, "{name}: {line}");
    }
    assert_eq!(line["upstream_reused"], false);
    assert_eq!(line["properties"], serde_json::json!({ "audit.user": "ann" }));
    let filter = &line["filters"][0];
    assert_eq!((&filter["filter"], &filter["outcome"]), (&"p".into(), &"continued".into()), "{line}");
    assert_eq!(filter["digest"].as_str().map(str::len), Some(12), "{line}");
    let time = |name: &str| line[name].as_f64().unwrap_or_else(|| panic!("{name}: {line}"));
    assert!(time("filters_us") > 0.0 && time("filters_us") >= filter["us"].as_f64().unwrap(), "{line}");
    assert!(time("upstream_first_byte_us") <= time("upstream_us"), "{line}");
    assert!(time("upstream_us") <= time("duration_us"), "{line}");
    assert!(line["time"].as_str().unwrap().ends_with('Z') && line["client"].as_str().unwrap().contains(':'), "{line}");
    assert!(line.get("error").is_none(), "what is not known is left out: {line}");
}

#[test]
fn a_request_that_fails_has_its_token_and_its_attempts() {
    let proxy = Proxy::chain(&[], Some("127.0.0.1:1".parse().unwrap()));
    assert_eq!(proxy.client().request("GET /", &[], "").status(), 502);
    let line = &proxy.access(1)[0];
    assert_eq!((&line["error"], &line["status"]), (&"upstream_connect".into(), &502.into()), "{line}");
    assert_eq!(line["upstream_attempts"], 1, "{line}");
    assert!(line["upstream_us"].as_f64().unwrap() > 0.0 && line.get("upstream_first_byte_us").is_none(), "{line}");
}

#[test]
fn a_format_has_what_it_names_and_nothing_ends_its_line() {
    let format = r#"'{client} "{method} {path}" {status} {{{request.header.user-agent}}} {request.header.cookie} \
                    {request.header.referer} {request.header.x-none} {response.header.content-type}|{route}'"#
        .replace("\\\n                    ", "");
    let proxy = logging(&format!("{{ format: {format} }}"));
    let headers = ["user-agent: a\" \u{202e}b\tc\u{85}d", "cookie: secret", "referer: http://a/?key=1&q=2"];
    proxy.client().request("GET /x?sig=1&b=\u{2028}", &headers, "");
    proxy.client().request("GET /", &["user-agent: forged\\\" 200\\"], "");
    let lines = lines(&proxy.dir.path().join("access.log"), 2);
    let (client, rest) = lines[0].split_once(' ').unwrap();
    assert!(client.starts_with("127.0.0.1:"), "{client}");
    assert_eq!(
        rest,
        "\"GET /x?sig=REDACTED&b=\\u{2028}\" 200 {a\\\" \\u{202e}b\\u{9}c\\u{85}d} REDACTED http://a/?key=REDACTED&q=2 - \
         application/json|/*\n"
    );
    assert!(lines[1].contains("{forged\\\\\\\" 200\\\\}"), "{}", lines[1]);
}

#[test]
fn a_line_of_json_holds_no_character_that_a_terminal_obeys() {
    let proxy = logging("{ format: json }");
    let agent = "\u{202e}\u{9b}31m\u{2028}é\u{feff}";
    proxy.client().request("GET /", &[&format!("user-agent: {agent}")], "");
    assert_eq!(proxy.access(1)[0]["user_agent"], agent, "nothing is lost");
    let text = fs::read_to_string(proxy.dir.path().join("access.log")).unwrap();
    let shown = |c: char| c == '\n' || c == 'é' || (c.is_ascii() && !c.is_ascii_control());
    assert!(text.chars().all(shown), "{text:?}");
    assert_eq!(text.matches('\n').count(), 1);
}

#[test]
fn lines_are_seen_while_requests_go_on() {
    // So short that what is gathered by size alone would wait for 16,000 of them.
    let proxy = logging("{ format: '{status}' }");
    let file = proxy.dir.path().join("access.log");
    let mut client = proxy.client();
    until("a line", || {
        client.request("GET /", &[], "");
        (!fs::read_to_string(&file).unwrap().is_empty()).then_some(())
    });
}

#[test]
fn a_file_that_was_renamed_is_left_at_a_signal_and_no_line_is_lost() {
    let mut proxy = logging("{ path: DIR/access.txt, format: '{path}' }");
    let (file, old) = (proxy.dir.path().join("access.txt"), proxy.dir.path().join("access.txt.1"));
    let stop = AtomicBool::new(false);
    let asked = thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut client = proxy.client();
            let mut n = 0;
            while !stop.load(Relaxed) {
                client.request(&format!("GET /{n}"), &[], "");
                n += 1;
            }
            n
        });
        lines(&file, 1);
        fs::rename(&file, &old).unwrap();
        proxy.signal("USR1");
        lines(&file, 1);
        stop.store(true, Relaxed);
        asking.join().unwrap()
    });
    proxy.signal("INT");
    proxy.wait();
    let all = fs::read_to_string(&old).unwrap() + &fs::read_to_string(&file).unwrap();
    let wanted: Vec<_> = (0..asked).map(|n| format!("/{n}")).collect();
    assert_eq!(all.lines().collect::<Vec<_>>(), wanted);
    assert!(proxy.log().contains("the access log was opened again"), "{}", proxy.log());
}

#[test]
fn a_full_disk_costs_lines_and_no_request() {
    let mut proxy = logging("{ path: /dev/full, format: '{path}' }");
    ask(&proxy, 0..3);
    proxy.wait_for("the access log cannot be written; said once, lines are counted");
    ask(&proxy, 3..6);
    until("all lines as lost", || (lost(&proxy, "write_failed") == 6).then_some(()));
    assert_eq!(proxy.log().matches("cannot be written").count(), 1, "{}", proxy.log());
    reload(&mut proxy, "{ path: DIR/access.txt, format: '{path}' }", "the new configuration serves");
    ask(&proxy, 6..8);
    assert_eq!(lines(&proxy.dir.path().join("access.txt"), 2), ["/6\n", "/7\n"]);
    assert_eq!(lost(&proxy, "queue_full"), 0);
}

#[test]
fn a_folder_that_vanishes_costs_the_lines_until_it_is_back() {
    let dir = tempfile::TempDir::new().unwrap();
    let folder = dir.path().join("logs");
    fs::create_dir(&folder).unwrap();
    let mut proxy = Proxy::start_in(dir, &yaml("{ path: DIR/logs/a, format: '{path}' }"));
    ask(&proxy, 0..1);
    lines(&folder.join("a"), 1);
    fs::remove_dir_all(&folder).unwrap();
    ask(&proxy, 1..3);
    proxy.wait_for("the access log cannot be opened again");
    proxy.wait_for("the access log cannot be written; said once");
    let known = until("both as lost", || Some(lost(&proxy, "write_failed")).filter(|lost| *lost == 2));
    fs::create_dir(&folder).unwrap();
    // It is tried again once a second, when there is something to write.
    let mut asked = 3;
    until("the file", || {
        ask(&proxy, asked..asked + 1);
        asked += 1;
        folder.join("a").exists().then_some(())
    });
    proxy.wait_for("the access log is written again");
    let written = until("every line", || {
        let text = fs::read_to_string(folder.join("a")).unwrap();
        (text.lines().count() as u64 + lost(&proxy, "write_failed") == asked as u64 - 1).then_some(text)
    });
    assert!(lost(&proxy, "write_failed") >= known && written.lines().last() == Some(&format!("/{}", asked - 1)));
}

#[test]
fn a_reader_that_sleeps_holds_up_no_request() {
    let dir = tempfile::TempDir::new().unwrap();
    let pipe = dir.path().join("pipe");
    rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    // With a reader that reads nothing it can be opened, and takes 64 KiB.
    let reader = rustix::fs::openat(CWD, &pipe, OFlags::RDWR, Mode::empty()).unwrap();
    let proxy = Proxy::start_in(dir, &yaml("{ path: DIR/pipe, format: '{request.header.x}' }"));
    let header = format!("x: {}", "y".repeat(8000));
    let mut client = proxy.client();
    until("a line that finds no room", || {
        (0..100).for_each(|_| assert_eq!(client.request("GET /", &[&header], "").status(), 200));
        (lost(&proxy, "queue_full") > 0).then_some(())
    });
    assert!(proxy.memory() < 200 << 20, "{} bytes", proxy.memory());
    proxy.logged("the access log cannot keep up; lines are dropped");
    // It wakes up: what waited comes, and what is new.
    let mut reader = fs::File::from(reader);
    let waker = thread::spawn(move || {
        let mut text = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        while !text.ends_with(b"last\n") {
            let read = reader.read(&mut buffer).unwrap();
            text.extend_from_slice(&buffer[..read]);
        }
        text.iter().filter(|byte| **byte == b'\n').count()
    });
    until("room for a line", || {
        client.request("GET /", &["x: last"], "");
        waker.is_finished().then_some(())
    });
    assert!(waker.join().unwrap() > 1000);
}

#[test]
fn a_reload_applies_what_it_says_or_refuses_it() {
    let mut proxy = logging("{ path: DIR/one, format: '{path}' }");
    let at = |name: &str| proxy.dir.path().join(name);
    let (one, two) = (at("one"), at("two"));
    ask(&proxy, 0..1);
    reload(&mut proxy, "{ path: DIR/none/log }", "the new configuration is refused");
    assert!(proxy.log().contains("none/log cannot be opened: No such file or directory"), "{}", proxy.log());
    assert!(proxy.log().contains("sluice.yaml:7:26"), "{}", proxy.log());
    ask(&proxy, 1..2);
    reload(&mut proxy, "{ path: DIR/two, format: '{method} {path}' }", "the new configuration serves");
    ask(&proxy, 2..3);
    assert_eq!(lines(&two, 1), ["GET /2\n"]);
    assert_eq!(lines(&one, 2), ["/0\n", "/1\n"]);
    let text = yaml("off").replace("DIR", &proxy.dir.path().display().to_string());
    fs::write(proxy.dir.path().join("sluice.yaml"), text).unwrap();
    proxy.signal("HUP");
    proxy.wait_count("the new configuration serves", 2);
    ask(&proxy, 3..4);
    proxy.signal("INT");
    proxy.wait();
    assert_eq!((lines(&one, 2).len(), lines(&two, 1).len()), (2, 1));
    assert!(!proxy.log().contains("needs a restart"), "{}", proxy.log());
}

#[test]
fn a_file_that_cannot_be_opened_is_refused_with_its_place() {
    let said = Proxy::refused(&yaml("{ path: DIR/none/log }"));
    assert!(said.contains("sluice.yaml:7:26") && said.contains("none/log cannot be opened"), "{said}");
}

#[test]
fn a_line_is_one_object_whatever_the_request_was() {
    let proxy =
        Proxy::chain(&[("p", &fixture("properties"), "config: '{\"set\": [[\"a\\u001b\", \"\\u0000\\n\"]]}'")], None);
    let mut client = proxy.client();
    client.request("GET /a?%0a='", &["x-request-id: \u{ff}\\"], "");
    let line: &Value = &proxy.access(1)[0];
    assert_eq!(line["properties"]["a\u{1b}"], "\0\n");
    assert_eq!(line["path"], "/a?%0a='");
}
