//! What the sandbox costs and how exact it is, on the machine that runs this: budgets, and both isolations.
//!
//! ```text
//! cargo run --release -p sluice-host --example costs -- FILTER.wasm[=CONFIGURATION] …
//! ```

#![allow(clippy::print_stdout, reason = "it is here to show something")]

use std::{
    error::Error,
    fs,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};
use sluice_host::{
    Callout, CapReport, Chain, CrashReport, Done, EngineOptions, FilterSpec, Host, Isolation, Job, Link, LogLevel,
    LogLine, Outside, Quarantine, RequestHead, RequestParts, ResponseHead, ResponseParts, SlowReport,
};

/// Never ends in the request's headers.
const LOOP: &str = r#"(module (memory (export "memory") 1) (func (export "malloc") (param i32) (result i32) i32.const 64)
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (loop br 0) unreachable))"#;

const TRIALS: usize = 200;
const ROUNDS: usize = 7;
const EXCHANGES: u32 = 5_000;

/// Keeps what crashed calls used.
struct Bench {
    began: Instant,
    used: Mutex<Vec<Duration>>,
}

impl Outside for Bench {
    fn wall_clock(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
    fn monotonic(&self) -> Duration {
        self.began.elapsed() + Duration::from_secs(1)
    }
    // Only a measurement: nothing here is secret.
    fn random(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
    fn log_level(&self, _filter: &str) -> LogLevel {
        LogLevel::Warn
    }
    fn log(&self, line: &LogLine<'_>) {
        println!("  {}: {}", line.filter, line.message);
    }
    fn crashed(&self, report: &CrashReport<'_>) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).push(report.crash.used);
    }
    fn capped(&self, report: &CapReport<'_>) {
        println!("  {report}");
    }
    fn slow(&self, _report: &SlowReport<'_>) {}
    fn later(&self, _delay: Duration, _job: Job) {}
    fn reaches(&self, _upstream: &str) -> bool {
        false
    }
    fn send(&self, _callout: Callout, _done: Done) {}
}

/// CPU time of this thread so far.
fn cpu() -> Duration {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(t.tv_sec.max(0).unsigned_abs(), u32::try_from(t.tv_nsec).unwrap_or(0))
}

/// One request with ten fields and its answer.
fn exchange(chain: &Chain) {
    let mut exchange = chain.open(Box::default());
    let mut request = http::Request::get("/a/b?c=d").header("host", "a.test");
    for n in 0..9 {
        request = request.header(format!("x-field-{n}"), "a value of some length");
    }
    let Ok((parts, ())) = request.body(()).map(http::Request::into_parts) else { return };
    exchange.message().request = Some(Box::new(RequestHead(RequestParts(parts))));
    let _ = exchange.request_headers(true);
    let (parts, ()) = http::Response::new(()).into_parts();
    exchange.message().response = Some(Box::new(ResponseHead(ResponseParts(parts))));
    let _ = exchange.response_headers(false);
    let _ = exchange.response_body(Bytes::from_static(b"hello"), true);
    exchange.finish();
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Endless loops against their budgets.
fn budgets(host: &Host, bench: &Bench, machine: &str) -> Result<(), Box<dyn Error>> {
    let code = host.compile(&wat::parse_str(LOOP)?, Isolation::Request)?;
    for asked in [1, 2, 5, 10].map(Duration::from_millis) {
        let spec = FilterSpec {
            isolation: Isolation::Request,
            cpu_per_call: asked,
            cpu_per_request: Duration::from_secs(1),
            quarantine: Quarantine { crashes: 0, ..Quarantine::default() },
            ..FilterSpec::new("loop", code.clone())
        };
        let chain = Chain::new(vec![Link { filter: host.load(&spec, 1)?, configuration: 0 }]);
        let mut wall = Vec::new();
        bench.used.lock().unwrap_or_else(PoisonError::into_inner).clear();
        for _ in 0..TRIALS {
            let began = Instant::now();
            exchange(&chain);
            wall.push(began.elapsed());
        }
        let mut used = bench.used.lock().unwrap_or_else(PoisonError::into_inner);
        let mut of = |percent| percentile(&mut used, percent).as_secs_f64() * 1e3;
        let (p50, p99, most) = (of(50), of(99), of(100));
        let (w50, w99) = (percentile(&mut wall, 50), percentile(&mut wall, 99));
        println!("| {machine} | {asked:?} | {p50:.2} | {p99:.2} | {most:.2} | {w50:.2?} | {w99:.2?} |");
    }
    Ok(())
}

/// CPU time of one exchange, us: the median of rounds that take turns.
fn isolations(host: &Host, filter: &str) -> Result<(), Box<dyn Error>> {
    let (path, configuration) = filter.split_once('=').unwrap_or((filter, ""));
    let bytes = fs::read(path)?;
    let load = |isolation| -> Result<Chain, Box<dyn Error>> {
        let limits = FilterSpec {
            cpu_per_request: Duration::from_secs(1),
            cpu_start: Duration::from_secs(10),
            isolation,
            configs: vec![configuration.to_owned()],
            ..FilterSpec::new(path, host.compile(&bytes, isolation)?)
        };
        Ok(Chain::new(vec![Link { filter: host.load(&limits, 1)?, configuration: 0 }]))
    };
    let chains = [Chain::default(), load(Isolation::Shared)?, load(Isolation::Request)?];
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        for (chain, times) in chains.iter().zip(&mut times) {
            let began = cpu();
            (0..EXCHANGES).for_each(|_| exchange(chain));
            times.push((cpu() - began) / EXCHANGES);
        }
    }
    let [none, shared, request] = times.each_mut().map(|t| percentile(t, 50).as_secs_f64() * 1e6);
    let name = path.rsplit('/').next().unwrap_or(path);
    println!("| {name} | {:.2} | {:.2} | {:.2} |", shared - none, request - none, request - shared);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let bench = Arc::new(Bench { began: Instant::now(), used: Mutex::default() });
    let options = EngineOptions { max_guests: 64, ..EngineOptions::default() };
    let host = Host::new(options, bench.clone())?;

    println!("| filter | shared, us | request, us | difference |\n| --- | --- | --- | --- |");
    std::env::args().skip(1).try_for_each(|path| isolations(&host, &path))?;

    println!(
        "\n| machine | budget | CPU ms p50 | p99 | most | wall p50 | p99 |\n| --- | --- | --- | --- | --- | --- | --- |"
    );
    budgets(&host, &bench, "as it is")?;
    // Two threads for each core, which never wait.
    let stop = Arc::new(AtomicBool::new(false));
    let busy: Vec<_> = (0..2 * thread::available_parallelism()?.get())
        .map(|_| {
            let stop = stop.clone();
            thread::spawn(move || while !stop.load(Relaxed) {})
        })
        .collect();
    budgets(&host, &bench, "two busy threads a core")?;
    stop.store(true, Relaxed);
    busy.into_iter().try_for_each(|thread| thread.join()).map_err(|_| "a thread panicked")?;
    Ok(())
}
