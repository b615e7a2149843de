//! Filters that are taken out of every chain and put back.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Admin, exposition::Exposition};
use crate::{
    harness::{Client, Proxy, chain_yaml},
    swap::version::{Version, put},
};

const OFF: &str = r#"sluice_filter_disabled{filter="v"}"#;

/// `v`, which fails open, and `guard`, which does not.
fn serving() -> Proxy {
    let dir = TempDir::new().unwrap();
    put(dir.path(), &Version::new("1"));
    fs::write(dir.path().join("guard.wasm"), Version::new("on").named("x-guard").module()).unwrap();
    let chain = [("v", "DIR/v.wasm", "on_error: fail_open"), ("guard", "DIR/guard.wasm", "")];
    let extra = "admin: { address: \"127.0.0.1:0\" }\nreload: { debounce: 10ms }\n";
    Proxy::start_in(dir, &chain_yaml(&chain, None, extra))
}

/// What both filters say of one more request.
fn met(client: &mut Client) -> [String; 2] {
    let answer = client.request("GET /", &[], "");
    assert_eq!(answer.status(), 200, "{answer:?}");
    ["x-version", "x-guard"].map(|name| answer.header(name))
}

fn chain(admin: Admin) -> Value {
    admin.get("/routes/explain?path=/").json()["route"]["filters"].clone()
}

#[test]
fn a_filter_that_is_disabled_meets_no_new_request_until_it_is_enabled() {
    let mut proxy = serving();
    let admin = Admin::of(&proxy);
    let mut client = proxy.client();
    assert_eq!(met(&mut client), ["1", "on"]);
    // One that is under way keeps the chain that it began with.
    let mut open = proxy.client();
    open.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n1");
    Exposition::wait(admin, &[(r#"sluice_filter_exchanges_total{filter="v"}"#, 2.0), (OFF, 0.0)]);

    let answer = admin.post("/filters/v/disable", "");
    assert_eq!((answer.status(), &answer.json()["generation"]), (200, &2.into()), "{answer:?}");
    assert_eq!(met(&mut client), ["", "on"], "on the same connection");
    open.send("2");
    assert_eq!(open.read().header("x-version"), "1");
    assert_eq!(admin.get("/filters/v").json()["disabled"], true);
    assert_eq!(admin.get("/filters/guard").json()["disabled"], false);
    Exposition::wait(admin, &[(OFF, 1.0)]);
    assert_eq!(
        chain(admin),
        json!([{ "filter": "v", "config": null, "disabled": true }, { "filter": "guard", "config": null, "disabled": false }])
    );
    let lines = proxy.access(3);
    let chains: Vec<_> = lines.iter().map(|line| line["filters"].as_array().unwrap().len()).collect();
    let mut sorted = chains.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [1, 2, 2], "it stands in no line: {lines:?}");
    // Once more is no news.
    let again = admin.post("/filters/v/disable", "");
    assert_eq!((again.status(), &again.json()["generation"]), (200, &2.into()));

    // It stays through swaps of whatever else, and of itself.
    assert_eq!(admin.post("/reload", "").status(), 200);
    assert_eq!(met(&mut client), ["", "on"]);
    proxy.wait_for("the filter stays disabled until somebody enables it");
    put(proxy.dir.path(), &Version::new("2"));
    proxy.wait_count("the new configuration serves", 3);
    assert_eq!(met(&mut client), ["", "on"]);
    assert_eq!(admin.post("/filters/v/enable", "").status(), 200);
    assert_eq!(met(&mut client), ["2", "on"]);
    Exposition::wait(admin, &[(OFF, 0.0)]);

    let events = admin.get("/events").json();
    let causes = events.as_array().unwrap().iter().filter(|e| e["event"] == "swapped").map(|e| &e["cause"]);
    let causes: Vec<_> = causes.collect();
    let kinds: Vec<_> = causes.iter().map(|cause| cause["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["start", "disable", "admin", "files", "enable"]);
    assert_eq!(causes[1]["filter"], "v");
    assert!(causes[1]["client"].as_str().unwrap().starts_with("127.0.0.1:"), "{events}");
}

#[test]
fn a_safeguard_is_disabled_by_force_only() {
    let proxy = serving();
    let admin = Admin::of(&proxy);
    let refused = admin.post("/filters/guard/disable", "");
    assert_eq!(refused.status(), 409, "{refused:?}");
    let why = refused.json()["error"].as_str().unwrap().to_owned();
    assert!(why.contains("`on_error: fail_closed`") && why.contains("?force=true"), "{why}");
    let mut client = proxy.client();
    assert_eq!(met(&mut client), ["1", "on"]);
    assert_eq!(admin.post("/filters/guard/disable?force=true", "").status(), 200);
    assert_eq!(met(&mut client), ["1", ""]);
    assert_eq!(admin.post("/filters/guard/enable", "").status(), 200);
    assert_eq!(met(&mut client), ["1", "on"]);
    for (path, status) in
        [("/filters/w/disable", 404), ("/filters/w/enable", 404), ("/filters/v/disable?force=perhaps", 400)]
    {
        let answer = admin.post(path, "");
        assert!(answer.status() == status && answer.json()["error"].is_string(), "{path}: {answer:?}");
    }
}

#[test]
fn a_filter_that_left_the_configuration_begins_anew_when_it_comes_back() {
    let mut proxy = serving();
    let admin = Admin::of(&proxy);
    assert_eq!(admin.post("/filters/v/disable", "").status(), 200);
    let file = proxy.dir.path().join("sluice.yaml");
    let with = fs::read_to_string(&file).unwrap();
    let without: String = with.lines().filter(|l| !l.starts_with("  v:")).map(|l| format!("{l}\n")).collect();
    fs::write(&file, without.replace("[v, guard]", "[guard]")).unwrap();
    proxy.wait_count("the new configuration serves", 2);
    assert_eq!(admin.post("/filters/v/enable", "").status(), 404);
    fs::write(&file, with).unwrap();
    proxy.wait_count("the new configuration serves", 3);
    assert_eq!(met(&mut proxy.client()), ["1", "on"]);
}

#[test]
fn the_command_line_lists_disables_and_enables() {
    let proxy = serving();
    let admin = Admin::of(&proxy);
    let (status, text) = admin.command(&["disable", "guard"]);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.starts_with("error: filter `guard` is `on_error: fail_closed`") && text.contains("--force"), "{text}");
    let (status, text) = admin.command(&["disable", "guard", "--force"]);
    assert_eq!((status, &*text), (Some(0), "guard is disabled: no new request meets it (generation 2 serves)\n"));
    assert_eq!(met(&mut proxy.client()), ["1", ""]);
    let (status, text) = admin.command(&["filters"]);
    assert_eq!(status, Some(0), "{text}");
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("FILTER") && lines[1].starts_with("v ") && lines[1].contains(" serves "), "{text}");
    assert!(lines[2].starts_with("guard ") && lines[2].contains(" disabled "), "{text}");
    let (status, text) = admin.command(&["enable", "guard"]);
    assert_eq!((status, &*text), (Some(0), "guard is enabled (generation 3 serves)\n"));
    assert_eq!(met(&mut proxy.client()), ["1", "on"]);
    let (status, text) = admin.command(&["enable", "nobody"]);
    assert_eq!((status, &*text), (Some(1), "error: there is no filter `nobody`\n"));
}
