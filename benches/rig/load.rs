//! h2load on the other core, and what it and the kernel say of a run.

use std::{fs, process::Command, time::Duration};

use sluice_benches::Process;

use crate::{
    contender::Contender,
    daemon::{Daemon, OTHER_CORE},
    world::Front,
};

/// What is asked for, and how hard.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) front: Front,
    pub(crate) path: &'static str,
    pub(crate) connections: usize,
    /// Requests in flight on each.
    pub(crate) streams: usize,
    /// Requests a second; `None` is as many as can be.
    pub(crate) rate: Option<usize>,
}

/// One run's figures.
pub(crate) struct Run {
    /// Processor time of the proxy for one request, microseconds.
    pub(crate) cpu: f64,
    /// Requests a second.
    pub(crate) rate: f64,
    /// Milliseconds below which half, 99% and 99.9% of the answers came.
    pub(crate) latency: [f64; 3],
}

/// Seconds after which h2load is ended: it waits for ever for a proxy that does not keep connections.
const HANGS: &str = "60";
pub(crate) const QUANTILES: [f64; 3] = [0.5, 0.99, 0.999];

impl Shape {
    /// Loads a proxy for so long.
    ///
    /// # Panics
    /// A request failed: figures of a broken run would mislead.
    pub(crate) fn run(&self, who: Contender, proxy: &Daemon, time: Duration) -> Run {
        let log = tempfile::NamedTempFile::new().expect("a file");
        let mut command = self.client(who);
        command.args(["-D", &format!("{}ms", time.as_millis())]);
        if let Some(rate) = self.rate {
            command.arg(format!("--rps={}", rate / self.connections));
        }
        command.arg(format!("--log-file={}", log.path().display())).arg(self.url(proxy));
        let process: Process = proxy.process();
        let before = process.cpu_exact();
        let output = command.output().expect("h2load (Debian: nghttp2-client) starts");
        let cpu = process.cpu_exact() - before;
        let said = String::from_utf8_lossy(&output.stdout);
        let lines = fs::read_to_string(log.path()).expect("its log");
        let mut micros = Vec::new();
        for line in lines.lines() {
            let mut columns = line.split('\t').skip(1);
            let (status, took) = (columns.next().unwrap_or_default(), columns.next().unwrap_or_default());
            assert!(status == "200", "{who} answered {status}; h2load said:\n{said}");
            micros.push(took.parse::<u32>().expect("microseconds"));
        }
        assert!(!micros.is_empty(), "{who} answered nothing; h2load said:\n{said}");
        micros.sort_unstable();
        let at = |q: f64| f64::from(micros[((micros.len() - 1) as f64 * q) as usize]) / 1e3;
        Run {
            cpu: cpu.as_secs_f64() * 1e6 / micros.len() as f64,
            rate: micros.len() as f64 / time.as_secs_f64(),
            latency: QUANTILES.map(at),
        }
    }

    /// Sends so many requests, as fast as they are answered.
    ///
    /// # Panics
    /// One failed.
    pub(crate) fn requests(&self, who: Contender, proxy: &Daemon, count: usize) {
        let mut command = self.client(who);
        command.args(["-n", &count.to_string(), &self.url(proxy)]);
        let output = command.output().expect("h2load (Debian: nghttp2-client) starts");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains(&format!("status codes: {count} 2xx")), "{who} did not answer; h2load said:\n{said}");
    }

    fn url(&self, proxy: &Daemon) -> String {
        let scheme = if self.front.encrypted() { "https" } else { "http" };
        format!("{scheme}://{}{}", proxy.address, self.path)
    }

    fn client(&self, who: Contender) -> Command {
        let mut command = Command::new("taskset");
        command.args(["-c", OTHER_CORE, "timeout", HANGS, "h2load", "-t", "1"]);
        command.args(["-c", &self.connections.to_string(), "-m", &self.streams.to_string()]);
        if self.front != Front::Http2 {
            command.arg("--h1");
        }
        for header in
            ["user-agent: bench", "accept: */*", "x-one: 1", "x-two: 2"].into_iter().chain(who.work().header())
        {
            command.args(["-H", header]);
        }
        command
    }
}
