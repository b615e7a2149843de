//! What an embedder can read of the caps of a filter: how often each was met, over reloads, and the memory in use.

#![allow(clippy::expect_used, reason = "a test")]

use std::{sync::Arc, time::Duration};

use sluice_host::{Cap, Caps, EngineOptions, Filter, FilterSpec, Host, Isolation};
use sluice_replay::Stage;

/// Defines two metrics while it is configured.
const GUEST: &str = r#"(module
  (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1) (data (i32.const 0) "ab")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (drop (call $define (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (drop (call $define (i32.const 0) (i32.const 1) (i32.const 1) (i32.const 8)))
    (i32.const 1)))"#;

#[test]
fn hits_are_counted_over_loads_and_memory_for_each_load() {
    let options = EngineOptions { max_guests: 8, ..EngineOptions::default() };
    let host = Host::new(options, Arc::new(Stage)).expect("a host");
    let code = host.compile(&wat::parse_str(GUEST).expect("valid text"), Isolation::Shared).expect("a filter");
    let load = |metrics: usize| {
        let spec = FilterSpec {
            cpu_per_call: Duration::from_secs(5),
            cpu_per_request: Duration::from_secs(5),
            cpu_start: Duration::from_secs(5),
            memory: 1 << 20,
            caps: Caps { metrics, memory_total: 1 << 20, ..Caps::default() },
            ..FilterSpec::new("f", code.clone())
        };
        host.load(&spec, 2).expect("it loads")
    };
    let hits = |filter: &Filter| filter.capped().filter(|(_, hits)| *hits > 0).collect::<Vec<_>>();
    let first = load(1);
    // Each of two guests was refused a metric of its own.
    assert_eq!((hits(&first), first.usage().memory), (vec![(Cap::Metrics, 2)], 2 << 16));
    let second = load(1);
    assert_eq!((hits(&second), second.usage().memory), (vec![(Cap::Metrics, 4)], 2 << 16));
    drop(first);
    assert_eq!((hits(&second), second.usage().memory), (vec![(Cap::Metrics, 4)], 2 << 16));
}
