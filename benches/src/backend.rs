//! What stands behind the proxy: answers at once, and says in `x-met` which `x-version` reached it.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// nginx where it is installed, and a task of this process elsewhere.
pub struct Backend {
    pub address: SocketAddr,
    pub name: &'static str,
    _nginx: Option<Nginx>,
}

impl Backend {
    pub fn start() -> Self {
        match Nginx::start() {
            Some((nginx, address)) => Self { address, name: "nginx", _nginx: Some(nginx) },
            None => Self { address: own(), name: "a task of the benchmark", _nginx: None },
        }
    }
}

struct Nginx {
    child: Child,
    _dir: TempDir,
}

impl Nginx {
    fn start() -> Option<(Self, SocketAddr)> {
        let dir = TempDir::new().unwrap();
        // nginx does not say which port it was given for 0, so it is given one that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let conf = format!(
            "daemon off; worker_processes 1; pid nginx.pid; error_log error.log;
             events {{ worker_connections 1024; }}
             http {{
               access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;
               server {{ listen {address}; location / {{ add_header x-met $http_x_version; return 200 'served'; }} }}
             }}"
        );
        let file = dir.path().join("nginx.conf");
        fs::write(&file, conf).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(dir.path()).arg("-e").arg("error.log").arg("-c").arg(&file);
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let mut nginx = Self { child, _dir: dir };
        let began = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            if began.elapsed() > Duration::from_secs(10) || nginx.child.try_wait().unwrap().is_some() {
                return None;
            }
            thread::sleep(Duration::from_millis(5));
        }
        Some((nginx, address))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its worker ends by this signal too, which it would not by SIGKILL.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn own() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let (mut head, mut length) = ([0; 8192], 0);
                    while let Ok(read @ 1..) = stream.read(&mut head[length..]).await {
                        length += read;
                        if !head[..length].ends_with(b"\r\n\r\n") {
                            continue;
                        }
                        let text = String::from_utf8_lossy(&head[..length]).to_ascii_lowercase();
                        let met = text.lines().find_map(|l| l.strip_prefix("x-version:")).unwrap_or_default().trim();
                        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 6\r\nx-met: {met}\r\n\r\nserved");
                        if stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                        length = 0;
                    }
                });
            }
        });
    });
    address
}
