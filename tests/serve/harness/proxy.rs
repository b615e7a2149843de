//! The real binary as a process of the test, with its logs in files.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use super::Client;

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The path of a test guest; fails with the command that builds it.
pub fn fixture(name: &str) -> String {
    let path = root().join(format!(".build/fixtures/{name}.wasm"));
    assert!(path.exists(), "{} is missing: run `tools/build-guests.sh fixtures`", path.display());
    path.display().to_string()
}

/// The same for a guest written in Go.
pub fn go_fixture(name: &str) -> String {
    let path = root().join(format!(".build/fixtures/go-{name}.wasm"));
    assert!(
        path.exists(),
        "{} is missing: install Go >= 1.24 and run `tools/build-guests.sh fixtures`",
        path.display()
    );
    path.display().to_string()
}

/// A proxy process; it is stopped when this is dropped.
pub struct Proxy {
    child: Child,
    pub dir: TempDir,
    pub addresses: Vec<SocketAddr>,
}

impl Proxy {
    /// Serves one route with these filters in front of the echo, or of `upstream` if there is one. A filter is
    /// `(name, module, more lines of YAML in flow style)`.
    pub fn chain(filters: &[(&str, &str, &str)], upstream: Option<SocketAddr>) -> Self {
        Self::start(&chain_yaml(filters, upstream, ""))
    }

    /// Serves this configuration. `DIR` in it is the process's own folder.
    pub fn start(yaml: &str) -> Self {
        let dir = TempDir::new().unwrap();
        Self::start_in(dir, yaml)
    }

    pub fn start_in(dir: TempDir, yaml: &str) -> Self {
        Self::start_with(dir, yaml, &[])
    }

    /// The same with more in its environment.
    pub fn start_with(dir: TempDir, yaml: &str, environment: &[(&str, &str)]) -> Self {
        let file = dir.path().join("sluice.yaml");
        fs::write(&file, yaml.replace("DIR", &dir.path().display().to_string())).unwrap();
        let mut command = command(&file);
        command.envs(environment.iter().copied());
        Self::spawn(dir, command)
    }

    /// What this command starts, once it serves; its logs are in the folder.
    pub fn spawn(dir: TempDir, mut command: Command) -> Self {
        let child = command
            .stdout(File::create(dir.path().join("access.log")).unwrap())
            .stderr(File::create(dir.path().join("proxy.log")).unwrap())
            .spawn()
            .unwrap();
        let mut proxy = Self { child, dir, addresses: Vec::new() };
        proxy.wait_for("ready: ");
        proxy.addresses = addresses(&proxy.log());
        proxy
    }

    /// Serves with its log in a pipe. What it says until it is ready can be read as ever; the rest waits in the pipe.
    pub fn piped(yaml: &str) -> (Self, BufReader<ChildStderr>) {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("sluice.yaml");
        fs::write(&file, yaml).unwrap();
        let out = File::create(dir.path().join("access.log")).unwrap();
        let mut child = command(&file).stdout(out).stderr(Stdio::piped()).spawn().unwrap();
        let mut pipe = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("ready: ") {
            assert_ne!(pipe.read_line(&mut said).unwrap(), 0, "it ended: {said}");
        }
        fs::write(dir.path().join("proxy.log"), &said).unwrap();
        (Self { child, dir, addresses: addresses(&said) }, pipe)
    }

    /// Runs it with a configuration that must be refused, and returns what it says.
    pub fn refused(yaml: &str) -> String {
        Self::refused_with(yaml, &[])
    }

