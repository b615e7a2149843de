//! Sluice in front of an origin, with one worker.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Map, Value, json};

use crate::{
    harness::Proxy,
    plan::Silent,
    side::{Setup, Side, Sync},
};

const SYNC: &str = "/-/sync";

/// One process of Sluice.
pub struct Sluice {
    proxy: Proxy,
    address: SocketAddr,
    admin: SocketAddr,
}

/// JSON is YAML, so no text needs quoting by hand.
fn configuration(setup: &Setup<'_>) -> String {
    let names: Vec<&str> = setup.clusters.iter().map(|(name, _)| *name).collect();
    let mut declared = Map::new();
    for f in setup.filters {
        let env: Map<String, Value> = f.env.iter().map(|(n, v)| ((*n).to_owned(), json!(v))).collect();
        declared.insert(
            f.name.to_owned(),
            json!({
                "source": { "path": f.module },
                "vm_id": f.name,
                "config": f.config,
                "vm_config": f.vm_config,
                "env": env,
                // Budgets are not what is compared.
                "capabilities": { "callouts": names },
                "limits": { "cpu_per_call": "5s", "cpu_per_request": "10s", "cpu_start": "30s" },
            }),
        );
    }
    let chain: Vec<&str> = setup.filters.iter().map(|f| f.name).collect();
    let mut upstreams: Map<String, Value> = setup
        .clusters
        .iter()
        .map(|(name, at)| ((*name).to_owned(), json!({ "endpoints": [at.to_string()] })))
        .collect();
    let http = if setup.world.http2_upstream { "h2" } else { "h1" };
    upstreams.insert("up".to_owned(), json!({ "endpoints": [setup.upstream.to_string()], "http": http }));
    json!({
        "listeners": [{ "address": "127.0.0.1:0", "h2c": setup.world.http2_clients }],
        "admin": { "address": "127.0.0.1:0" },
        "filters": declared,
        "upstreams": upstreams,
        "routes": [
            { "name": "sync", "match": { "path": SYNC }, "respond": { "status": 204 } },
            { "name": "main", "filters": chain, "upstream": "up" },
        ],
        "server": { "workers": 1 },
        "telemetry": { "log": { "level": "info", "format": "json" } },
    })
    .to_string()
}

impl Sluice {
    /// Starts one that has to refuse, and returns what its guests said.
    pub fn refused(setup: &Setup<'_>) -> Vec<String> {
        guest_lines(&Proxy::refused(&configuration(setup)))
    }
}

impl Side for Sluice {
    const SILENT: Silent = Silent::Sluice;

    fn start(setup: &Setup<'_>) -> Self {
        let proxy = Proxy::start(&configuration(setup));
        // The harness reads addresses from the human format only.
        let log = proxy.log();
        let at = |what: &str| log.split(what).nth(1).and_then(|rest| rest.split('"').next()).unwrap().parse().unwrap();
        Self { address: at("serving http://"), admin: at("admin on http://"), proxy }
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn sync(&self) -> Sync {
        Sync { address: self.address, path: SYNC }
    }

    fn alive(&mut self) -> bool {
        self.proxy.alive()
    }

    fn metric(&self, _name: &str) -> Option<String> {
        None
    }

    fn log(&self) -> String {
        self.proxy.log()
    }

    fn guest_log(&self) -> Vec<String> {
        guest_lines(&self.log_so_far())
    }
}

impl Sluice {
    /// The log with all that was said before: a thread writes it in its order, so this waits for a line that is only said
    /// now, about somebody who changes levels of the log to what they are.
    fn log_so_far(&self) -> String {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        let me = format!("\"{}\"", stream.local_addr().unwrap());
        let body = "{\"level\": \"info\"}";
        let head = "POST /logging HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close";
        write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let began = Instant::now();
        loop {
            let log = self.proxy.log();
            if log.contains(&me) {
                return log;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "the log never speaks of {me}:\n{log}");
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Lines of guests are the ones that name a filter and a context.
fn guest_lines(log: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in log.lines() {
        let Ok(Value::Object(fields)) = serde_json::from_str(line) else { continue };
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        if fields.contains_key("filter") && fields.contains_key("context") {
            let critical = fields.get("critical").is_some();
            let level = if critical { "critical".to_owned() } else { text("level").to_lowercase() };
            lines.push(format!("{} {level} {}", text("filter"), text("message")));
        }
    }
    lines
}
