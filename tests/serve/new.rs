//! `sluice new`, `build`, `test` and `dev`: what is begun builds, passes its probes and serves, and what changes serves next.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::harness::{Client, Proxy, chain_yaml, fixture, root};

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
    assert!(text(&made.stdout).contains("  sluice dev "), "{}", text(&made.stdout));
    dir
}

/// The same, with the tools of this machine that build guests. What they need was fetched for the fixtures.
fn with_tools(args: &[&str], dir: &Path) -> Command {
    let mut command = Command::new(root().join("tools/guest-toolchain.sh"));
    command.args(["run", "wasm32-wasip1", env!("CARGO_BIN_EXE_sluice")]).args(args).current_dir(dir);
    command.env("NO_COLOR", "1").env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR")).env("CARGO_NET_OFFLINE", "true");
    command
}

/// Builds it, tests it and checks it.
fn builds(dir: &TempDir) {
    let built = with_tools(&["build"], dir.path()).output().unwrap();
    assert!(built.status.success(), "{}", text(&built.stderr));
    let name = dir.path().file_name().unwrap().to_str().unwrap();
    assert!(text(&built.stderr).contains(&format!("built: ./{name}.wasm (")), "{}", text(&built.stderr));
    let again = with_tools(&["build", "-c", "sluice.yaml"], dir.path()).output().unwrap();
    assert!(text(&again.stderr).contains(&format!("as before: ./{name}.wasm (")), "{}", text(&again.stderr));

    let tested = sluice(&["test"], dir.path());
    assert!(tested.status.success(), "{}{}", text(&tested.stdout), text(&tested.stderr));
    assert!(text(&tested.stdout).contains("  ok      upstream and client are greeted\n"), "{}", text(&tested.stdout));
    assert!(text(&tested.stdout).ends_with("2 ok, 0 failed\n"), "{}", text(&tested.stdout));
    let checked = sluice(&["check", "-c", "sluice.yaml"], dir.path());
    assert!(checked.status.success(), "{}{}", text(&checked.stdout), text(&checked.stderr));
}

/// Serves it as `sluice dev` does, until what the log has to hold is there.
fn develop(dir: TempDir) -> Proxy {
    let file = dir.path().join("sluice.yaml");
    let yaml = fs::read_to_string(&file).unwrap().replace("127.0.0.1:8080", "127.0.0.1:0");
    fs::write(&file, yaml).unwrap();
    let command = with_tools(&["dev"], dir.path());
    Proxy::spawn(dir, command)
}

fn greets(client: &mut Client) {
    let answer = client.request("GET /", &[], "");
    assert_eq!((answer.header("x-greeting"), answer.echoed("x-greeting")), ("hello".into(), Some("hello".into())));
    assert_eq!(client.request("GET /", &["x-deny: 1"], "").status(), 403);
}

/// Changes the source, as an editor does.
fn edit(file: &Path, change: impl FnOnce(String) -> String) {
    let text = fs::read_to_string(file).unwrap();
    fs::write(file.with_extension("new~"), change(text)).unwrap();
    fs::rename(file.with_extension("new~"), file).unwrap();
}

#[test]
fn a_new_filter_in_rust_is_built_tested_and_served_as_its_source_changes() {
    let dir = begin("rust");
    builds(&dir);
    let mut proxy = develop(dir);
    let mut client = proxy.client();
    greets(&mut client);
    let source = proxy.dir.path().join("src/lib.rs");

    edit(&source, |text| text.replace("denied", "not for you"));
    proxy.wait_for("the new configuration serves");
    assert_eq!(client.request("GET /", &["x-deny: 1"], "").text(), "not for you\n");

    edit(&source, |text| format!("{text}\nthis is no Rust"));
    let log = proxy.wait_for("`cargo` did not build it");
    assert!(log.contains("this is no Rust"), "the compiler's own words are there: {log}");
    greets(&mut client);

    edit(&source, |text| text.replace("\nthis is no Rust", "").replace("x-greeting", "x-other"));
    let log = proxy.wait_for("upstream and client are greeted");
    assert!(log.contains("the old one goes on serving"), "{log}");
    greets(&mut client);

    let tested = sluice(&["test"], proxy.dir.path());
    let said = text(&tested.stdout);
    assert_eq!(tested.status.code(), Some(1), "{said}");
    assert!(said.starts_with("probe.yaml\n  FAILED  upstream and client are greeted\n"), "{said}");
    assert!(said.contains("x-greeting") && said.ends_with("1 ok, 1 failed\n"), "{said}");
}

#[test]
fn a_new_filter_in_go_is_built_tested_and_served_as_its_source_changes() {
    let dir = begin("go");
    builds(&dir);
    let mut proxy = develop(dir);
    let mut client = proxy.client();
    greets(&mut client);
    edit(&proxy.dir.path().join("main.go"), |text| text.replace("denied", "not for you"));
    let log = proxy.wait_for("the new configuration serves");
    assert_eq!(client.request("GET /", &["x-deny: 1"], "").text(), "not for you\n");
    assert_eq!(log.matches("built: ").count(), 1, "{log}");
}

#[test]
fn what_cannot_be_built_or_tested_says_why() {
    let dir = TempDir::new().unwrap();
    let said = |args: &[&str]| {
        let out = sluice(args, dir.path());
        assert_eq!(out.status.code(), Some(1), "{args:?}");
        text(&out.stderr)
    };
    assert!(said(&["build"]).contains("no Cargo.toml and no go.mod"));
    assert!(said(&["build", "nowhere"]).contains("nowhere: no Cargo.toml and no go.mod"));
    fs::write(dir.path().join("go.mod"), "").unwrap();
    let mut without_go = Command::new(env!("CARGO_BIN_EXE_sluice"));
    let out = without_go.arg("build").current_dir(dir.path()).env("PATH", dir.path()).output().unwrap();
    assert!(text(&out.stderr).contains("there is no `go` to build it with (Go 1.24 or later: https://go.dev/dl/)"));

    let noop = fixture("noop");
    fs::write(dir.path().join("sluice.yaml"), chain_yaml(&[("noop", &noop, "")], None, "")).unwrap();
    for command in ["dev", "test"] {
        let words = if command == "dev" { "so there is nothing to build" } else { "there are no probes; name files" };
        assert!(said(&[command]).contains(words), "{command}");
    }
    assert!(said(&["build", "-c", "sluice.yaml"]).contains("no filter has `source: { build: FOLDER }`"));
    let missing = sluice(&["test", "nowhere.yaml"], dir.path());
    assert!(text(&missing.stdout).contains("cannot be read"), "{missing:?}");
}

#[test]
fn nothing_of_the_template_is_left_and_nothing_is_overwritten() {
    let rust = ["Cargo.toml", "src/lib.rs", ".cargo/config.toml"];
    for (language, own) in [("rust", &rust[..]), ("go", &["go.mod", "go.sum", "main.go"][..])] {
        let dir = begin(language);
        for file in own.iter().chain(&["README.md", ".gitignore", "sluice.yaml", "probe.yaml"]) {
            let text = fs::read_to_string(dir.path().join(file)).unwrap();
            for left in ["my-filter", "my_filter"] {
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
