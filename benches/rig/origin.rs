//! The backend of every proxy: one nginx worker that answers from memory and keeps its connections.

use std::{fs, net::SocketAddr};

use tempfile::TempDir;

use crate::daemon::{Daemon, OTHER_CORE, free_address};

/// Path of an answer of 64 KiB; every other path is answered with 128 bytes.
pub(crate) const LARGE: &str = "/large";
const LARGE_BYTES: usize = 64 << 10;

pub(crate) fn start() -> Daemon {
    let dir = TempDir::new().expect("a folder");
    let address = free_address();
    fs::write(dir.path().join("large"), vec![b'x'; LARGE_BYTES]).expect("a file");
    fs::write(dir.path().join("nginx.conf"), conf(address, dir.path())).expect("a file");
    let prefix = dir.path().display().to_string();
    Daemon::start(OTHER_CORE, "nginx", &["-p", &prefix, "-e", "error.log", "-c", "nginx.conf"], address, dir)
}

fn conf(address: SocketAddr, dir: &std::path::Path) -> String {
    let small = "x".repeat(128);
    let dir = dir.display();
    format!(
        "daemon off; master_process off; worker_processes 1; pid nginx.pid; error_log error.log;
         worker_rlimit_nofile 30000;
         events {{ worker_connections 12000; }}
         http {{
           access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; tcp_nodelay on;
           client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
           uwsgi_temp_path {dir}; scgi_temp_path {dir};
           server {{
             listen {address} backlog=4096;
             location / {{ return 200 '{small}'; }}
             location = {LARGE} {{ root {dir}; open_file_cache max=10; default_type text/plain; }}
           }}
         }}"
    )
}
