//! Hostile clients and hostile guests: each gets its answer, nobody else notices.

use std::time::Duration;

use crate::harness::{Origin, Proxy, Reply, chain_yaml, fixture};

#[test]
fn garbage_and_oversized_heads_get_a_4xx() {
    let mut proxy = Proxy::chain(&[("n", &fixture("noop"), "")], None);
    let many: String = (0..10_000).map(|i| format!("h{i}: v\r\n")).collect();
    let some: String = (0..200).map(|i| format!("h{i}: v\r\n")).collect();
    let big = "a".repeat(1_000_000);
    let long = "a".repeat(100_000); // more than the URI type holds
    for (name, request, wanted) in [
        ("garbage", "garbage\r\n\r\n".to_owned(), 400..=400),
        ("binary", "\x16\x03\x01\x02\0\x01\0\r\n\r\n".to_owned(), 400..=400),
        ("10,000 fields", format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 400..=431),
        ("200 fields", format!("GET / HTTP/1.1\r\nHost: a\r\n{some}\r\n"), 431..=431),
        ("1 MB field", format!("GET / HTTP/1.1\r\nHost: a\r\nbig: {big}\r\n\r\n"), 431..=431),
        ("long target", format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 400..=414),
        (
            "two lengths",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_owned(),
            400..=400,
        ),
        ("above the root", "GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400..=400),
    ] {
        let mut client = proxy.client();
        let _ = client.try_send(request.as_bytes());
        let answer = client.read();
        assert!(wanted.contains(&answer.status()), "{name}: {answer:?}");
    }
    assert_eq!(proxy.client().request("GET /", &[], "").status(), 200);
    assert!(proxy.alive());
}

#[test]
fn a_client_that_stops_half_way_is_let_go() {
    let origin = Origin::start(|_| Reply::ok("x"));
    let mut proxy = Proxy::chain(&[("l", &fixture("lifecycle"), "")], Some(origin.address));
    let _ = proxy.client().send("GET / HT");
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\npart");
    std::thread::sleep(Duration::from_millis(50));
    drop(client);
    let log = proxy.wait_for("on_delete");
    assert_eq!(log.matches("on_delete").count(), 1);
    assert_eq!(proxy.access(1)[0]["error"], "client_closed");
    assert_eq!(proxy.client().request("GET /", &[], "").status(), 200);
}

#[test]
fn a_client_that_leaves_while_its_request_is_held_is_noticed() {
    let proxy = Proxy::chain(&[("p", &fixture("pause"), "")], None);
    let mut client = proxy.client();
    client.send("GET /held HTTP/1.1\r\nHost: a\r\nx-pause: request_headers_forever\r\n\r\n");
    std::thread::sleep(Duration::from_millis(100));
    drop(client);
    // Long before the limit of a pause, and with the filter told that the stream is over.
    let line = &proxy.access(1)[0];
    assert_eq!(line["error"], "client_closed", "{line}");
    assert!(line["duration_us"].as_f64().unwrap() < 20e6, "{line}");
}

#[test]
fn a_silent_client_is_timed_out() {
    let proxy = Proxy::start(&chain_yaml(&[], None, "server: { keepalive: 1s, read_timeout: 1s }\n"));
    let mut idle = proxy.client();
    assert_eq!(idle.request("GET /", &[], "").status(), 200);
    assert!(idle.at_end(), "an idle connection is closed");
    let mut half = proxy.client();
    half.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    // Whatever the answer is, the connection does not stay.
    let _ = half.try_read();
    assert!(half.at_end());
}

#[test]
fn wild_calls_get_the_status_that_the_abi_names() {
    // Megabytes of nonsense take their time in an unoptimised build on a busy machine.
    let roomy = "limits: { cpu_per_call: 2s, cpu_per_request: 10s }";
    let mut proxy = Proxy::chain(&[("w", &fixture("wild"), roomy)], None);
    let mut client = proxy.client();
    let mut run = |case: &str| {
        let answer = client.request("POST /path", &[&format!("x-case: {case}")], "abcdef");
        assert_eq!(answer.status(), 200, "{case}: {answer:?}");
        let count: usize = answer.header("x-status-count").parse().unwrap();
        assert!(count > 0, "{case}");
        (0..count)
            .map(|i| {
                let text = answer.header(&format!("x-status-{i}"));
                let (status, label) = text.split_once(' ').unwrap();
                (status.parse::<u32>().unwrap(), label.to_owned())
            })
            .collect::<Vec<_>>()
    };
    for (status, label) in run("pointers") {
        let wanted: &[u32] = if label == "log nothing from outside" { &[0] } else { &[6, 2] };
        assert!(wanted.contains(&status), "pointers: {status} {label}");
    }
    for (status, label) in run("enums") {
        assert!([1, 2].contains(&status), "enums: {status} {label}");
    }
    for (status, label) in run("maps") {
        assert_eq!(status, 2, "maps: {label}");
    }
    for case in ["outputs", "lengths", "headers", "phases", "body", "allocator"] {
        run(case);
    }
    assert!(proxy.alive());
}

#[test]
fn a_trap_costs_its_own_request_and_the_guest_comes_back() {
    let trap = fixture("trap");
    let yaml = chain_yaml(&[("t", &trap, "")], None, "server: { workers: 1 }\n");
    let proxy = Proxy::start(&yaml);
    let mut client = proxy.client();
    for phase in ["request_headers", "request_body", "response_headers"] {
        let failed = client.request("POST /", &[&format!("x-trap: {phase}")], "body");
        assert_eq!(failed.status(), 503, "{phase}: {failed:?}");
        let status = failed.header("proxy-status");
        assert_eq!(status, "sluice; error=proxy_internal_error; details=\"filter=t kind=trap\"", "{phase}");
        let next = proxy.client().request("GET /", &[], "");
        assert_eq!((next.status(), next.header("x-guest-requests").as_str()), (200, "1"), "{phase}: a new guest");
        client = proxy.client();
    }
    for phase in ["done", "log", "delete"] {
        assert_eq!(proxy.client().request("GET /", &[&format!("x-trap: {phase}")], "").status(), 200, "{phase}");
        assert_eq!(proxy.client().request("GET /", &[], "").status(), 200, "after {phase}");
    }
    // The last is a frame of the backtrace.
    for text in ["panicked at trap/src/lib.rs", "phase=\"request_headers\" kind=\"trap\"", "    at "] {
        proxy.logged(text);
    }
}

/// Frames of the first trap, from the guest's panic outward.
fn frames(isolation: &str) -> Vec<String> {
    let more = format!("isolation: {isolation}");
    let proxy = Proxy::chain(&[("t", &fixture("trap"), &more)], None);
    assert_eq!(proxy.client().request("GET /", &["x-trap: request_headers"], "").status(), 503);
    let log = proxy.logged("    at ");
    // The line's fields stand behind the outermost frame.
    let frames = log.lines().filter_map(|line| line.strip_prefix("    at "));
    frames.map(|frame| frame.split(" filter=").next().unwrap_or(frame).to_owned()).collect()
}

/// A guest from a snapshot is entered through a function that is not its own, which is nobody's business.
#[test]
fn a_backtrace_is_the_same_in_both_isolations() {
    let (shared, request) = (frames("shared"), frames("request"));
    assert!(shared.last().is_some_and(|outermost| outermost.ends_with("!proxy_on_request_headers")), "{shared:?}");
    assert_eq!(shared, request);
}

#[test]
fn loops_bombs_and_recursion_are_stopped_and_named() {
    let trap = fixture("trap");
    let mut proxy =
        Proxy::chain(&[("t", &trap, "limits: { cpu_per_call: 200ms, cpu_per_request: 1s, memory: 16MiB }")], None);
    for (knob, token) in [
        ("x-loop: request_headers", "cpu_exceeded"),
        ("x-alloc: request_headers", "memory_exceeded"),
        ("x-recurse: request_headers", "trap"),
    ] {
        let failed = proxy.client().request("GET /", &[knob], "");
        assert_eq!(failed.status(), 503, "{knob}: {failed:?}");
        assert!(failed.header("proxy-status").contains(&format!("filter=t kind={token}")), "{knob}: {failed:?}");
    }
    assert_eq!(proxy.client().request("GET /", &[], "").status(), 200);
    // Lines of different connections come in any order.
    let mut errors: Vec<_> = proxy.access(4).iter().map(|l| l["error"].as_str().unwrap_or("-").to_owned()).collect();
    errors.sort_unstable();
    assert_eq!(errors, ["-", "cpu_exceeded", "memory_exceeded", "trap"]);
    assert!(proxy.alive());
}

#[test]
fn fail_open_goes_on_without_the_filter() {
    let (trap, tag) = (fixture("trap"), fixture("tag"));
    let origin = Origin::start(|_| Reply::ok("origin"));
    let proxy = Proxy::chain(
        &[("t", &trap, "on_error: fail_open, limits: { cpu_per_call: 5ms }"), ("tag", &tag, "config: tag")],
        Some(origin.address),
    );
    for knob in [
        "x-trap: request_headers",
        "x-loop: request_headers",
        "x-trap: request_body",
        "x-trap: response_headers",
        "x-trap: response_body",
    ] {
        let answer = proxy.client().request("POST /", &[knob], "body");
        assert_eq!((answer.status(), answer.text().as_str()), (200, "origin"), "{knob}");
        assert_eq!(answer.header("x-chain"), "tag", "{knob}");
        assert_eq!(origin.request().text(), "body", "{knob}");
    }
}

#[test]
fn nonsense_return_values_and_allocators_do_no_harm() {
    for word in
        ["", "bool-max", "alloc-zero", "alloc-outside", "alloc-last-byte", "alloc-trap", "done-false", "action2"]
    {
        let yaml = chain_yaml(&[("n", &fixture("nonsense"), &format!("config: \"{word}\""))], None, "");
        let mut proxy = Proxy::start(&yaml);
        if word != "action2" {
            let answer = proxy.client().request("GET /path", &[], "");
            assert_eq!(answer.status(), if word == "alloc-trap" { 503 } else { 200 }, "{word}: {answer:?}");
        }
        assert!(proxy.alive(), "{word}");
    }
}
