//! Envoy in front of an origin, with one worker.

use std::{
    fs::{self, File},
    io::Write,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    bootstrap::{self, bootstrap},
    harness::root,
    plan::Silent,
    seen::{Messages, Seen},
    side::{Setup, Side, Sync},
};

/// The binary, or what to install.
pub static BINARY: LazyLock<Result<String, String>> = LazyLock::new(|| {
    let output = Command::new(root().join("tools/envoy.sh")).output().map_err(|e| format!("tools/envoy.sh: {e}"))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(said(&output.stdout)) } else { Err(said(&output.stderr)) }
});

/// One process of Envoy; it is stopped when this is dropped.
pub struct Envoy {
    child: Child,
    dir: TempDir,
    admin: Option<SocketAddr>,
    main: Option<SocketAddr>,
    sync: Option<SocketAddr>,
}

fn spawn(dir: &Path, setup: &Setup<'_>) -> Child {
    let file = dir.join("envoy.json");
    fs::write(&file, bootstrap(setup)).unwrap();
    Command::new(BINARY.as_ref().unwrap())
        .arg("-c")
        .arg(&file)
        .arg("--admin-address-path")
        .arg(dir.join("admin"))
        // %j is the message with its line ends escaped, so that a line of the file is a line of the log.
        .args(["--log-format", r#"{"level":"%l","message":"%j"}"#])
        .args(["--concurrency", "1", "--disable-hot-restart", "-l", "info"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(dir.join("envoy.log")).unwrap())
        .spawn()
        .unwrap()
}

impl Envoy {
    /// Starts one that has to refuse, and returns what its guests said.
    pub fn refused(setup: &Setup<'_>) -> Vec<String> {
        let dir = TempDir::new().unwrap();
        let status = spawn(dir.path(), setup).wait().unwrap();
        assert!(!status.success(), "Envoy takes what it must refuse");
        guest_lines(&fs::read_to_string(dir.path().join("envoy.log")).unwrap())
    }

    fn until(&mut self, done: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !done(self) {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("Envoy ended ({status}):\n{}", self.log());
            }
            assert!(began.elapsed() < Duration::from_secs(60), "Envoy does not start:\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Side for Envoy {
    const SILENT: Silent = Silent::Envoy;

    fn start(setup: &Setup<'_>) -> Self {
        let dir = TempDir::new().unwrap();
        let child = spawn(dir.path(), setup);
        let mut envoy = Self { child, dir, admin: None, main: None, sync: None };
        envoy.until(|e| {
            let admin = fs::read_to_string(e.dir.path().join("admin")).unwrap_or_default();
            admin.parse().is_ok_and(|a| get(a, "/ready").is_some_and(|page| page.status() == 200))
        });
        let admin = fs::read_to_string(envoy.dir.path().join("admin")).unwrap().parse().unwrap();
        envoy.admin = Some(admin);
        let page = get(admin, "/listeners?format=json").expect("the admin interface answers");
        let listeners: Value = serde_json::from_slice(&page.body).unwrap();
        let find = |name: &str| {
            let all = listeners["listener_statuses"].as_array().unwrap();
            let at = &all.iter().find(|l| l["name"] == name).unwrap()["local_address"]["socket_address"];
            format!("{}:{}", at["address"].as_str().unwrap(), at["port_value"]).parse().unwrap()
        };
        envoy.main = Some(find(bootstrap::MAIN));
        envoy.sync = Some(find(bootstrap::SYNC));
        envoy
    }

    fn alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What workers count is merged into the page of metrics from time to time; asking for the page does it, too.
    fn metric(&self, name: &str) -> Option<String> {
        let wanted = format!("wasmcustom.{name}: ");
        let page =
            get(self.admin.unwrap(), &format!("/stats?filter=wasmcustom.{name}")).expect("the admin interface answers");
        let text = String::from_utf8_lossy(&page.body).into_owned();
        Some(text.lines().find_map(|l| l.strip_prefix(&wanted)).unwrap_or("not there").to_owned())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("envoy.log")).unwrap()
    }

    fn address(&self) -> SocketAddr {
        self.main.unwrap()
    }

    fn sync(&self) -> Sync {
        Sync { address: self.sync.unwrap(), path: "/" }
    }

    fn guest_log(&self) -> Vec<String> {
        guest_lines(&self.log())
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A page of the admin interface; nothing as long as there is none.
fn get(address: SocketAddr, path: &str) -> Option<Seen> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n").ok()?;
    Messages::new(stream).next(false)
}

/// `wasm log <plugin> <root id> <vm id>: <text>`, of which the root id is empty here.
fn guest_lines(log: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in log.lines() {
        let Ok(fields) = serde_json::from_str::<Value>(line) else { continue };
        let message = fields["message"].as_str().unwrap_or_default();
        let Some((names, text)) = message.strip_prefix("wasm log").and_then(|m| m.split_once(": ")) else { continue };
        let level = match fields["level"].as_str().unwrap_or_default() {
            "warning" => "warn",
            other => other,
        };
        lines.push(format!("{} {level} {text}", names.split_whitespace().next().unwrap_or("-")));
    }
    lines
}
