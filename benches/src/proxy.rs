//! The release build of `sluice` as a process of its own.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{Process, root};

/// A proxy; it is stopped when this is dropped.
pub struct Proxy {
    child: Child,
    pub dir: TempDir,
    pub address: SocketAddr,
    /// From the start of the process to `ready: ` in its log.
    pub ready_after: Duration,
}

impl Proxy {
    /// Serves this configuration with these files beside it. `DIR` in it is the proxy's own folder, which holds the
    /// folder `cache` of compiled modules.
    pub fn start(yaml: &str, files: &[(&str, &[u8])]) -> Self {
        let dir = TempDir::new().unwrap();
        for (name, bytes) in files {
            fs::write(dir.path().join(name), bytes).unwrap();
        }
        Self::start_in(dir, yaml)
    }

    pub fn start_in(dir: TempDir, yaml: &str) -> Self {
        let file = dir.path().join("sluice.yaml");
        fs::write(&file, yaml.replace("DIR", &dir.path().display().to_string())).unwrap();
        let log = dir.path().join("proxy.log");
        let began = Instant::now();
        let mut command = Command::new(binary());
        command.arg("run").arg("-c").arg(&file).env("NO_COLOR", "1").stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.stderr(File::create(&log).unwrap()).spawn().unwrap();
        let text = loop {
            let text = fs::read_to_string(&log).unwrap();
            if text.contains("ready: ") {
                break text;
            }
            assert!(child.try_wait().unwrap().is_none() && began.elapsed().as_secs() < 120, "no start:\n{text}");
            thread::sleep(Duration::from_millis(1));
        };
        let ready_after = began.elapsed();
        let address = text.lines().find_map(|l| l.split("serving ").nth(1)?.split("://").nth(1)?.trim().parse().ok());
        Self { child, dir, address: address.expect("it says where it serves"), ready_after }
    }

    /// Stops it, and keeps its folder.
    pub fn stop(mut self) -> TempDir {
        let dir = std::mem::replace(&mut self.dir, TempDir::new().unwrap());
        drop(self);
        dir
    }

    pub fn process(&self) -> Process {
        Process(self.child.id())
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("proxy.log")).unwrap()
    }

    /// Lines of the log with this text.
    pub fn said(&self, text: &str) -> usize {
        self.log().matches(text).count()
    }

    /// Waits until the log holds this text.
    pub fn wait_for(&self, text: &str) {
        let began = Instant::now();
        while self.said(text) == 0 {
            assert!(began.elapsed().as_secs() < 60, "it never said `{text}`:\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Renames this into the place of a file; returns the time of the renaming.
    pub fn put(&self, name: &str, bytes: &[u8]) -> Instant {
        let fresh = self.dir.path().join("fresh");
        fs::write(&fresh, bytes).unwrap();
        let at = Instant::now();
        fs::rename(fresh, self.dir.path().join(name)).unwrap();
        at
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary named by `SLUICE`, or the one of this build, which is brought up to date first.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(given) = std::env::var_os("SLUICE") {
            return given.into();
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--release", "--locked", "-p", "sluicegate"]).current_dir(root());
        assert!(build.status().unwrap().success(), "sluice is not built");
        std::env::current_exe().unwrap().with_file_name("sluice")
    })
}
