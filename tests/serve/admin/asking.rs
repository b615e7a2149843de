//! What can be asked for, and who is refused.

use std::{fs, net::TcpListener};

use super::{Admin, serving_version_1, swap_to};
use crate::{
    harness::{Proxy, chain_yaml},
    swap::version::version_of,
};

#[test]
fn versions_come_back_by_the_api_and_by_the_command_line() {
    let mut proxy = serving_version_1("");
    let admin = Admin::of(&proxy);
    let digest = || admin.get("/filters/v").json()["digest"].as_str().unwrap().to_owned();
    let first = digest();
    swap_to(&proxy, "2");
    let second = digest();
    assert_ne!(first, second);
    assert_eq!(admin.get("/filters/v").json()["earlier"], serde_json::json!([first]));

    let answer = admin.post("/filters/v/rollback", "");
    assert_eq!((answer.status(), answer.json()["filters"]["v"].as_str()), (200, Some(&*first)), "{answer:?}");
    assert_eq!(answer.json()["generation"], 3);
    assert_eq!(version_of(&mut proxy.client()), "1");
    assert_eq!(admin.get("/filters/v").json()["pinned"], true);

    let (status, text) = admin.command(&["rollback", "v"]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.starts_with(&format!("generation 4 serves: v is {} (built in ", &second[..19])), "{text}");
    assert_eq!(version_of(&mut proxy.client()), "2");
    assert_eq!(admin.get("/filters/v").json()["pinned"], false, "it is what the file says");

    let (status, text) = admin.command(&["rollback", "v", "--to", &first[7..15]]);
    assert_eq!(status, Some(0), "{text}");
    assert_eq!(version_of(&mut proxy.client()), "1");

    // A new version of the file counts again.
    swap_to(&proxy, "3");
    let answer = admin.post(&format!("/filters/v/rollback?to={second}"), "");
    assert_eq!(answer.status(), 200, "{answer:?}");
    assert_eq!(version_of(&mut proxy.client()), "2");
    let answer = admin.post("/filters/v/rollback", &format!("{{\"to\": \"{}\"}}", &first[..20]));
    assert_eq!(answer.status(), 200, "{answer:?}");
    assert_eq!(version_of(&mut proxy.client()), "1");
    proxy.wait_count("cause=\"rollback\"", 5);
}

/// Tells in a header how many requests its guest has seen, which it keeps in memory.
const COUNTS: &str = r#"(module
    (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1) (data (i32.const 0) "x-seen0")
    (func (export "malloc") (param i32) (result i32) (i32.const 1024))
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
      (i32.store8 (i32.const 6) (i32.add (i32.load8_u (i32.const 6)) (i32.const 1)))
      (drop (call $add (i32.const 2) (i32.const 0) (i32.const 6) (i32.const 6) (i32.const 1))) (i32.const 0)))"#;

