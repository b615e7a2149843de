//! What all contenders of a run share: the backend, a certificate, and the binaries.

use std::{
    cell::OnceCell,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use sluice_benches::root;
use tempfile::TempDir;

use crate::{daemon::Daemon, origin};

/// How the client speaks with the proxy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Front {
    /// HTTP/1.1 in the clear.
    Plain,
    /// HTTP/1.1 over TLS 1.3.
    Tls,
    /// HTTP/2 over TLS 1.3.
    Http2,
}

impl Front {
    pub(crate) fn encrypted(self) -> bool {
        self != Self::Plain
    }
}

/// What all contenders share.
pub(crate) struct World {
    pub(crate) origin: Daemon,
    pub(crate) sluice: PathBuf,
    /// An older build to compare with, from `SLUICE_OLD`.
    pub(crate) old: Option<PathBuf>,
    bare: OnceCell<PathBuf>,
    envoy: OnceCell<PathBuf>,
    /// Most guests of Sluice at one time.
    pub(crate) guests: u32,
    /// The report is going to be kept, and its charts with it.
    pub(crate) kept: bool,
    tls: TempDir,
}

impl World {
    pub(crate) fn new(kept: bool) -> Self {
        let tls = TempDir::new().expect("a folder");
        let made = rcgen::generate_simple_self_signed(["bench.example".to_owned()]).expect("a certificate");
        let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        fs::write(tls.path().join("cert.pem"), &cert).expect("a file");
        fs::write(tls.path().join("key.pem"), &key).expect("a file");
        // As HAProxy wants them.
        fs::write(tls.path().join("both.pem"), cert + &key).expect("a file");
        let given = |name| std::env::var_os(name).map(PathBuf::from);
        Self {
            origin: origin::start(),
            sluice: given("SLUICE").unwrap_or_else(|| built("sluicegate", "sluice")),
            old: given("SLUICE_OLD"),
            bare: given("BARE").map(OnceCell::from).unwrap_or_default(),
            envoy: OnceCell::new(),
            guests: 512,
            kept,
            tls,
        }
    }

    /// Pingora without any hook: built when it is first wanted.
    pub(crate) fn bare(&self) -> &Path {
        self.bare.get_or_init(|| built("sluice-bench-bare", "bare-pingora"))
    }

    /// Envoy: fetched when it is first wanted.
    pub(crate) fn envoy(&self) -> &Path {
        self.envoy.get_or_init(envoy)
    }

    /// Whether Envoy took part.
    pub(crate) fn has_envoy(&self) -> bool {
        self.envoy.get().is_some()
    }

    /// Has this program started in place of it.
    pub(crate) fn replace_bare(&mut self, program: PathBuf) {
        self.bare = OnceCell::from(program);
    }

    /// `cert.pem`, `key.pem` or `both.pem`.
    pub(crate) fn pem(&self, name: &str) -> String {
        self.tls.path().join(name).display().to_string()
    }
}

/// A binary of this workspace as it is shipped, brought up to date first.
fn built(package: &str, binary: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--profile", "dist", "--locked", "-p", package]).current_dir(root());
    assert!(build.status().expect("cargo starts").success(), "{package} is not built");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("dist").join(binary)
}

fn envoy() -> PathBuf {
    let found = Command::new(root().join("tools/envoy.sh")).output().expect("tools/envoy.sh starts");
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    Path::new(String::from_utf8_lossy(&found.stdout).trim()).to_owned()
}
