//! Hot swaps: files change under a proxy that serves, and nobody notices but by the new version.

mod files;
mod long;
mod probe;
mod rollback;
pub mod version;

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
};

use tempfile::TempDir;

use self::version::{Version, put, version_of};
use crate::harness::{Client, Origin, Proxy, Reply, chain_yaml};

/// Version 1 of a filter that says its version, served from `DIR/v.wasm`.
pub fn serving_version_1(more: &str, extra: &str) -> Proxy {
    let dir = TempDir::new().unwrap();
    put(dir.path(), &Version::new("1"));
    Proxy::start_in(dir, &chain_yaml(&[("v", "DIR/v.wasm", more)], None, extra))
}

#[test]
fn swaps_under_load_fail_no_request_and_each_meets_one_version() {
    for isolation in ["shared", "request"] {
        let mut proxy = serving_version_1(&format!("isolation: {isolation}"), "reload: { debounce: 10ms }\n");
        let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let (mut client, mut last) = (proxy.client(), 1);
                    while !stop.load(Relaxed) {
                        let version: usize = version_of(&mut client).parse().unwrap();
                        assert!(version >= last, "{version} after {last}");
                        last = version;
                        served.fetch_add(1, Relaxed);
                    }
                });
            }
            let mut client = proxy.client();
            for version in 2..=20 {
                put(proxy.dir.path(), &Version::new(&version.to_string()));
                while version_of(&mut client) != version.to_string() {}
            }
            stop.store(true, Relaxed);
        });
        assert!(served.load(Relaxed) > 100, "{}", served.load(Relaxed));
        proxy.wait_count("the new configuration serves", 19);
        assert!(!proxy.log().contains("refused"), "{}", proxy.log());
        let lines = proxy.access(served.load(Relaxed));
        let failed = lines.iter().filter(|line| line["status"] != 200).count();
        assert_eq!(failed, 0);
    }
}

#[test]
fn changes_within_the_debounce_are_one_swap_of_everything() {
    let dir = TempDir::new().unwrap();
    put(dir.path(), &Version::new("1"));
    fs::write(dir.path().join("w.wasm"), Version::new("1").named("x-other").module()).unwrap();
    let chain = [("v", "DIR/v.wasm", ""), ("w", "DIR/w.wasm", "")];
    let mut proxy = Proxy::start_in(dir, &chain_yaml(&chain, None, "reload: { debounce: 1s }\n"));
    put(proxy.dir.path(), &Version::new("2"));
    fs::write(proxy.dir.path().join("w.wasm"), Version::new("2").named("x-other").module()).unwrap();
    let log = proxy.wait_for("the new configuration serves");
    assert!(log.contains("filters=\"v,w\""), "{log}");
    let answer = proxy.client().request("GET /", &[], "");
    assert_eq!((answer.header("x-version"), answer.header("x-other")), ("2".into(), "2".into()));
}

#[test]
fn filters_that_did_not_change_stay_warm_and_upstreams_keep_their_connections() {
    let origin = Origin::start(|_| Reply::ok("origin"));
    let dir = TempDir::new().unwrap();
    put(dir.path(), &Version::new("1"));
    fs::write(dir.path().join("counts.wasm"), version::counter()).unwrap();
    let chain = [("v", "DIR/v.wasm", ""), ("counts", "DIR/counts.wasm", "")];
    let extra = "server: { workers: 1 }\n";
    let mut proxy = Proxy::start_in(dir, &chain_yaml(&chain, Some(origin.address), extra));
    let mut client = proxy.client();
    let count = |client: &mut Client| client.request("GET /", &[], "").header("x-count");
    assert_eq!((count(&mut client), count(&mut client)), ("1".into(), "2".into()));
    put(proxy.dir.path(), &Version::new("2"));
    let log = proxy.wait_for("the new configuration serves");
    assert!(log.contains("filters=\"v\""), "{log}");
    assert_eq!(count(&mut client), "3", "its guest lives on");
    let reused: Vec<_> = proxy.access(3).iter().map(|line| line["upstream_reused"].clone()).collect();
    assert_eq!(reused, [false, true, true], "the third went over the connection of the second");
    // Its configuration makes it another filter.
    let yaml = fs::read_to_string(proxy.dir.path().join("sluice.yaml")).unwrap();
    let changed = yaml.replace("counts.wasm\" }", "counts.wasm\" }, config: new");
    assert_ne!(changed, yaml);
    fs::write(proxy.dir.path().join("sluice.yaml"), changed).unwrap();
    proxy.wait_count("the new configuration serves", 2);
    assert_eq!(count(&mut client), "1", "a new guest");
}

#[test]
fn what_is_broken_or_gone_changes_nothing_until_it_is_whole() {
    let mut proxy = serving_version_1("", "");
    let (module, config) = (proxy.dir.path().join("v.wasm"), proxy.dir.path().join("sluice.yaml"));
    let mut client = proxy.client();
    fs::write(&module, "no module").unwrap();
    proxy.wait_count("the new configuration is refused", 1);
    assert!(proxy.log().contains("is not a WebAssembly module"));
    assert_eq!(version_of(&mut client), "1");
    fs::remove_file(&module).unwrap();
    proxy.wait_count("the new configuration is refused", 2);
    assert!(proxy.log().contains("cannot be read"));
    assert_eq!(version_of(&mut client), "1");
    // A module that traps when it starts, and one that lies within a wrong configuration.
    fs::write(&module, Version::new("3").trapping_at_start().module()).unwrap();
    proxy.wait_count("the new configuration is refused", 3);
    let good = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{good}nonsense: 1\n")).unwrap();
    proxy.wait_count("the new configuration is refused", 4);
    put(proxy.dir.path(), &Version::new("4"));
    proxy.wait_count("the new configuration is refused", 5);
    assert_eq!(version_of(&mut client), "1", "an error anywhere changes nothing");
    fs::write(&config, good).unwrap();
    proxy.wait_for("the new configuration serves");
    assert_eq!(version_of(&mut client), "4");
}