#[test]
fn one_filter_begins_anew_although_nothing_changed() {
    let dir = tempfile::TempDir::new().unwrap();
    for name in ["a", "b"] {
        fs::write(dir.path().join(format!("{name}.wasm")), wat::parse_str(COUNTS).unwrap()).unwrap();
    }
    let more = "server: { workers: 1 }\nreload: { watch: false }\nadmin: { address: \"127.0.0.1:0\" }\n";
    let yaml = chain_yaml(&[("a", "DIR/a.wasm", ""), ("b", "DIR/b.wasm", "")], None, more);
    let proxy = Proxy::start_in(dir, &yaml);
    let admin = Admin::of(&proxy);
    let mut client = proxy.client();
    // The chain backward: that of `b` first.
    let mut seen = || client.request("GET /", &[], "").header("x-seen");
    assert_eq!((seen(), seen()), ("1, 1".into(), "2, 2".into()));

    let answer = admin.post("/filters/a/reload", "");
    assert_eq!((answer.status(), answer.json()["generation"].as_u64()), (200, Some(2)), "{answer:?}");
    assert_eq!(answer.json()["filters"].as_object().map(|filters| filters.len()), Some(1), "{answer:?}");
    assert_eq!((seen(), seen()), ("3, 1".into(), "4, 2".into()), "only `a` is new");
    assert_eq!(admin.get("/filters/a").json()["earlier"], serde_json::json!([]), "it is the same version");

    // What its file holds now.
    fs::write(proxy.dir.path().join("b.wasm"), wat::parse_str(COUNTS.replace("x-seen0", "x-seen4")).unwrap()).unwrap();
    let (status, text) = admin.command(&["reload", "b"]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.starts_with("generation 3 serves: b is sha256:"), "{text}");
    assert_eq!(seen(), "5, 3");

    fs::write(proxy.dir.path().join("b.wasm"), "no module").unwrap();
    let (status, text) = admin.command(&["reload", "b"]);
    assert_eq!(status, Some(1));
    assert!(text.contains("b.wasm") && text.contains("is not a WebAssembly module"), "{text}");
    assert_eq!(seen(), "6, 4", "the one before goes on");
    assert_eq!(admin.post("/filters/c/reload", "").status(), 404);
    assert!(proxy.logged("cause=\"anew\"").contains("generation=3"), "{}", proxy.log());
}

#[test]
fn a_rollback_that_cannot_be_is_refused_in_words() {
    let proxy = serving_version_1("");
    let admin = Admin::of(&proxy);
    let refused = |path: &str, body: &str, status: u16, words: &str| {
        let answer = admin.post(path, body);
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert_eq!(answer.status(), status, "{error}");
        assert!(error.contains(words), "{error}");
    };
    refused("/filters/w/rollback", "", 404, "there is no filter `w`");
    refused("/filters/v/rollback", "", 404, "has had no other version in this process");
    swap_to(&proxy, "2");
    refused("/filters/v/rollback?to=00000000", "", 404, "has had no version 00000000; there are ");
    refused("/filters/v/rollback?to=xyz", "", 400, "hexadecimal");
    refused("/filters/v/rollback?to=", "", 400, "hexadecimal");
    refused("/filters/v/rollback", "{\"two\": 1}", 400, "unknown field `two`");
    refused("/filters/v/rollback", "not JSON", 400, "the body is not");
    refused("/filters/v/rollback", &" ".repeat(5000), 413, "the body cannot be read");
    let (status, text) = admin.command(&["rollback", "v", "--to", "00000000"]);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.starts_with("error: filter `v` has had no version 00000000; there are "), "{text}");
    assert_eq!(version_of(&mut proxy.client()), "2");
    let events = admin.get("/events?since=2");
    assert_eq!(events.json().as_array().unwrap().iter().filter(|e| e["event"] != "drained").count(), 0, "{events:?}");
}

