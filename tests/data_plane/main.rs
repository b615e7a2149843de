//! The build without a compiler: it runs what was made for it with its own key, and nothing else.
//!
//! `tools/data-plane.sh` builds that program and names it in `SLUICE_DATA_PLANE`.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use tempfile::TempDir;

const MODULE: &str = r#"(module
    (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1) (data (i32.const 0) "x-precompiled")
    (func (export "malloc") (param i32) (result i32) (i32.const 1024))
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
      (drop (call $add (i32.const 2) (i32.const 0) (i32.const 13) (i32.const 2) (i32.const 11))) (i32.const 0)))"#;

fn data_plane() -> PathBuf {
    let path = std::env::var_os("SLUICE_DATA_PLANE");
    PathBuf::from(path.expect("SLUICE_DATA_PLANE names the program without a compiler: run tools/data-plane.sh"))
}

/// A configuration of this module, its code in `DIR/code`.
fn config(dir: &Path, isolation: &str) -> PathBuf {
    fs::write(dir.join("f.wasm"), wat::parse_str(MODULE).unwrap()).unwrap();
    let file = dir.join("sluice.yaml");
    let yaml = format!(
        "listeners: [{{ address: \"127.0.0.1:0\" }}]\nserver: {{ cache: {{ path: code, key: host.key }} }}\n\
         filters: {{ f: {{ source: {{ path: f.wasm }}, isolation: {isolation} }} }}\n\
         upstreams: {{ e: {{ builtin: echo }} }}\nroutes: [{{ filters: [f], upstream: e }}]\n"
    );
    fs::write(&file, yaml).unwrap();
    file
}

fn precompile(config: &Path) -> Output {
    let dir = config.parent().unwrap();
    let mut build = Command::new(env!("CARGO_BIN_EXE_sluice"));
    build.args(["build", "--precompile", "-c"]).arg(config).arg("--into").arg(dir.join("code"));
    build.arg("--key").arg(dir.join("host.key")).output().unwrap()
}

fn refused(config: &Path) -> String {
    let output = Command::new(data_plane()).args(["run", "-c"]).arg(config).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What it answers.
fn serve(config: &Path) -> String {
    let mut command = Command::new(data_plane());
    command.args(["run", "-c"]).arg(config).env("NO_COLOR", "1").stderr(Stdio::piped()).stdout(Stdio::null());
    let mut running = Running(command.spawn().unwrap());
    let mut log = BufReader::new(running.0.stderr.take().unwrap());
    let mut said = String::new();
    let address = loop {
        let mut line = String::new();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended: {said}");
        said.push_str(&line);
        if let Some(address) = line.split("http://").nth(1) {
            break address.trim().to_owned();
        }
    };
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn it_serves_what_was_made_for_it_in_both_isolations() {
    for isolation in ["shared", "request"] {
        let dir = TempDir::new().unwrap();
        let config = config(dir.path(), isolation);
        let made = precompile(&config);
        let said = String::from_utf8_lossy(&made.stdout);
        assert!(made.status.success() && said.starts_with("f  compiled  "), "{made:?}");
        assert!(String::from_utf8_lossy(&precompile(&config).stdout).starts_with("f  was there  "));
        let answer = serve(&config);
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("x-precompiled: precompiled"), "{answer}");
    }
}

#[test]
fn it_runs_nothing_that_was_not_made_for_it() {
    let dir = TempDir::new().unwrap();
    let config = config(dir.path(), "shared");
    assert!(refused(&config).contains("server.cache"), "there is no folder yet");
    assert!(precompile(&config).status.success());
    // Another module, of which there is no code.
    fs::write(dir.path().join("f.wasm"), wat::parse_str(MODULE.replace("13", "12")).unwrap()).unwrap();
    assert!(refused(&config).contains("was not precompiled for this host"), "{}", refused(&config));
    // The right module, sealed with a key that is not the host's.
    fs::write(dir.path().join("f.wasm"), wat::parse_str(MODULE).unwrap()).unwrap();
    fs::remove_file(dir.path().join("host.key")).unwrap();
    let other = dir.path().join("other.key");
    let mut build = Command::new(env!("CARGO_BIN_EXE_sluice"));
    build.args(["build", "--precompile", "-c"]).arg(&config).arg("--into").arg(dir.path().join("elsewhere"));
    assert!(build.arg("--key").arg(&other).status().unwrap().success());
    fs::rename(other, dir.path().join("host.key")).unwrap();
    assert!(refused(&config).contains("was not precompiled for this host"));
}
