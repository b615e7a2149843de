//! `/debug/requests`: the last requests with what their filters did.

use std::{
    collections::BTreeSet,
    sync::{Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::Admin;
use crate::harness::{Origin, Proxy, Reply, chain_yaml, fixture};

/// What is remembered once so many requests are over: that comes after their answers, and each is counted a moment before
/// it has its place.
fn remembered(admin: Admin, seen: u64) -> Value {
    let began = Instant::now();
    loop {
        let shown = admin.get("/debug/requests").json();
        let numbers = shown["requests"].as_array().unwrap().iter().map(|request| request["number"].as_u64().unwrap());
        let numbers: BTreeSet<_> = numbers.collect();
        if numbers == (seen.saturating_sub(shown["places"].as_u64().unwrap())..seen).collect() {
            return shown;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "not {seen} of them: {shown}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn paths(shown: &Value) -> Vec<&str> {
    shown["requests"].as_array().unwrap().iter().map(|request| request["path"].as_str().unwrap()).collect()
}

#[test]
fn the_last_requests_are_told_with_their_callbacks_the_slowest_first() {
    let ((entered, wait), (go, gate)) = (mpsc::channel(), mpsc::channel::<()>());
    let (entered, gate) = (Mutex::new(entered), Mutex::new(gate));
    let origin = Origin::start(move |request| {
        if request.target().starts_with("/slow") {
            entered.lock().unwrap().send(()).unwrap();
            gate.lock().unwrap().recv().unwrap();
        }
        Reply::ok("x")
    });
    // A guest that dies takes no other request with it.
    let (tag, trap) = (fixture("tag"), fixture("trap"));
    let chain = [("a", tag.as_str(), "config: a"), ("t", trap.as_str(), "isolation: request")];
    let extra = "admin: { address: \"127.0.0.1:0\", requests: 3 }\n";
    let proxy = Proxy::start(&chain_yaml(&chain, Some(origin.address), extra));
    let admin = Admin::of(&proxy);
    assert_eq!(admin.get("/debug/requests").json(), json!({ "places": 3, "kept": 0, "seen": 0, "requests": [] }));

    proxy.client().request("GET /forgotten", &[], "");
    // What happens while another request waits is quicker than that one.
    let mut slow = proxy.client();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    slow.send(format!(
        "GET /slow?a=1&token=s3cret HTTP/1.1\r\nHost: h.example\r\nx-request-id: r\u{202e}1\r\n\
         traceparent: 00-{trace}-00f067aa0ba902b7-01\r\n\r\n"
    ));
    wait.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!(proxy.client().request("GET /failed", &["x-trap: request_headers"], "").status(), 503);
    assert_eq!(proxy.client().request("POST /quick", &[], "body").status(), 200);
    go.send(()).unwrap();
    assert_eq!(slow.read().status(), 200);

    let shown = remembered(admin, 4);
    assert_eq!((&shown["places"], &shown["kept"], &shown["seen"]), (&3.into(), &3.into(), &4.into()), "{shown}");
    assert_eq!(paths(&shown)[0], "/slow?a=1&token=REDACTED");
    assert!(!shown.to_string().contains("s3cret") && !shown.to_string().contains("forgotten"), "{shown}");
    let slowest = &shown["requests"][0];
    for (key, value) in [
        ("trace_id", trace.into()),
        ("request_id", "r\u{fffd}1".into()),
        ("method", "GET".into()),
        ("host", "h.example".into()),
        ("protocol", "HTTP/1.1".into()),
        ("route", "/*".into()),
        ("upstream", "up".into()),
        ("upstream_address", origin.address.to_string().into()),
        ("upstream_attempts", 1.into()),
        ("status", 200.into()),
        ("error", Value::Null),
        ("generation", 1.into()),
        ("callbacks_more", 0.into()),
    ] {
        assert_eq!(slowest[key], value, "{key}: {slowest}");
    }
    let digest = admin.get("/filters/a").json()["digest"].clone();
    let ran = |at: usize| (&slowest["filters"][at]["filter"], &slowest["filters"][at]["outcome"]);
    assert_eq!([ran(0), ran(1)], [(&"a".into(), &"continued".into()), (&"t".into(), &"continued".into())]);
    let callbacks = slowest["callbacks"].as_array().unwrap();
    let of_a: Vec<_> = callbacks.iter().filter(|c| c["filter"] == "a").collect();
    let phases: Vec<_> = of_a.iter().map(|c| c["phase"].as_str().unwrap()).collect();
    assert_eq!(phases, ["request_headers", "response_headers", "response_body"]);
    for callback in of_a {
        assert_eq!((&callback["digest"], &callback["outcome"]), (&digest, &"continued".into()));
        assert!(callback["cpu_us"].as_f64().unwrap() > 0.0 && callback["took_us"].is_f64(), "{callback}");
        let hostcalls = callback["hostcalls"].as_u64().unwrap();
        assert_eq!(hostcalls > 0, callback["phase"] != "response_body", "{callback}");
    }
    let sum: f64 = slowest["filters"].as_array().unwrap().iter().map(|f| f["cpu_us"].as_f64().unwrap()).sum();
    assert!((slowest["filters_us"].as_f64().unwrap() - sum).abs() < 1.0, "{slowest}");
    assert!(slowest["duration_us"].as_f64() >= slowest["upstream_us"].as_f64(), "{slowest}");

    let failed = admin.get("/debug/requests?status=5xx").json();
    assert_eq!(paths(&failed), ["/failed"]);
    let failed = &failed["requests"][0];
    assert_eq!((&failed["error"], &failed["filters"][1]["outcome"]), (&"trap".into(), &"failed".into()), "{failed}");
    let last = failed["callbacks"].as_array().unwrap().iter().find(|c| c["filter"] == "t").unwrap();
    assert_eq!((&last["phase"], &last["outcome"]), (&"request_headers".into(), &"trap".into()), "{failed}");
    assert_eq!(paths(&admin.get("/debug/requests?order=recent").json())[0], "/slow?a=1&token=REDACTED");
    assert_eq!(paths(&admin.get("/debug/requests?order=recent&limit=2&status=200").json()).len(), 2);
    assert_eq!(paths(&admin.get("/debug/requests?filter=a&status=503").json()), ["/failed"]);
    assert_eq!(paths(&admin.get("/debug/requests?filter=nobody").json()), [""; 0]);
    for wrong in ["order=quickest", "status=six", "limit=-1", "nonsense=1"] {
        let answer = admin.get(&format!("/debug/requests?{wrong}"));
        assert!(answer.status() == 400 && answer.json()["error"].is_string(), "{wrong}: {answer:?}");
    }
}

#[test]
fn nothing_is_remembered_unless_it_is_asked_for() {
    let proxy = Proxy::start(&chain_yaml(&[], None, "admin: { address: \"127.0.0.1:0\" }\n"));
    assert_eq!(proxy.client().request("GET /", &[], "").status(), 200);
    proxy.access(1);
    let shown = Admin::of(&proxy).get("/debug/requests").json();
    assert_eq!(shown, json!({ "places": 0, "kept": 0, "seen": 0, "requests": [] }));
}

#[test]
fn a_request_is_remembered_in_a_trace_too_and_where_nothing_is_logged() {
    let tag = fixture("tag");
    let extra = "admin: { address: \"127.0.0.1:0\", requests: 1 }\n\
                 telemetry: { access_log: off, otlp: { endpoint: \"http://127.0.0.1:9\" } }\n";
    let proxy = Proxy::start(&chain_yaml(&[("a", &tag, "config: a")], None, extra));
    let answer = proxy.client().request("GET /?key=s3cret", &[], "");
    let shown = remembered(Admin::of(&proxy), 1);
    let request = &shown["requests"][0];
    let told = answer.echoed("traceparent").expect("upstreams are told");
    assert!(told.contains(request["trace_id"].as_str().unwrap()), "{told} {request}");
    assert_eq!((&request["path"], &request["callbacks"][0]["filter"]), (&"/?key=REDACTED".into(), &"a".into()));
}
