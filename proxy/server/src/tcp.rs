//! TCP listeners: connections as bytes, through a chain of filters to one upstream.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use pingora_core::{apps::ServerApp, protocols::Stream, server::ShutdownWatch};
use sluice_host::{Direction, Event, Exchange, ExchangeFacts, Message, PeerType, Step};
use tokio::time::timeout_at;

use crate::{
    access_log::Connection,
    cause::Cause,
    dial::{dial, words},
    held::PAUSE_LIMIT,
    listen::is_probe,
    outside::Machine,
    proxy::Proxy,
    pump::{Pump, Woken},
    site::{Site, TcpRoute},
    telemetry::ConnectionTrace,
    tls_facts,
    upstream::Kind,
};

/// Most endpoints that one connection tries.
const MAX_TRIES: usize = 3;

/// Connections to TCP listeners that are open.
pub(crate) static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);

/// A listener as it was configured, and where it is bound.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    pub(crate) configured: SocketAddr,
    pub(crate) address: SocketAddr,
}

/// The application of all TCP listeners.
pub(crate) struct TcpProxy {
    pub(crate) proxy: Proxy,
    pub(crate) listeners: Vec<Bound>,
}

/// Counts a connection among what a clean end waits for.
struct InFlight;

impl InFlight {
    fn new() -> Self {
        CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        CONNECTIONS.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl ServerApp for TcpProxy {
    async fn process_new(self: &Arc<Self>, stream: Stream, _shutdown: &ShutdownWatch) -> Option<Stream> {
        let facts = facts(&stream);
        if facts.source.is_some_and(is_probe) {
            return None;
        }
        let _counted = InFlight::new();
        self.proxy.traffic.connections.fetch_add(1, Ordering::Relaxed);
        let site = self.proxy.live.get();
        // The route of the configuration that serves now; a listener that left it takes no connections any more.
        let Some(route) = facts.destination.and_then(|local| self.route(&site, local)) else {
            tracing::warn!(listener = ?facts.destination, "no TCP listener of the configuration has this address any more");
            return None;
        };
        let trace = self.proxy.tracing.connection();
        let mut record = Connection::new(&route.facts, &facts, site.generation);
        record.place = trace.as_ref().map(|trace| trace.context().clone());
        let mut message = Message::new(facts);
        message.facts.route = Some(route.facts.clone());
        message.facts.trace = trace.as_ref().map(ConnectionTrace::place);
        let mut exchange = route.chain.connect(Box::new(message));
        if trace.as_ref().is_some_and(ConnectionTrace::records) {
            exchange.record();
        }
        let cause = tokio::select! {
            cause = serve(stream, &route, &mut exchange, &mut record) => cause,
            () = site.cut.done() => Some(Cause::drained()),
        };
        exchange.finish();
        record.cause = cause;
        self.proxy.log.connection(&record, &exchange);
        if let Some(trace) = trace {
            trace.end(&record, &exchange);
        }
        None
    }
}

impl TcpProxy {
    fn route(&self, site: &Site, local: SocketAddr) -> Option<Arc<TcpRoute>> {
        let here = |bound: &Bound| {
            bound.address.port() == local.port()
                && (bound.address.ip().is_unspecified() || bound.address.ip() == local.ip())
        };
        let position = self.listeners.iter().position(here)?;
        let configured = self.listeners.get(position)?.configured;
        // Several listeners may be configured as port 0 of one address: they keep their order.
        let before = self.listeners.iter().take(position).filter(|b| b.configured == configured).count();
        site.tcp.iter().filter(|route| route.listener == configured).nth(before).cloned()
    }
}

fn facts(stream: &Stream) -> ExchangeFacts {
    let digest = stream.get_socket_digest();
    let address = |a: Option<&pingora_core::protocols::l4::socket::SocketAddr>| a.and_then(|a| a.as_inet().copied());
    let tls = stream.get_ssl_digest().and_then(|digest| tls_facts::facts(&digest));
    ExchangeFacts {
        source: address(digest.as_ref().and_then(|d| d.peer_addr())),
        destination: address(digest.as_ref().and_then(|d| d.local_addr())),
        started: Machine::wall_clock_now(),
        tls,
        ..ExchangeFacts::default()
    }
}

/// Carries one connection to its end; `Some` with what ended it early.
async fn serve(stream: Stream, route: &TcpRoute, exchange: &mut Exchange, record: &mut Connection) -> Option<Cause> {
    let step = exchange.connected();
    if let Err(cause) = settle(exchange, step).await {
        exchange.closed(Direction::Request, PeerType::Local);
        return Some(cause);
    }
    let upstream = match connect(route, exchange, record).await {
        Ok(upstream) => upstream,
        Err(cause) => {
            exchange.closed(Direction::Request, PeerType::Local);
            return Some(cause);
        }
    };
    let mut pump = Pump::new(stream, upstream);
    let cause = run(&mut pump, route.idle, exchange, record).await;
    // Who ended it: the client, if its end or its error came first.
    let client_first = pump.client_ended_first();
    exchange.closed(Direction::Request, if client_first { PeerType::Remote } else { PeerType::Local });
    exchange.closed(Direction::Response, if client_first { PeerType::Local } else { PeerType::Remote });
    cause
}

/// Waits while the new connection is held.
async fn settle(exchange: &mut Exchange, mut step: Step) -> Result<(), Cause> {
    let deadline = tokio::time::Instant::now() + PAUSE_LIMIT;
    loop {
        ended(step)?;
        if exchange.headers_passed(Direction::Request) {
            return Ok(());
        }
        let Some(inbox) = exchange.inbox().cloned() else { return Ok(()) };
        step = match timeout_at(deadline, std::future::poll_fn(|cx| inbox.poll_next(cx))).await {
            Ok(event) => exchange.handle(event),
            Err(_) => exchange.give_up(Direction::Request),
        };
    }
}

/// Connects to the upstream, to another endpoint of it when one does not answer.
async fn connect(route: &TcpRoute, exchange: &mut Exchange, record: &mut Connection) -> Result<Stream, Cause> {
    let Kind::Servers(servers) = &route.upstream.kind else { return Err(Cause::no_endpoint()) };
    let (mut last, mut tried) = (String::new(), None);
    for _ in 0..servers.len().min(MAX_TRIES) {
        record.tries += 1;
        let Some(endpoint) = servers.next_named(quanta::Instant::now(), tried) else { break };
        tried = endpoint.address();
        let tally = endpoint.tally();
        tally.attempts.fetch_add(1, Ordering::Relaxed);
        match dial(endpoint, false).await {
            Ok(stream) => {
                endpoint.answered();
                let digest = stream.get_socket_digest();
                let address = digest.as_ref().and_then(|d| d.peer_addr()).and_then(|a| a.as_inet().copied());
                record.upstream = address;
                exchange.message().facts.upstream = address;
                return Ok(stream);
            }
            Err(error) => {
                tally.failures.fetch_add(1, Ordering::Relaxed);
                endpoint.unanswered();
                last = words(&*error);
            }
        }
    }
    tracing::warn!(upstream = route.upstream.name, error = last, "no endpoint takes the connection");
    Err(Cause::tcp_connect())
}

/// Moves bytes both ways until both sides are done.
async fn run(pump: &mut Pump, idle: Duration, exchange: &mut Exchange, record: &mut Connection) -> Option<Cause> {
    loop {
        let inbox = exchange.inbox().cloned();
        let waits_for_event = exchange.is_held(Direction::Request) || exchange.is_held(Direction::Response);
        let event = async {
            match inbox.filter(|_| waits_for_event) {
                Some(inbox) => std::future::poll_fn(|cx| inbox.poll_next(cx)).await,
                None => std::future::pending::<Event>().await,
            }
        };
        let woken = tokio::select! {
            woken = pump.next() => woken,
            event = event => Woken::Event(event),
            () = tokio::time::sleep(idle) => Woken::Idle,
        };
        let step = match woken {
            Woken::Read(direction, bytes) => {
                let (end, size) = (bytes.is_empty(), bytes.len() as u64);
                let facts = &mut exchange.message().facts;
                match direction {
                    Direction::Request => facts.request_bytes += size,
                    Direction::Response => facts.response_bytes += size,
                }
                exchange.data(direction, bytes, end)
            }
            Woken::Event(event) => exchange.handle(event),
            Woken::Written => Step::Continue,
            Woken::Idle => return Some(Cause::idle()),
            Woken::Failed(direction) => {
                return (direction == Direction::Response).then(Cause::tcp_reset);
            }
        };
        if let Err(cause) = ended(step) {
            return Some(cause);
        }
        for direction in [Direction::Request, Direction::Response] {
            let (bytes, end) = exchange.take_body(direction);
            record.passed(direction, bytes.len());
            pump.pass(direction, bytes, end);
        }
        if pump.is_done() {
            return None;
        }
    }
}

/// What ends a connection before its peers do.
fn ended(step: Step) -> Result<(), Cause> {
    match step {
        Step::Continue | Step::Hold => Ok(()),
        Step::Fail(fault) => Err(Cause::fault(&fault)),
        // There is nothing that could be answered on a TCP connection.
        Step::Reset | Step::Reply(_) => Err(Cause::closed()),
    }
}

/// What the log of one connection needs beside the chain.
impl Connection {
    fn new(route: &Arc<sluice_host::RouteFacts>, facts: &ExchangeFacts, generation: u64) -> Self {
        Self {
            route: route.clone(),
            client: facts.source,
            listener: facts.destination,
            tls: facts.tls.clone(),
            began: Instant::now(),
            began_wall: facts.started,
            generation,
            place: None,
            upstream: None,
            tries: 0,
            received: 0,
            sent: 0,
            cause: None,
        }
    }

    fn passed(&mut self, direction: Direction, bytes: usize) {
        match direction {
            Direction::Request => self.received += bytes as u64,
            Direction::Response => self.sent += bytes as u64,
        }
    }
}
