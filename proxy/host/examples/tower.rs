//! A chain of filters in front of a `tower` service, with no Pingora, no socket and no runtime.
//!
//! ```text
//! cargo run -p sluice-host --example tower -- filters/rust/hello/hello.wasm '{"greeting":"hi"}'
//! ```

#![allow(clippy::print_stdout, reason = "it is here to show something")]

use std::{
    convert::Infallible,
    error::Error,
    fs,
    io::Read,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, Response};
use sluice_host::{
    Callout, CapReport, Chain, CrashReport, Direction, Done, EngineOptions, Exchange, FilterSpec, Host, Isolation, Job,
    Link, LogLevel, LogLine, Message, Outside, RequestHead, RequestParts, ResponseHead, ResponseParts, SlowReport,
    Step,
};
use tower::{Service, ServiceExt, service_fn};

/// What filters may want from beyond the host.
struct Room(Instant);

impl Outside for Room {
    fn wall_clock(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
    fn monotonic(&self) -> Duration {
        self.0.elapsed() + Duration::from_secs(1)
    }
    fn random(&self, buffer: &mut [u8]) {
        // A filter that gets no randomness must not go on with zeros.
        if fs::File::open("/dev/urandom").and_then(|mut f| f.read_exact(buffer)).is_err() {
            std::process::abort();
        }
    }
    fn log_level(&self, _filter: &str) -> LogLevel {
        LogLevel::Info
    }
    fn log(&self, line: &LogLine<'_>) {
        println!("  {} says: {}", line.filter, line.message);
    }
    fn slow(&self, report: &SlowReport<'_>) {
        println!("  {} took {:?} in {}", report.filter, report.used, report.phase.name());
    }

    fn crashed(&self, report: &CrashReport<'_>) {
        println!("  {} died in {}: {}", report.filter, report.phase.name(), report.crash);
    }
    fn capped(&self, report: &CapReport<'_>) {
        println!("  {} met a cap: {report}", report.filter);
    }
    // Work beside requests needs threads; this room has none, so ticks do not come and callouts are refused.
    fn later(&self, _delay: Duration, _job: Job) {}
    fn reaches(&self, _upstream: &str) -> bool {
        false
    }
    fn send(&self, _callout: Callout, _done: Done) {}
}

/// A layer by hand: the request through the chain, the service, the response back through it.
async fn filtered<S>(chain: Chain, mut service: S, request: Request<Bytes>) -> Result<Response<Bytes>, Box<dyn Error>>
where
    S: Service<Request<Bytes>, Response = Response<Bytes>, Error = Infallible>,
{
    let mut exchange = chain.open(Box::default());
    let (parts, body) = request.into_parts();
    exchange.message().request = Some(Box::new(RequestHead(RequestParts(parts))));
    let step = exchange.request_headers(body.is_empty());
    if let Some(reply) = ended(step) {
        return Ok(reply);
    }
    if !body.is_empty()
        && let Some(reply) = ended(exchange.request_body(body, true))
    {
        return Ok(reply);
    }
    let body = exchange.take_body(Direction::Request).0;
    let parts = head(&mut exchange, |m| m.request.as_mut(), |h: &RequestHead<RequestParts>| h.0.0.clone())?;

    let response = service.ready().await?.call(Request::from_parts(parts, body)).await?;

    let (parts, body) = response.into_parts();
    exchange.message().response = Some(Box::new(ResponseHead(ResponseParts(parts))));
    if let Some(reply) = ended(exchange.response_headers(body.is_empty())) {
        return Ok(reply);
    }
    if let Some(reply) = ended(exchange.response_body(body, true)) {
        return Ok(reply);
    }
    let body = exchange.take_body(Direction::Response).0;
    let parts = head(&mut exchange, |m| m.response.as_mut(), |h: &ResponseHead<ResponseParts>| h.0.0.clone())?;
    exchange.finish();
    Ok(Response::from_parts(parts, body))
}

/// Takes a copy of a head out of the exchange, in the type that it was put in with.
fn head<H: 'static, P>(
    exchange: &mut Exchange,
    find: impl Fn(&mut Message) -> Option<&mut Box<dyn sluice_host::Head>>,
    copy: impl Fn(&H) -> P,
) -> Result<P, &'static str> {
    let head = find(exchange.message()).and_then(|h| h.as_any_mut().downcast_ref::<H>()).map(copy);
    head.ok_or("the head is not there")
}

/// The answer of a step that ends the exchange.
fn ended(step: Step) -> Option<Response<Bytes>> {
    let answer = |status: u16, body: Bytes| {
        let mut response = Response::new(body);
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
        response
    };
    match step {
        Step::Continue => None,
        Step::Reply(reply) => Some(answer(reply.status, reply.body)),
        Step::Fail(fault) => Some(answer(503, Bytes::from(fault.to_string()))),
        // Nothing here would continue a paused stream.
        Step::Hold | Step::Reset => Some(answer(504, Bytes::new())),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let module = arguments.next().ok_or("usage: tower FILTER.wasm [CONFIGURATION]")?;
    let host = Host::new(EngineOptions { max_guests: 8, ..EngineOptions::default() }, Arc::new(Room(Instant::now())))?;
    let filter = host.load(
        &FilterSpec {
            configs: vec![arguments.next().unwrap_or_default()],
            ..FilterSpec::new("filter", host.compile(&fs::read(&module)?, Isolation::Shared)?)
        },
        1,
    )?;
    let chain = Chain::new(vec![Link { filter, configuration: 0 }]);
    let service = service_fn(|request: Request<Bytes>| async move {
        println!("  the service sees {} {} {:?}", request.method(), request.uri(), request.headers());
        Ok::<_, Infallible>(Response::new(Bytes::from_static(b"hello from the service")))
    });
    let request = Request::get("/hello").header("host", "tower.test").body(Bytes::new())?;
    let response = pollster::block_on(filtered(chain, service, request))?;
    println!("  the client sees {} {:?} {:?}", response.status(), response.headers(), response.body());
    Ok(())
}
