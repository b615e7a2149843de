//! A real Prometheus scrapes the proxy.

use std::{
    fs::{self, File},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{Admin, serving_version_1};
use crate::harness::Client;

/// How long it may take to begin, and to see what there is.
const PATIENCE: Duration = Duration::from_secs(60);

struct Prometheus {
    child: Child,
    dir: TempDir,
}

impl Prometheus {
    fn scraping(target: SocketAddr) -> Self {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("prometheus.yml");
        let text = format!(
            "global: {{ scrape_interval: 500ms, scrape_timeout: 500ms }}\n\
             scrape_configs: [{{ job_name: sluice, static_configs: [{{ targets: [\"{target}\"] }}] }}]\n"
        );
        fs::write(&file, text).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(dir.path().join("log")).unwrap())
            .spawn()
            .expect("prometheus is missing: install it (Debian: apt-get install prometheus)");
        Self { child, dir }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// Asks until there is something.
    fn until<T>(&mut self, what: &str, ask: impl Fn(&Self) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = ask(self) {
                return found;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "it ended:\n{}", self.log());
            assert!(began.elapsed() < PATIENCE, "never: {what}\n{}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Until it is ready it answers in words.
fn ask(api: SocketAddr, path: &str) -> Option<Value> {
    let answer = Client::connect(api).send(format!("GET /api/v1/{path} HTTP/1.1\r\nHost: {api}\r\n\r\n")).read();
    (answer.status() == 200).then(|| answer.json()["data"].clone())
}

#[test]
fn a_real_prometheus_scrapes_what_was_counted() {
    let proxy = serving_version_1("");
    let mut prometheus = Prometheus::scraping(Admin::of(&proxy).0);
    let api = prometheus.until("it listens", |prometheus| {
        let log = prometheus.log();
        let line = log.split_inclusive('\n').find(|line| line.contains("Listening on") && line.ends_with('\n'))?;
        Some(line.split("address=").nth(1)?.trim().parse().unwrap())
    });
    prometheus.until("the target is up", |_| {
        let targets = ask(api, "targets")?;
        (targets["activeTargets"][0]["health"] == "up").then_some(())
    });
    let mut client = proxy.client();
    for _ in 0..20 {
        assert_eq!(client.request("GET /", &[], "").status(), 200);
    }
    for counter in [
        "sum(http_server_request_duration_seconds_count)",
        "sluice_filter_exchanges_total%7Bfilter%3D%22v%22%7D",
        "sluice_filter_invocations_total%7Bphase%3D%22request_headers%22%7D",
    ] {
        prometheus.until(counter, |_| {
            let data = ask(api, &format!("query?query={counter}"))?;
            (data["result"][0]["value"][1] == "20").then_some(())
        });
    }
}
