//! Every example of the two official SDKs, built as its users build it, does in a real `sluice` what it promises.
//!
//! `make sdk-examples`; or `tools/sdk-examples.sh`, and then `cargo test -p sluicegate --test sdk_examples [part of a
//! name]`. What each example shows, and what is not as in Envoy, stands in tests/wild/README.md.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    dead_code,
    unused_imports,
    reason = "a test fails by panicking, and it uses a part of the helpers of tests/serve"
)]

mod go;
mod harness;
mod rust;

use std::{collections::BTreeSet, fs};

use harness::root;

/// What is tested here; a new example of an SDK has to get a test.
const EXAMPLES: [&str; 26] = [
    "go-dispatch_call_on_tick",
    "go-foreign_call_on_tick",
    "go-helloworld",
    "go-http_auth_random",
    "go-http_body",
    "go-http_body_chunk",
    "go-http_headers",
    "go-http_routing",
    "go-json_validation",
    "go-metrics",
    "go-multiple_dispatches",
    "go-network",
    "go-postpone_requests",
    "go-properties",
    "go-shared_data",
    "go-shared_queue-receiver",
    "go-shared_queue-sender",
    "go-vm_plugin_configuration",
    "rust-envoy_filter_metadata",
    "rust-envoy_tcp_routing",
    "rust-grpc_auth_random",
    "rust-hello_world",
    "rust-http_auth_random",
    "rust-http_body",
    "rust-http_config",
    "rust-http_headers",
];

/// The path of a built example; fails with the command that builds it.
fn example(name: &str) -> String {
    assert!(EXAMPLES.contains(&name), "{name} is not in the list of examples");
    let path = root().join(format!(".build/sdk-examples/{name}.wasm"));
    assert!(path.exists(), "{} is missing: run `tools/sdk-examples.sh`", path.display());
    path.display().to_string()
}

#[test]
fn every_example_that_was_built_has_a_test() {
    let folder = root().join(".build/sdk-examples");
    let entries = fs::read_dir(&folder).expect("run `tools/sdk-examples.sh` first");
    let names =
        entries.filter_map(|e| e.unwrap().file_name().into_string().ok()?.strip_suffix(".wasm").map(str::to_owned));
    let wanted: BTreeSet<String> = EXAMPLES.map(str::to_owned).into();
    assert_eq!(names.collect::<BTreeSet<_>>(), wanted);
}
