//! The real binary on real files: what it prints, and the status it ends with.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

fn sluice(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.args(arguments).env_remove("CLICOLOR_FORCE").output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Ended well, and what it said.
fn good(arguments: &[&str]) -> String {
    let output = sluice(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
    assert!(output.stderr.is_empty(), "{arguments:?}: {}", stderr(&output));
    stdout(&output)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A guest of this repository; `make test` builds them all.
fn guest(path: &str) -> String {
    let file = root().join(path);
    assert!(file.exists(), "{path} is missing: run tools/build-guests.sh (Go guests need Go >= 1.24)");
    file.display().to_string()
}

#[test]
fn help_has_examples_and_no_colour_in_a_pipe() {
    let help = good(&["--help"]);
    for command in ["run", "check", "inspect", "reload", "rollback", "schema", "completions"] {
        assert!(help.contains(&format!("\n  {command}")), "{help}");
        let help = good(&[command, "--help"]);
        assert!(help.contains("Examples:\n  ") && help.contains(&format!("sluice {command}")), "{help}");
    }
    assert!(!help.contains('\u{1b}'), "{help}");
    assert_eq!(good(&["--version"]), format!("sluice {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_wrong_command_line_is_status_2() {
    for arguments in [&[][..], &["serve"], &["run"], &["check", "--jsno", "-c", "x"], &["completions", "dos"]] {
        assert_eq!(sluice(arguments).status.code(), Some(2), "{arguments:?}");
    }
    assert!(stderr(&sluice(&["ispect", "x"])).contains("inspect"), "a near miss is named");
}

#[test]
fn the_schema_is_json_and_knows_the_sections() {
    let schema: Value = serde_json::from_str(&good(&["schema"])).unwrap();
    for section in ["listeners", "filters", "upstreams", "routes"] {
        assert!(schema["properties"][section].is_object(), "{section}");
    }
}

#[test]
fn completions_name_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = good(&["completions", shell]);
        for command in ["run", "check", "inspect", "schema", "completions"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}

#[test]
fn a_closed_pipe_is_no_mistake() {
    let script = format!("'{}' schema | head -n 1", env!("CARGO_BIN_EXE_sluice"));
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(stdout(&output), "{\n");
    assert!(output.stderr.is_empty(), "{}", stderr(&output));
}

#[test]
fn a_rust_filter_is_described() {
    let file = guest("filters/rust/hello/hello.wasm");
    let text = good(&["inspect", &file]);
    for wanted in
        ["Proxy-Wasm 0.2.1", "proxy-wasm 0.2 for Rust", "request headers", "[default]", "proxy_log", "sha256:"]
    {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert!(text.contains("[capabilities.callouts]\n                proxy_http_call"), "{text}");
    assert!(!text.contains("MISSING") && !text.contains("not a filter"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 140), "{text}");
}

#[test]
fn a_rust_filter_is_described_in_json() {
    let file = guest("filters/rust/hello/hello.wasm");
    let report: Value = serde_json::from_str(&good(&["inspect", &file, "--json"])).unwrap();
    assert_eq!(report["abi"], "0.2.1");
    assert_eq!(report["languages"][0], "Rust");
    assert_eq!(report["size"], std::fs::metadata(&file).unwrap().len());
    assert_eq!(report["memory"]["start"]["bytes"], report["memory"]["start"]["pages"].as_u64().unwrap() * 65536);
    assert_eq!(report["digest"].as_str().unwrap().len(), "sha256:".len() + 64);
    assert_eq!(report["imports"]["missing"], Value::Array(vec![]));
    let callout = |h: &&Value| h["name"] == "proxy_http_call";
    let callout = report["imports"]["hostcalls"].as_array().unwrap().iter().find(callout).unwrap();
    assert_eq!(callout["capability"], "capabilities.callouts");
}

#[test]
fn a_go_filter_is_described() {
    let file = guest("filters/go/hello/hello.wasm");
    let text = good(&["inspect", &file]);
    for wanted in ["Proxy-Wasm 0.2.0", "proxy-wasm-go-sdk", "Go cmd/compile", "[capabilities.wasi", "poll_oneoff"] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
}

#[test]
fn every_guest_of_this_repository_can_be_inspected() {
    let mut seen = 0;
    for entry in std::fs::read_dir(root().join(".build/fixtures")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "wasm") {
            let output = sluice(&["inspect", "--json", &file.display().to_string()]);
            assert_eq!(output.status.code(), Some(0), "{}", file.display());
            let report = json(&output);
            assert_eq!(report["imports"]["missing"], Value::Array(vec![]), "{}", file.display());
            assert_eq!(report["problems"], Value::Array(vec![]), "{}", file.display());
            seen += 1;
        }
    }
    assert!(seen >= 15, "{seen} fixtures: run tools/build-guests.sh");
}

#[test]
fn every_guest_loads_with_the_policy_that_it_is_said_to_need() {
    let folder = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(root().join(".build/fixtures")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "wasm") {
            continue;
        }
        let policy = good(&["inspect", "--policy", &file.display().to_string()]).replace('\n', "\n    ");
        let yaml = |policy: &str| {
            format!(
                "listeners: [{{ address: \"127.0.0.1:0\" }}]\nfilters:\n  f:\n    source: {{ path: {} }}\n    limits: {{ cpu_start: 10s }}\n    \
                 {policy}\nupstreams: {{ echo: {{ builtin: echo }} }}\nroutes: [{{ filters: [f], upstream: echo }}]\n",
                file.display()
            )
        };
        let check = |policy: &str| {
            let config = folder.path().join("sluice.yaml");
            std::fs::write(&config, yaml(policy)).unwrap();
            let output = sluice(&["check", "-c", &config.display().to_string()]);
            stdout(&output) + &stderr(&output)
        };
        let said = check(&policy);
        assert!(!said.contains("is not granted"), "{}: {said}", file.display());
        // With one hostcall less it is refused, and the error names it.
        if let Some(line) = policy.lines().find(|line| line.trim_start().starts_with("- proxy_")) {
            let name = line.trim_start().trim_start_matches("- ");
            let said = check(
                &policy
                    .replacen(&format!("\n{line}"), "", 1)
                    .replace("hostcalls:\n      wasi", "hostcalls: []\n      wasi"),
            );
            assert!(
                said.contains(&format!("not granted: capabilities.hostcalls: {name};")),
                "{}: {said}",
                file.display()
            );
        }
        seen += 1;
    }
    assert!(seen >= 15, "{seen} fixtures: run tools/build-guests.sh");
}

#[test]
fn what_is_no_module_is_called_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let hello = std::fs::read(guest("filters/rust/hello/hello.wasm")).unwrap();
    let cases: [(&str, &[u8], &str); 6] = [
        ("cut.wasm", &hello[..hello.len() / 2], "is cut off"),
        ("elf.wasm", b"\x7fELF\x02\x01\x01\0\0\0\0\0", "is not a WebAssembly module: it is a native program"),
        ("component.wasm", b"\0asm\x0d\0\x01\0", "is a WebAssembly component"),
        ("text.wasm", b"hello there\n", "is not a WebAssembly module"),
        ("module.wat", b"(module)", "text format"),
        ("empty.wasm", b"", "is empty"),
    ];
    for (name, bytes, wanted) in cases {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        let file = file.display().to_string();
        let output = sluice(&["inspect", &file]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        let said = stderr(&output);
        assert!(said.starts_with(&format!("error: {file} ")) && said.contains(wanted), "{name}: {said}");
        assert!(output.stdout.is_empty(), "{name}");
        let output = sluice(&["inspect", "--json", &file]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(json(&output)["error"].as_str().unwrap().contains(wanted), "{name}");
    }
}

#[test]
fn what_cannot_be_read_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere.wasm").display().to_string();
    let output = sluice(&["inspect", &nowhere]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot read"), "{}", stderr(&output));
    assert_eq!(sluice(&["inspect", &folder.path().display().to_string()]).status.code(), Some(1));
    let huge = folder.path().join("huge.wasm");
    std::fs::File::create(&huge).unwrap().set_len(65 << 20).unwrap();
    let output = sluice(&["inspect", &huge.display().to_string()]);
    assert!(stderr(&output).contains("is too large: 68157440 bytes"), "{}", stderr(&output));
}

#[test]
fn a_module_that_is_no_filter_is_still_described() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bare.wasm");
    // (module (import "env" "proxy_\u{1b}[31m" (func))): an unknown import whose name would steer a terminal.
    let mut bytes = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02\x13\x01\x03env\x0bproxy_\x1b[31m\0\0".to_vec();
    std::fs::write(&file, &bytes).unwrap();
    let text = good(&["inspect", &file.display().to_string()]);
    assert!(text.contains("MISSING") && text.contains("env.proxy_") && !text.contains('\u{1b}'), "{text}");
    assert!(text.contains("it exports no proxy_abi_version_"), "{text}");
    bytes.truncate(8);
    std::fs::write(&file, &bytes).unwrap();
    assert!(good(&["inspect", &file.display().to_string()]).contains("nothing"));
}

#[test]
fn a_process_that_is_not_there_cannot_be_asked() {
    let failed = |arguments: &[&str], words: &str| {
        let output = sluice(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(output.stdout.is_empty() && stderr(&output).contains(words), "{arguments:?}: {}", stderr(&output));
    };
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    drop(socket);
    failed(&["reload", "--admin", &address], "error: nobody answers on 127.0.0.1:");
    failed(&["rollback", "hello", "--admin", &address], "error: nobody answers on 127.0.0.1:");
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("sluice.yaml");
    let base =
        "listeners: [{ address: \"127.0.0.1:0\" }]\nupstreams: { e: { builtin: echo } }\nroutes: [{ upstream: e }]\n";
    std::fs::write(&file, base).unwrap();
    failed(&["reload", "-c", &file.display().to_string()], "`admin` is off: there is nobody to ask");
    std::fs::write(&file, format!("{base}admin: {{ address: \"127.0.0.1:0\" }}\n")).unwrap();
    failed(&["rollback", "hello", "-c", &file.display().to_string()], "sluice.yaml:4:");
    assert_eq!(sluice(&["reload", "--admin", "localhost"]).status.code(), Some(2));
    assert_eq!(sluice(&["reload", "--admin", &address, "-c", "x"]).status.code(), Some(2));
    assert_eq!(sluice(&["rollback"]).status.code(), Some(2));
}
