//! A server that is measured: started on the core of the proxies, awaited, and ended when it is dropped.

use std::{
    fs,
    fs::File,
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use sluice_benches::Process;
use tempfile::TempDir;

/// Where proxies run, each alone.
pub(crate) const PROXY_CORE: &str = "0";
/// Where the backend and the load run.
pub(crate) const OTHER_CORE: &str = "1";

/// A process that answers on an address of its own.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) address: SocketAddr,
    _dir: TempDir,
}

/// A port that was free a moment ago: peers do not say which one they were given for 0.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port")
}

impl Daemon {
    /// Starts `program` on a core and waits until `address` can be connected to. `dir` is kept as long as it runs.
    pub(crate) fn start(core: &str, program: &str, args: &[&str], address: SocketAddr, dir: TempDir) -> Self {
        let log = dir.path().join("output.log");
        let output = File::create(&log).expect("a file for its output");
        let mut command = Command::new("taskset");
        command.args(["-c", core, program]).args(args).current_dir(dir.path()).stdin(Stdio::null());
        command.stdout(output.try_clone().expect("one file twice")).stderr(output);
        let mut child = command.spawn().expect("taskset (Debian: util-linux) is there");
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = child.try_wait().expect("its status");
            if ended.is_some() || began.elapsed() > Duration::from_secs(180) {
                let said = fs::read_to_string(&log).unwrap_or_default();
                panic!("{program} does not serve on {address} ({ended:?}); it said:\n{said}");
            }
            thread::sleep(Duration::from_millis(5));
        }
        Self { child, address, _dir: dir }
    }

    pub(crate) fn process(&self) -> Process {
        Process(self.child.id())
    }
}

/// How long a server may take to end by itself: what it writes at its end (a profile) is not lost then.
const PATIENCE: Duration = Duration::from_secs(3);

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && asked.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
