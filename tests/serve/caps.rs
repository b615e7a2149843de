//! Caps of filters, as an operator sees them: in the log, and when the process starts.

use crate::harness::{Proxy, chain_yaml, fixture};

#[test]
fn a_cap_that_was_met_stands_in_the_log_with_its_setting() {
    let mut proxy = Proxy::chain(&[("s", &fixture("store"), "limits: { shared_data: 70B }")], None);
    let mut client = proxy.client();
    assert_eq!(client.request("GET /", &["X-Store: put k value"], "").header("x-store-0"), "ok", "64 bytes and these");
    // Rust's SDK takes this refusal for a reason to die; the log says both, the reason first.
    assert_eq!(client.request("GET /", &["X-Store: put k values"], "").status(), 503);
    let log = proxy.wait_for("the guest died");
    let line = log.lines().find(|line| line.contains("shared_data_full")).unwrap();
    assert!(log.find("shared_data_full") < log.find("unexpected status: 10"), "{log}");
    for part in
        ["WARN", "a value was not stored", "filter=\"s\"", "setting=\"limits.shared_data\"", "limit=70", "hits=1"]
    {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[test]
fn a_guest_with_the_smallest_and_the_largest_stack_overflows_alone() {
    for stack in ["64KiB", "1MiB"] {
        let filters: [(&str, &str, &str); 1] =
            [("t", &fixture("trap"), "limits: { cpu_per_call: 5s, cpu_per_request: 5s }")];
        let yaml = format!("{}server: {{ guests: {{ stack: {stack} }} }}\n", chain_yaml(&filters, None, ""));
        let proxy = Proxy::start(&yaml);
        let mut client = proxy.client();
        let answer = client.request("GET /", &["X-Recurse: 1"], "");
        assert_eq!(answer.status(), 503, "{stack}: {answer:?}");
        assert_eq!(client.request("GET /", &[], "").status(), 200, "{stack}");
    }
}

#[test]
fn more_guests_than_the_process_may_have_are_refused_at_the_start() {
    let filters: [(&str, &str, &str); 2] = [("a", &fixture("noop"), ""), ("b", &fixture("noop"), "")];
    let yaml = format!("{}server: {{ workers: 1, guests: {{ max: 1 }} }}\n", chain_yaml(&filters, None, ""));
    let said = Proxy::refused(&yaml);
    // They start beside each other: one of them finds no room.
    assert!(said.contains("error: filter `") && said.contains("guests.max"), "{said}");
}

#[test]
fn a_stack_that_threads_have_no_room_for_is_refused_at_the_start() {
    let filters: [(&str, &str, &str); 1] = [("n", &fixture("noop"), "")];
    let said = Proxy::refused_with(&chain_yaml(&filters, None, ""), &[("RUST_MIN_STACK", "1048576")]);
    assert!(said.contains("server.guests.stack: RUST_MIN_STACK gives threads a stack of 1048576 bytes"), "{said}");
}
