//! A real collector process, which passes on what it takes.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::root;

/// The collector; it ends when this is dropped.
pub struct Rotel {
    _process: Process,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    _files: tempfile::TempDir,
}

impl Rotel {
    /// A collector that passes everything on to that one.
    pub fn start(next: SocketAddr) -> Self {
        let script = Command::new(root().join("tools/rotel.sh")).stderr(Stdio::inherit()).output().unwrap();
        assert!(script.status.success(), "a test needs the collector `rotel`; what tools/rotel.sh says stands above");
        let files = tempfile::TempDir::new().unwrap();
        let mut command = Command::new(String::from_utf8(script.stdout).unwrap().trim());
        command
            .args(["start", "--exporter", "otlp"])
            .args(["--otlp-exporter-endpoint", &format!("http://{next}")])
            // Two addresses, as it knows its listeners by what is said here.
            .args(["--otlp-grpc-endpoint", "127.0.0.1:0", "--otlp-http-endpoint", "127.0.0.2:0"])
            .arg("--pid-file")
            .arg(files.path().join("pid"))
            .arg("--log-file")
            .arg(files.path().join("log"))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
        let process = Process(command.spawn().unwrap());
        let id = process.0.id();
        let began = Instant::now();
        loop {
            if let (Some(grpc), Some(http)) = (listens(id, [127, 0, 0, 1]), listens(id, [127, 0, 0, 2])) {
                return Self { _process: process, grpc, http, _files: files };
            }
            assert!(began.elapsed() < Duration::from_secs(30), "the collector does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where a process listens at this address: it takes any port and tells nobody but the system.
fn listens(process: u32, ip: [u8; 4]) -> Option<SocketAddr> {
    let process = Path::new("/proc").join(process.to_string());
    let open = fs::read_dir(process.join("fd")).ok()?;
    let sockets: Vec<_> =
        open.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok()?.into_os_string().into_string().ok()).collect();
    let wanted = format!("{:08X}", u32::from_ne_bytes(ip));
    fs::read_to_string(process.join("net/tcp")).ok()?.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (address, port) = fields.get(1)?.split_once(':')?;
        let listening = fields.get(3)? == &"0A" && address == wanted;
        let own = sockets.contains(&format!("socket:[{}]", fields.get(9)?));
        (listening && own).then(|| Some(SocketAddr::from((ip, u16::from_str_radix(port, 16).ok()?))))?
    })
}
