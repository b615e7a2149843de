//! `/filters` while more than one generation serves, and after something went wrong.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{Admin, exposition::Exposition, serving_version_1, swap_to};
use crate::{
    harness::{Proxy, chain_yaml},
    swap::version::Version,
};

#[test]
fn generations_on_their_way_out_are_shown_with_what_they_still_serve() {
    let proxy = serving_version_1("");
    let admin = Admin::of(&proxy);
    let first = admin.get("/filters/v").json()["digest"].clone();
    assert_eq!(admin.get("/filters").json()["draining"], json!([]));
    // A request that is not whole keeps the generation that it began with.
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n1");
    let guests = r#"sluice_filter_instances{filter="v"}"#;
    let met = r#"sluice_filter_exchanges_total{filter="v"}"#;
    Exposition::wait(admin, &[(met, 1.0)]);
    let before = Exposition::read(&admin.get("/metrics").text()).value(guests);
    swap_to(&proxy, "2");
    // The new one is shown first, and the old one a moment later.
    Exposition::wait(admin, &[(guests, 2.0 * before), ("sluice_generations_draining", 1.0)]);
    let shown = admin.get("/filters").json();
    let (old, filter) = (&shown["draining"][0], &shown["filters"][0]);
    assert_eq!((&old["generation"], &old["requests"]), (&1.into(), &1.into()), "{shown}");
    assert_eq!(filter["draining"], json!([{ "generation": 1, "digest": first }]));
    assert_eq!(admin.get("/filters/v").json()["draining"], filter["draining"]);
    client.send("2");
    assert_eq!(client.read().status(), 200);
    let began = Instant::now();
    while admin.get("/filters").json()["draining"] != json!([]) {
        assert!(began.elapsed() < Duration::from_secs(30), "it never ends");
        thread::sleep(Duration::from_millis(10));
    }
    let last = Exposition::wait(admin, &[(guests, before), ("sluice_generations_draining", 0.0)]);
    // `swap_to` asked the new version, and the old one met the request that has ended now.
    assert!(last.value(met) >= 2.0);
}

#[test]
fn what_went_wrong_last_is_shown_with_the_version_that_it_happened_to() {
    let dir = tempfile::TempDir::new().unwrap();
    fs::write(dir.path().join("v.wasm"), Version::new("1").trapping_every(2).module()).unwrap();
    let extra = "reload: { debounce: 10ms }\nadmin: { address: \"127.0.0.1:0\" }\nserver: { workers: 1 }\n";
    let proxy = Proxy::start_in(dir, &chain_yaml(&[("v", "DIR/v.wasm", "")], None, extra));
    let admin = Admin::of(&proxy);
    let shown = || admin.get("/filters/v").json();
    assert_eq!(shown()["last_error"], Value::Null);
    let mut client = proxy.client();
    assert_eq!([0, 1].map(|_| client.request("GET /", &[], "").status()), [200, 503]);
    let (wrong, digest) = (shown()["last_error"].clone(), shown()["digest"].clone());
    assert_eq!(
        (&wrong["kind"], &wrong["phase"], &wrong["digest"]),
        (&"trap".into(), &"request_headers".into(), &digest)
    );
    assert!(wrong["message"].as_str().unwrap().contains("unreachable"), "{wrong}");
    assert!(wrong["time"].as_str().unwrap() >= shown()["since"].as_str().unwrap(), "{wrong}");
    swap_to(&proxy, "2");
    assert_eq!(shown()["last_error"], wrong, "it is told after the swap too");
}
