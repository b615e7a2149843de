//! The process: a clean end, a reload, what it says.

use std::{fs, time::Duration};

use crate::harness::{Origin, Proxy, Reply, chain_yaml, fixture};

#[test]
fn ctrl_c_ends_with_zero_and_at_once_when_idle() {
    for signal in ["INT", "TERM"] {
        let mut proxy = Proxy::chain(&[("n", &fixture("noop"), "")], None);
        assert_eq!(proxy.client().request("GET /", &[], "").status(), 200);
        proxy.signal(signal);
        assert_eq!(proxy.wait().code(), Some(0), "{signal}");
        assert!(proxy.log().contains("stopped"));
        assert_eq!(proxy.access(1)[0]["status"], 200, "the access log is written out");
    }
}

#[test]
fn a_request_in_flight_finishes_before_the_end() {
    let (entered, wait) = std::sync::mpsc::channel();
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let (entered, gate) = (std::sync::Mutex::new(entered), std::sync::Mutex::new(gate));
    let origin = Origin::start(move |_| {
        entered.lock().unwrap().send(()).unwrap();
        gate.lock().unwrap().recv().unwrap();
        Reply::ok("late")
    });
    let mut proxy = Proxy::chain(&[("n", &fixture("noop"), "")], Some(origin.address));
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wait.recv_timeout(Duration::from_secs(20)).unwrap();
    proxy.signal("INT");
    proxy.wait_for("requests in flight may finish");
    go.send(()).unwrap();
    assert_eq!(client.read().text(), "late");
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn the_grace_period_is_bounded() {
    let (hold, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let origin = Origin::start(move |_| {
        let _ = gate.lock().unwrap().recv();
        Reply::ok("never")
    });
    let mut proxy = Proxy::start(&chain_yaml(&[], Some(origin.address), "server: { shutdown_grace: 1s }\n"));
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    origin_is_busy();
    proxy.signal("INT");
    assert_eq!(proxy.wait().code(), Some(0));
    assert!(proxy.log().contains("the grace period is over"));
    drop(hold);
}

/// The request needs a moment to be in flight; if it is not, the end is only quicker and the test fails on its text.
fn origin_is_busy() {
    std::thread::sleep(Duration::from_millis(300));
}

#[test]
fn sighup_loads_the_file_again_and_keeps_the_old_one_when_it_is_wrong() {
    let tag = fixture("tag");
    let yaml = |name: &str| chain_yaml(&[("t", &tag, &format!("config: {name}"))], None, "");
    let mut proxy = Proxy::start(&yaml("one"));
    let file = proxy.dir.path().join("sluice.yaml");
    let mut client = proxy.client();
    assert_eq!(client.request("GET /", &[], "").header("x-chain"), "one");
    fs::write(&file, yaml("two")).unwrap();
    proxy.signal("HUP");
    proxy.wait_for("the new configuration serves");
    assert_eq!(client.request("GET /", &[], "").header("x-chain"), "two", "on the same connection");
    fs::write(&file, yaml("two") + "server: { workers: 7 }\n").unwrap();
    proxy.signal("HUP");
    proxy.wait_for("`server.workers` changed in the file: that needs a restart");
    fs::write(&file, "nonsense: true").unwrap();
    proxy.signal("HUP");
    proxy.wait_for("the new configuration is refused, the old one goes on serving");
    assert_eq!(client.request("GET /", &[], "").header("x-chain"), "two");
    let generations: Vec<_> = proxy.access(3).iter().map(|l| l["generation"].as_u64().unwrap()).collect();
    assert_eq!(generations, [1, 2, 3]);
}

#[test]
fn the_access_log_can_be_a_file_for_people_or_off() {
    let tag = fixture("tag");
    let log = "telemetry: { access_log: { path: \"DIR/access.txt\", format: human } }\n";
    let mut proxy = Proxy::start(&chain_yaml(&[("t", &tag, "config: one")], None, log));
    proxy.client().request("GET /a?b", &["x-forged: a\"b"], "");
    proxy.signal("INT");
    proxy.wait();
    let text = fs::read_to_string(proxy.dir.path().join("access.txt")).unwrap();
    assert!(text.contains("\"GET /a?b HTTP/1.1\" 200") && text.contains("filters=t@"), "{text}");

    let mut silent = Proxy::start(&chain_yaml(&[], None, "telemetry: { access_log: off }\n"));
    silent.client().request("GET /", &[], "");
    silent.signal("INT");
    silent.wait();
    assert_eq!(fs::read_to_string(silent.dir.path().join("access.log")).unwrap(), "");
}