    /// The same with more in its environment.
    pub fn refused_with(yaml: &str, environment: &[(&str, &str)]) -> String {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("sluice.yaml");
        fs::write(&file, yaml.replace("DIR", &dir.path().display().to_string())).unwrap();
        let output = command(&file).envs(environment.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "it must be refused with status 1");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    pub fn client(&self) -> Client {
        Client::connect(self.addresses[0])
    }

    /// Where its admin listener is.
    pub fn admin(&self) -> SocketAddr {
        let log = self.log();
        let address = log.lines().find_map(|l| l.split("admin on http://").nth(1));
        address.expect("it has an admin listener").trim().parse().unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The proxy's own log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("proxy.log")).unwrap()
    }

    /// Waits until a thread of the proxy has written this text into the log, which was said before.
    pub fn logged(&self, text: &str) -> String {
        let began = Instant::now();
        loop {
            let log = self.log();
            if log.contains(text) {
                return log;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "it did not say `{text}`:\n{log}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the log holds this text.
    pub fn wait_for(&mut self, text: &str) -> String {
        self.wait_count(text, 1)
    }

    /// Waits until the log holds this text so many times.
    pub fn wait_count(&mut self, text: &str, count: usize) -> String {
        let began = Instant::now();
        loop {
            let log = self.log();
            if log.matches(text).count() >= count {
                return log;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the proxy ended ({status}) before it said `{text}`:\n{}", self.log());
            }
            assert!(began.elapsed() < Duration::from_secs(90), "it never said `{text}`:\n{log}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for so many lines of the access log and returns them.
    pub fn access(&self, count: usize) -> Vec<Value> {
        let began = Instant::now();
        loop {
            let text = fs::read_to_string(self.dir.path().join("access.log")).unwrap();
            let lines: Vec<Value> = text
                .split_inclusive('\n')
                .filter(|l| l.ends_with('\n'))
                .map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("not JSON ({e}): {l}")))
                .collect();
            if lines.len() >= count {
                return lines;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{} of {count} lines:\n{text}", lines.len());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap().success());
    }

    /// Waits for the process to end by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "it does not end:\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Largest resident memory so far, bytes.
    pub fn peak_memory(&self) -> usize {
        self.status("VmHWM:")
    }

    /// Resident memory now, bytes.
    pub fn memory(&self) -> usize {
        self.status("VmRSS:")
    }

    fn status(&self, field: &str) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|l| l.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }

    /// Begins the measurement of [`Self::peak_memory`] anew: compiling the guests is not part of serving.
    pub fn reset_peak_memory(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.pid()), "5").unwrap();
    }

    pub fn alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- proxy.log\n{}", self.log());
        }
    }
}

/// Where it serves, by its log.
fn addresses(log: &str) -> Vec<SocketAddr> {
    let address =
        |line: &str| line.split("serving ").nth(1)?.split("://").nth(1)?.split('"').next()?.trim().parse().ok();
    log.lines().filter_map(address).collect()
}

fn command(file: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.arg("run").arg("-c").arg(file).stdin(Stdio::null()).env("NO_COLOR", "1");
    // What one test compiled others need not.
    command.env_remove("CACHE_DIRECTORY").env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command
}

/// See [`Proxy::chain`]; `extra` are more top-level lines.
pub fn chain_yaml(filters: &[(&str, &str, &str)], upstream: Option<SocketAddr>, extra: &str) -> String {
    let mut yaml = String::from("listeners: [{ address: \"127.0.0.1:0\" }]\n");
    if !filters.is_empty() {
        yaml.push_str("filters:\n");
    }
    for (name, module, more) in filters {
        let comma = if more.is_empty() { "" } else { ", " };
        yaml.push_str(&format!("  {name}: {{ source: {{ path: \"{module}\" }}{comma}{more} }}\n"));
    }
    let names: Vec<&str> = filters.iter().map(|f| f.0).collect();
    let upstreams = match upstream {
        Some(address) => format!("  up: {{ endpoints: [\"{address}\"] }}\n"),
        None => "  up: { builtin: echo }\n".to_owned(),
    };
    yaml + &format!("upstreams:\n{upstreams}routes: [{{ filters: [{}], upstream: up }}]\n{extra}", names.join(", "))
}