/// A module that starts once in a process: its second guest finds what the first has left, and traps.
fn starts_once() -> Vec<u8> {
    let text = r#"(module
        (import "env" "proxy_get_shared_data" (func $get (param i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_set_shared_data" (func $set (param i32 i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 0) "key")
        (func (export "malloc") (param i32) (result i32) (i32.const 1024))
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
          (if (i32.eqz (call $get (i32.const 0) (i32.const 3) (i32.const 64) (i32.const 68) (i32.const 72)))
            (then unreachable))
          (drop (call $set (i32.const 0) (i32.const 3) (i32.const 0) (i32.const 3) (i32.const 0)))
          (i32.const 1)))"#;
    wat::parse_str(text).unwrap()
}

#[test]
fn a_version_that_starts_no_more_is_refused_and_the_one_that_serves_stays() {
    let dir = tempfile::TempDir::new().unwrap();
    fs::write(dir.path().join("v.wasm"), starts_once()).unwrap();
    let extra = "reload: { debounce: 10ms }\nadmin: { address: \"127.0.0.1:0\" }\nserver: { workers: 1 }\n";
    let proxy = Proxy::start_in(dir, &chain_yaml(&[("v", "DIR/v.wasm", "")], None, extra));
    let admin = Admin::of(&proxy);
    swap_to(&proxy, "2");
    let answer = admin.post("/filters/v/rollback", "");
    assert_eq!(answer.status(), 422, "{answer:?}");
    assert!(answer.json()["error"].as_str().unwrap().contains("filter `v`"), "{answer:?}");
    let (status, text) = admin.command(&["rollback", "v"]);
    assert!(status == Some(1) && text.starts_with("error: filter `v`"), "{text}");
    assert_eq!(version_of(&mut proxy.client()), "2");
    assert_eq!(admin.get("/filters/v").json()["pinned"], false);
    let events = admin.get("/events").json();
    let refused = events.as_array().unwrap().iter().find(|e| e["event"] == "refused").unwrap().clone();
    assert_eq!((&refused["cause"]["kind"], &refused["cause"]["filter"]), (&"rollback".into(), &"v".into()));
}

#[test]
fn a_reload_is_asked_for_and_answers_when_it_serves_or_does_not() {
    let mut proxy = serving_version_1("");
    let admin = Admin::of(&proxy);
    let answer = admin.post("/reload", "");
    assert_eq!((answer.status(), answer.json()["generation"].as_u64()), (200, Some(2)), "{answer:?}");
    let (status, text) = admin.command(&["reload"]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.starts_with("generation 3 serves: no filter is another"), "{text}");
    let file = proxy.dir.path().join("sluice.yaml");
    let good = fs::read_to_string(&file).unwrap();
    // What is looked for in the file of the command line is not what the process was given: port 0.
    let port = admin.0.port();
    fs::write(&file, good.replace("admin: { address: \"127.0.0.1:0\" }", &format!("admin: {{ address: :{port} }}")))
        .unwrap();
    proxy.wait_for("`admin` changed in the file: that needs a restart");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sluice"));
    let output = command.args(["reload", "-c"]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    fs::write(&file, format!("{good}nonsense: 1\n")).unwrap();
    let answer = admin.post("/reload", "");
    assert_eq!(answer.status(), 422);
    assert!(answer.json()["error"].as_str().unwrap().contains("unknown key `nonsense`"), "{answer:?}");
    let (status, text) = admin.command(&["reload"]);
    assert!(status == Some(1) && text.contains("unknown key `nonsense`"), "{text}");
}

#[test]
fn a_page_of_another_site_is_refused() {
    let proxy = serving_version_1("");
    let admin = Admin::of(&proxy);
    let own = format!("Origin: http://{}", admin.0);
    assert_eq!(admin.send("POST", "/reload", &[&own], "").status(), 200);
    for origin in ["Origin: http://evil.example", "Origin: null", "Origin: https://127.0.0.1"] {
        let answer = admin.send("POST", "/reload", &[origin], "");
        assert_eq!(answer.status(), 403, "{origin}");
        assert!(answer.json()["error"].as_str().unwrap().contains("another site"), "{answer:?}");
    }
    for host in [&["Host: evil.example"][..], &[]] {
        assert_eq!(admin.raw("POST", "/filters/v/rollback", host, "").status(), 403);
        assert_eq!(admin.raw("GET", "/config", host, "").status(), 403);
    }
    let port = admin.0.port();
    assert_eq!(admin.raw("GET", "/live", &[&format!("Host: localhost:{port}")], "").status(), 200);
    assert_eq!(admin.get("/events").json().as_array().unwrap().iter().filter(|e| e["event"] == "swapped").count(), 2);
}

#[test]
fn an_address_that_is_taken_is_an_error_that_names_the_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let said = Proxy::refused(&chain_yaml(&[], None, &format!("\nadmin:\n  address: {address}\n")));
    assert!(said.contains(&format!("cannot listen on {address}")), "{said}");
    assert!(said.contains("sluice.yaml:7:3") && said.contains("another program listens there"), "{said}");
}
