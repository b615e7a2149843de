//! Everything that a host needs around it, at the least cost: so what is measured is the host.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use sluice_host::{
    Callout, CapReport, Chain, CrashReport, Done, EngineOptions, FilterSpec, Host, Isolation, Job, Link, LogLevel,
    LogLine, Outside, RequestHead, RequestParts, ResponseHead, ResponseParts, SlowReport,
};

/// Guests at a time: few, as address space is scarce under valgrind.
const GUESTS: u32 = 16;

struct Nobody {
    began: Instant,
}

impl Outside for Nobody {
    fn wall_clock(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
    fn monotonic(&self) -> Duration {
        self.began.elapsed() + Duration::from_secs(1)
    }
    fn random(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
    fn log_level(&self, _filter: &str) -> LogLevel {
        LogLevel::Warn
    }
    fn log(&self, _line: &LogLine<'_>) {}
    fn crashed(&self, report: &CrashReport<'_>) {
        panic!("a guest died: {}", report.crash.message);
    }
    fn capped(&self, report: &CapReport<'_>) {
        panic!("{report}");
    }
    // Under valgrind everything is.
    fn slow(&self, _report: &SlowReport<'_>) {}
    fn later(&self, _delay: Duration, _job: Job) {}
    fn reaches(&self, _upstream: &str) -> bool {
        true
    }
    fn send(&self, _callout: Callout, _done: Done) {}
}

pub(crate) fn nobody() -> Arc<dyn Outside> {
    Arc::new(Nobody { began: Instant::now() })
}

pub(crate) fn host() -> Host {
    let options = EngineOptions { max_guests: GUESTS, ..EngineOptions::default() };
    Host::new(options, nobody()).expect("a host")
}

/// A chain of so many filters of one module, and the host that they live in.
pub(crate) fn chain(module: &[u8], config: &str, count: usize, isolation: Isolation) -> (Host, Chain) {
    let host = host();
    let code = host.compile(module, isolation).expect("it compiles");
    let link = |n: usize| {
        let spec = FilterSpec {
            isolation,
            configs: vec![config.to_owned()],
            // Under valgrind everything takes fifty times as long.
            cpu_per_call: Duration::from_secs(60),
            cpu_per_request: Duration::from_secs(60),
            cpu_start: Duration::from_secs(60),
            ..FilterSpec::new(format!("f{n}"), code.clone())
        };
        Link { filter: host.load(&spec, 1).expect("it loads"), configuration: 0 }
    };
    let chain = Chain::new((0..count).map(link).collect());
    (host, chain)
}

/// One request with six fields and its answer, through a chain.
pub(crate) fn exchange(chain: &Chain) {
    let mut exchange = chain.open(Box::default());
    let mut request = http::Request::get("/a/b?c=d").header("host", "a.test");
    for name in ["x-field-1", "x-field-2", "x-field-3", "x-field-4", "x-field-5"] {
        request = request.header(name, "a value of some length");
    }
    let (parts, ()) = request.body(()).expect("a request").into_parts();
    exchange.message().request = Some(Box::new(RequestHead(RequestParts(parts))));
    let _ = exchange.request_headers(true);
    let (parts, ()) = http::Response::new(()).into_parts();
    exchange.message().response = Some(Box::new(ResponseHead(ResponseParts(parts))));
    let _ = exchange.response_headers(false);
    let _ = exchange.response_body(Bytes::from_static(b"hello"), true);
    exchange.finish();
}
