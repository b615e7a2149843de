//! Plays a chain through both proxies, exchange by exchange.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    panic, thread,
    time::{Duration, Instant},
};

use crate::{
    envoy::Envoy,
    http2,
    origin::Origin,
    plan::{Chain, Exchange, Silent},
    seen::{Messages, Record, Seen},
    services::Services,
    side::{Setup, Side},
    sluice::Sluice,
};

/// Longest wait for an answer: an exchange that needs it differs or is meant to be silent.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What one proxy did with a chain.
pub struct Played {
    /// What guests said before the first request.
    pub start: Vec<String>,
    pub records: Vec<Record>,
    /// The proxy's own log, to be shown with a failure.
    pub log: String,
}

/// How a record says that the proxy did not live through the exchange.
pub const DIED: &str = "the proxy died";

pub fn envoy(chain: &Chain) -> Played {
    play::<Envoy>(chain, Envoy::refused)
}

pub fn sluice(chain: &Chain) -> Played {
    play::<Sluice>(chain, Sluice::refused)
}

fn play<P: Side>(chain: &Chain, refused: fn(&Setup<'_>) -> Vec<String>) -> Played {
    let origin = Origin::start(chain.world.http2_upstream);
    let services = chain.world.callouts.then(Services::start);
    let clusters = services.as_ref().map(Services::clusters).unwrap_or_default();
    let setup = Setup { filters: &chain.filters, upstream: origin.address, world: chain.world, clusters };
    if chain.refused {
        return Played { start: refused(&setup), records: Vec::new(), log: String::new() };
    }
    if let (Some(services), Some(first)) = (&services, chain.exchanges.first()) {
        services.answering.answer(&first.service);
    }
    let mut proxy = P::start(&setup);
    origin.behind(proxy.sync());
    let start = if chain.world.alive { Vec::new() } else { proxy.guest_log() };
    let mut heard = start.len();
    let mut records = Vec::new();
    for exchange in &chain.exchanges {
        let world = (&origin, services.as_ref());
        let once = panic::AssertUnwindSafe(|| until_served(&proxy, world, chain, exchange, &mut heard));
        match panic::catch_unwind(once) {
            Ok(record) => records.push(record),
            Err(why) if !dies(&mut proxy) => panic::resume_unwind(why),
            Err(_) => {
                origin.take();
                records.push(Record { connection: DIED.to_owned(), ..Record::default() });
                proxy = P::start(&setup);
                origin.behind(proxy.sync());
                heard = proxy.guest_log().len();
            }
        }
    }
    Played { start, records, log: proxy.log() }
}

/// A proxy that crashes takes its time to write down where.
fn dies(proxy: &mut impl Side) -> bool {
    let began = Instant::now();
    while proxy.alive() {
        if began.elapsed() > Duration::from_secs(5) {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

fn until_served(
    proxy: &impl Side,
    (origin, services): (&Origin, Option<&Services>),
    chain: &Chain,
    exchange: &Exchange,
    heard: &mut usize,
) -> Record {
    let began = Instant::now();
    loop {
        origin.answer(&exchange.reply);
        services.inspect(|s| s.answering.answer(&exchange.service));
        let (client, connection) =
            if chain.world.http2_clients { http2::send(proxy, exchange) } else { send(proxy, exchange, origin) };
        let mut service = services.map_or(Vec::new(), |s| {
            s.answering.wait_for(exchange.calls);
            s.answering.take()
        });
        service.sort_by(|a, b| (&a.line, &a.body).cmp(&(&b.line, &b.body)));
        proxy.sync().wait();
        let guest = heard_until(proxy, exchange.until_logged, heard);
        let metrics = exchange.metrics.iter().map(|(name, step)| {
            let read = client.last().and_then(|answer| answer.header(&format!("x-store-{step}")));
            format!("{name} {}", proxy.metric(name).or(read).unwrap_or_default())
        });
        let metrics = metrics.collect();
        let record = Record { client, connection, upstream: origin.take(), service, guest, metrics };
        let refused = record.client.last().is_some_and(|answer| answer.status() == 503);
        if !exchange.until_served || !refused || began.elapsed() > PATIENCE {
            return record;
        }
    }
}

/// What guests have said since the last call, which may have to hold a text.
fn heard_until(proxy: &impl Side, text: Option<&str>, heard: &mut usize) -> Vec<String> {
    let began = Instant::now();
    loop {
        let log = proxy.guest_log();
        let new = log[*heard..].to_vec();
        let there = text.is_none_or(|text| new.iter().any(|line| line.contains(text)));
        if there || began.elapsed() > PATIENCE {
            *heard = log.len();
            return new;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn send<P: Side>(proxy: &P, exchange: &Exchange, origin: &Origin) -> (Vec<Seen>, String) {
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let silent = exchange.silent == Silent::Both || exchange.silent == P::SILENT;
    let mut seen = Vec::new();
    let mut messages = Messages::new(stream.try_clone().unwrap());
    for (index, piece) in exchange.pieces.iter().enumerate() {
        if index == 1 && exchange.expects_continue() {
            seen.extend(messages.next(false));
        } else if index > 0 {
            proxy.sync().wait();
        }
        // The answer may come before all is sent.
        if stream.write_all(piece).is_err() {
            break;
        }
    }
    while !silent && let Some(answer) = messages.next(exchange.head_only) {
        let interim = answer.status() / 100 == 1;
        seen.push(answer);
        if !interim {
            break;
        }
    }
    origin.wait_for(exchange.reaches);
    proxy.sync().wait();
    stream.set_nonblocking(true).unwrap();
    let connection = match stream.read(&mut [0]) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => "open",
        Ok(0) | Err(_) => "closed",
        Ok(_) => "more bytes",
    };
    (seen, connection.to_owned())
}
