//! `sluice new`: what it writes builds, passes its probes and serves.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::harness::{Proxy, root};

fn sluice(args: &[&str], dir: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.args(args).current_dir(dir).env("NO_COLOR", "1").env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Begins a filter in a folder of its own, which it fills itself.
fn begin(language: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    let made = sluice(&["new", "say-it", "--lang", language, "--into", "."], dir.path());
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert!(text(&made.stdout).contains("sluice run -c sluice.yaml"), "{}", text(&made.stdout));
    dir
}

/// Builds it into the place where its configuration looks for it. What it needs was fetched for the fixtures.
fn build(arguments: &[&str], dir: &Path) {
    let mut command = Command::new(root().join("tools/guest-toolchain.sh"));
    let built = command.args(arguments).current_dir(dir).env("CARGO_NET_OFFLINE", "true").output().unwrap();
    assert!(built.status.success(), "{}", text(&built.stderr));
}

/// Passes its probes, serves, and a version that does not pass them never does.
fn greets(dir: TempDir, module: &str) {
    let file = dir.path().join("sluice.yaml");
    let yaml = fs::read_to_string(&file).unwrap().replace("127.0.0.1:8080", "127.0.0.1:0");
    fs::write(&file, &yaml).unwrap();
    let checked = sluice(&["check", "-c", "sluice.yaml"], dir.path());
    assert!(checked.status.success(), "{}{}", text(&checked.stdout), text(&checked.stderr));
    let mut proxy = Proxy::start_in(dir, &yaml);
    let mut client = proxy.client();
    let answer = client.request("GET /", &[], "");
    assert_eq!((answer.header("x-greeting"), answer.echoed("x-greeting")), ("hello".into(), Some("hello".into())));
    let denied = client.request("GET /", &["x-deny: 1"], "");
    assert_eq!((denied.status(), denied.text()), (403, "denied\n".into()));
    let module = proxy.dir.path().join(module);
    fs::copy(root().join(".build/fixtures/noop.wasm"), module.with_extension("part")).unwrap();
    fs::rename(module.with_extension("part"), &module).unwrap();
    let log = proxy.wait_for("upstream and client are greeted");
    assert!(log.contains("the old one goes on serving"), "{log}");
    assert_eq!(client.request("GET /", &[], "").header("x-greeting"), "hello");
}

#[test]
fn a_new_filter_in_rust_builds_and_greets() {
    let dir = begin("rust");
    let module = "target/wasm32-wasip1/release/say_it.wasm";
    build(&["build-rust", ".", "wasm32-wasip1", module], dir.path());
    greets(dir, module);
}

#[test]
fn a_new_filter_in_go_builds_and_greets() {
    let dir = begin("go");
    build(&["build-go", ".", "say-it.wasm"], dir.path());
    greets(dir, "say-it.wasm");
}

#[test]
fn nothing_of_the_template_is_left_and_nothing_is_overwritten() {
    let rust = ["Cargo.toml", "src/lib.rs", ".cargo/config.toml"];
    for (language, own) in [("rust", &rust[..]), ("go", &["go.mod", "go.sum", "main.go"][..])] {
        let dir = begin(language);
        for file in own.iter().chain(&["README.md", ".gitignore", "sluice.yaml", "probe.yaml"]) {
            let text = fs::read_to_string(dir.path().join(file)).unwrap();
            for left in ["my-filter", "my_filter", "MODULE"] {
                assert!(!text.contains(left), "{left} in {file}");
            }
        }
        let again = sluice(&["new", "other", "--into", "."], dir.path());
        assert_eq!(again.status.code(), Some(1));
        assert!(text(&again.stderr).contains("has files in it already, and nothing was written"), "{again:?}");
        assert!(fs::read_to_string(dir.path().join("sluice.yaml")).unwrap().contains("say-it:"));
    }
    let dir = TempDir::new().unwrap();
    for name in ["", "Filter", "1st", "a b", "../up", "a.b"] {
        let refused = sluice(&["new", name], dir.path());
        assert_eq!(refused.status.code(), Some(2), "{name}");
        assert!(text(&refused.stderr).contains("a small letter, then"), "{name}: {refused:?}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
