//! The admin listener answers while everything else is busy.

use std::{
    fmt::Write as _,
    fs,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{Admin, exposition::Exposition};
use crate::{
    harness::{Proxy, chain_yaml},
    swap::version::Version,
};

const FILTERS: usize = 64;
/// What is asked for, beside `/metrics` and `/events`.
const PAGES: [&str; 7] =
    ["/live", "/ready", "/filters", "/config?origins=true", "/upstreams", "/routes/explain?path=/", "/debug/requests"];

/// A filter that takes a while to compile; no two are the same.
fn large(number: usize) -> Vec<u8> {
    let mut text = String::from(
        "(module (memory (export \"memory\") 1) (func (export \"malloc\") (param i32) (result i32) (i32.const 1024))
           (func (export \"proxy_abi_version_0_2_1\"))",
    );
    for function in 0..40 {
        let step = |n: usize| {
            let address = (number * 7 + function * 11 + n) % 60_000;
            format!("(local.set 0 (i32.mul (i32.add (local.get 0) (i32.load (i32.const {address}))) (i32.const {n})))")
        };
        let body: String = (1..60).map(step).collect();
        write!(text, "(func (param i32) (result i32) {body} (local.get 0))").unwrap();
    }
    wat::parse_str(text + ")").unwrap()
}

#[test]
fn it_answers_while_filters_compile_and_the_workers_are_saturated() {
    let dir = TempDir::new().unwrap();
    let small = Version::new("1").module();
    let names: Vec<_> = (0..FILTERS).map(|n| (format!("f{n}"), format!("DIR/f{n}.wasm"))).collect();
    for n in 0..FILTERS {
        fs::write(dir.path().join(format!("f{n}.wasm")), &small).unwrap();
    }
    // A machine that is too busy is what this test is about; the filters are not to blame.
    let limits = "limits: { cpu_per_call: 10s, cpu_per_request: 60s }";
    let chain: Vec<_> = names.iter().map(|(name, path)| (name.as_str(), path.as_str(), limits)).collect();
    let extra = "reload: { watch: false }\nadmin: { address: \"127.0.0.1:0\", requests: 100 }\nserver: { cache: off, workers: 2 }\n";
    let proxy = Proxy::start_in(dir, &chain_yaml(&chain, None, extra));
    let admin = Admin::of(&proxy);
    for n in 0..FILTERS {
        fs::write(proxy.dir.path().join(format!("f{n}.wasm")), large(n)).unwrap();
    }
    let stop = AtomicBool::new(false);
    let (rounds, longest) = thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = proxy.client();
                while !stop.load(Relaxed) {
                    assert_eq!(client.request("GET /", &[], "").status(), 200);
                }
            });
        }
        let reload = scope.spawn(|| admin.post("/reload", ""));
        let (mut rounds, mut longest) = (0, Duration::ZERO);
        while !reload.is_finished() {
            for path in PAGES {
                let asked = Instant::now();
                assert_eq!(admin.get(path).status(), 200, "{path}");
                longest = longest.max(asked.elapsed());
            }
            Exposition::read(&admin.get("/metrics").text());
            let events = admin.get("/events").json();
            let swapped = |event: &Value| event["event"] == "swapped";
            // Every answer of this round came before the end of the swap.
            rounds += usize::from(events.as_array().unwrap().iter().filter(|event| swapped(event)).count() == 1);
        }
        stop.store(true, Relaxed);
        let answer = reload.join().unwrap();
        assert_eq!(answer.status(), 200, "{answer:?}");
        assert_eq!(answer.json()["filters"].as_object().unwrap().len(), FILTERS);
        (rounds, longest)
    });
    println!("{rounds} rounds while {FILTERS} filters were compiled; the longest answer took {longest:?}");
    assert!(rounds >= 1, "no answer came before the end of the swap");
}

/// A filter that computes until its budget is used up.
fn endless() -> Vec<u8> {
    let text = r#"(module (memory (export "memory") 1) (func (export "malloc") (param i32) (result i32) (i32.const 1024))
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (loop $l (br $l)) (i32.const 0)))"#;
    wat::parse_str(text).unwrap()
}

#[test]
fn it_answers_while_a_filter_has_every_worker() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("f.wasm"), endless()).unwrap();
    let extra = "admin: { address: \"127.0.0.1:0\" }\nserver: { workers: 1 }\n";
    let limits = "limits: { cpu_per_call: 4s, cpu_per_request: 4s }";
    let proxy = Proxy::start_in(dir, &chain_yaml(&[("f", "DIR/f.wasm", limits)], None, extra));
    let admin = Admin::of(&proxy);
    let over = AtomicBool::new(false);
    let (mut rounds, mut longest) = (0, Duration::ZERO);
    thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(proxy.client().request("GET /", &[], "").status(), 503);
            over.store(true, Relaxed);
        });
        Exposition::wait(admin, &[("http_server_active_requests", 1.0)]);
        while !over.load(Relaxed) {
            for path in PAGES.into_iter().chain(["/metrics", "/events"]) {
                let asked = Instant::now();
                assert_eq!(admin.get(path).status(), 200, "{path}");
                longest = longest.max(asked.elapsed());
            }
            // Every answer of this round came before that of the only worker.
            rounds += usize::from(!over.load(Relaxed));
        }
    });
    println!("{rounds} rounds of {} pages while the worker computed; the longest took {longest:?}", PAGES.len() + 2);
    assert!(rounds >= 1, "no answer came before that of the worker");
}
