//! Everything that a host needs around it, at the least cost: so what is measured is the host.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use sluice_host::{
    Callout, CapReport, Caps, Chain, Code, CrashReport, Done, EngineOptions, Exchange, FilterSpec, Grants, GrpcCall,
    GrpcEvents, GrpcSink, Host, Isolation, Job, Link, LogLevel, LogLine, Outside, RequestHead, RequestParts,
    ResponseHead, ResponseParts, SlowReport,
};

use crate::waiting::{self, Sink, Waiting};

/// Guests at a time: few, as valgrind 3.19 has no room for sixteen, of 4 GiB each. The longest chain has ten.
const GUESTS: u32 = 12;

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
    // Time does not pass: what is not due at once never is.
    fn later(&self, delay: Duration, job: Job) {
        if delay.is_zero() {
            waiting::keep(Waiting::Job(job));
        }
    }
    fn reaches(&self, _upstream: &str) -> bool {
        true
    }
    fn send(&self, _callout: Callout, done: Done) {
        waiting::keep(Waiting::Http(done));
    }
    fn open(&self, _call: GrpcCall, events: GrpcEvents) -> Box<dyn GrpcSink> {
        waiting::keep(Waiting::Grpc(events));
        Box::new(Sink)
    }
}

pub(crate) fn nobody() -> Arc<dyn Outside> {
    Arc::new(Nobody { began: Instant::now() })
}

pub(crate) fn host() -> Host {
    let options = EngineOptions { max_guests: GUESTS, ..EngineOptions::default() };
    Host::new(options, nobody()).expect("a host")
}

/// What a filter of this code is loaded as: granted everything, and with limits that it does not meet.
pub(crate) fn spec(name: &str, code: &Code, config: &str, isolation: Isolation) -> FilterSpec {
    FilterSpec {
        isolation,
        configs: vec![config.to_owned()],
        // Under valgrind everything takes fifty times as long.
        cpu_per_call: Duration::from_secs(60),
        cpu_per_request: Duration::from_secs(60),
        cpu_start: Duration::from_secs(60),
        // A scene writes as fast as it can.
        caps: Caps { log_rate: usize::MAX, ..Caps::default() },
        grants: Grants::all(),
        ..FilterSpec::new(name, code.clone())
    }
}

/// A chain of so many filters of one module, and the host that they live in.
pub(crate) fn chain(module: &[u8], config: &str, count: usize, isolation: Isolation) -> (Host, Chain) {
    let host = host();
    let code = host.compile(module, isolation).expect("it compiles");
    let link = |n: usize| {
        let spec = spec(&format!("f{n}"), &code, config, isolation);
        Link { filter: host.load(&spec, 1).expect("it loads"), configuration: 0 }
    };
    let chain = Chain::new((0..count).map(link).collect());
    (host, chain)
}

/// One request with six fields and its answer, through a chain.
pub(crate) fn exchange(chain: &Chain) {
    exchange_of(chain, Bytes::from_static(b"hello"));
}

/// The same with another body of the answer.
pub(crate) fn exchange_of(chain: &Chain, body: Bytes) {
    let mut exchange = open(chain);
    let _ = exchange.request_headers(true);
    respond(&mut exchange, http::Response::new(()), body);
    exchange.finish();
}

/// An exchange with its request at hand.
pub(crate) fn open(chain: &Chain) -> Exchange {
    let mut exchange = chain.open(Box::default());
    let mut request = http::Request::get("/a/b?c=d").header("host", "a.test");
    for name in ["x-field-1", "x-field-2", "x-field-3", "x-field-4", "x-field-5"] {
        request = request.header(name, "a value of some length");
    }
    let (parts, ()) = request.body(()).expect("a request").into_parts();
    exchange.message().request = Some(Box::new(RequestHead(RequestParts(parts))));
    exchange
}

/// The response comes, in one piece.
pub(crate) fn respond(exchange: &mut Exchange, response: http::Response<()>, body: Bytes) {
    let (parts, ()) = response.into_parts();
    exchange.message().response = Some(Box::new(ResponseHead(ResponseParts(parts))));
    let _ = exchange.response_headers(false);
    let _ = exchange.response_body(body, true);
}
