//! Examples of the Go SDK that share something between guests: data, queues, metrics.

use std::thread;

use super::{BODY, over_tcp};
use crate::{
    example,
    harness::{Origin, Proxy, Reply, alone, chain_yaml, counted},
};

#[test]
fn metrics_count_by_the_value_of_a_header() {
    let module = example("go-metrics");
    let proxy = Proxy::start(&chain_yaml(&[("m", &module, "")], None, "admin: { address: \"127.0.0.1:0\" }\n"));
    for value in ["foo", "bar", "foo"] {
        assert_eq!(proxy.client().request("GET /", &[&format!("my-custom-header: {value}")], "").status(), 200);
    }
    // Envoy makes labels out of this name by expressions of its `stats_config`; here the name stays whole.
    for (value, count) in [("foo", 2), ("bar", 1)] {
        counted(
            &proxy,
            &format!("sluice_custom_custom_header_value_counts_value_{value}_reporter_wasmgosdk_total {count}"),
        );
    }
}

#[test]
fn shared_data_counts_requests_of_all_workers() {
    let module = example("go-shared_data");
    let mut proxy = Proxy::start(&chain_yaml(&[("s", &module, "")], None, "server: { workers: 2 }\n"));
    thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| {
                let mut client = proxy.client();
                for _ in 0..5 {
                    assert_eq!(client.request("GET /", &[], "").status(), 200);
                }
            });
        }
    });
    let log = proxy.wait_count("shared value: ", 25);
    for value in 1..=25 {
        let line = format!("shared value: {value} ");
        assert_eq!(log.matches(&line).count(), 1, "each value comes once: {line}\n{log}");
    }
}

#[test]
fn shared_queue_takes_heads_and_hashes_from_sender_to_receiver() {
    let origin =
        Origin::start(|_| Reply::Close(format!("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{BODY}").into_bytes()));
    let (sender, receiver) = (example("go-shared_queue-sender"), example("go-shared_queue-receiver"));
    let mut proxy = Proxy::start(&format!(
        r#"
listeners:
  - {{ address: "127.0.0.1:0" }}
  - {{ address: "127.0.0.1:0", tcp: {{ upstream: admin, filters: [sender-tcp] }} }}
server: {{ workers: 2 }}
filters:
  requests: {{ source: {{ path: "{receiver}" }}, vm_id: receiver, config: http_request_headers }}
  responses: {{ source: {{ path: "{receiver}" }}, vm_id: receiver, config: http_response_headers }}
  hashes: {{ source: {{ path: "{receiver}" }}, vm_id: receiver, config: tcp_data_hashes }}
  sender-http: {{ source: {{ path: "{sender}" }}, vm_id: sender, config: http }}
  sender-tcp: {{ source: {{ path: "{sender}" }}, vm_id: sender, config: tcp }}
upstreams: {{ admin: {{ endpoints: ["{}"] }} }}
routes:
  - {{ filters: [sender-http], upstream: admin }}
services: [requests, responses, hashes]
"#,
        origin.address
    ));
    for queue in ["http_request_headers", "http_response_headers", "tcp_data_hashes"] {
        proxy.wait_for(&format!("queue \"{queue}\" registered as queueID="));
    }
    let answer = proxy.client().request("GET /", &["x-mine: yes"], "");
    assert_eq!(answer.text(), BODY);
    for (queue, key, value) in [
        ("http_request_headers", ":path", "/"),
        ("http_request_headers", "x-mine", "yes"),
        ("http_response_headers", ":status", "200"),
        ("http_response_headers", "content-length", "13"),
    ] {
        let item = format!("{{\"key\": \"{key}\",\"value\": \"{value}\"}}");
        taken(&mut proxy, queue, &item);
    }
    assert!(over_tcp(&proxy, 1).ends_with(BODY));
    // The FNV-1a hash, of 128 bits, of what the upstream sent.
    taken(
        &mut proxy,
        "tcp_data_hashes",
        &fnv(format!("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{BODY}").as_bytes()),
    );
}

/// Waits until the sender has put this item into a queue and the receiver has taken it out.
fn taken(proxy: &mut Proxy, queue: &str, item: &str) {
    let log = proxy.wait_for(item);
    assert!(log.contains(&format!("enqueued data: {item}")), "{log}");
    let log = proxy.wait_count(item, 2);
    let out = |l: &str| l.contains(&format!("dequeued data from {queue}(queueID=")) && l.contains(item);
    assert!(log.lines().any(out), "{item} did not come out of {queue}:\n{log}");
}

fn fnv(bytes: &[u8]) -> String {
    let offset = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
    let hash = bytes.iter().fold(offset, |hash, b| (hash ^ u128::from(*b)).wrapping_mul((1 << 88) + 0x13b));
    format!("{hash:032x}")
}
