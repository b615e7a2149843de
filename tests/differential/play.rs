//! Plays a chain through both proxies, exchange by exchange.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    panic, thread,
    time::{Duration, Instant},
};

use crate::{
    envoy::Envoy,
    origin::Origin,
    plan::{Chain, Exchange, Filter, Silent},
    seen::{Messages, Record, Seen},
    side::Side,
    sluice::Sluice,
};

/// Longest wait for an answer: an exchange that needs it differs or is meant to be silent.
const PATIENCE: Duration = Duration::from_secs(10);

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

fn play<P: Side>(chain: &Chain, refused: fn(&[Filter], SocketAddr) -> Vec<String>) -> Played {
    let origin = Origin::start();
    if chain.refused {
        return Played { start: refused(&chain.filters, origin.address), records: Vec::new(), log: String::new() };
    }
    let mut proxy = P::start(&chain.filters, origin.address);
    origin.behind(proxy.sync());
    let start = proxy.guest_log();
    let mut heard = start.len();
    let mut records = Vec::new();
    for exchange in &chain.exchanges {
        let once = panic::AssertUnwindSafe(|| until_served(&proxy, &origin, exchange, &mut heard));
        match panic::catch_unwind(once) {
            Ok(record) => records.push(record),
            Err(why) if !dies(&mut proxy) => panic::resume_unwind(why),
            Err(_) => {
                origin.take();
                records.push(Record { connection: DIED.to_owned(), ..Record::default() });
                proxy = P::start(&chain.filters, origin.address);
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

fn until_served(proxy: &impl Side, origin: &Origin, exchange: &Exchange, heard: &mut usize) -> Record {
    let began = Instant::now();
    loop {
        origin.answer(&exchange.reply);
        let (client, connection) = send(proxy, exchange);
        proxy.sync().wait();
        let log = proxy.guest_log();
        let record = Record { client, connection, upstream: origin.take(), guest: log[*heard..].to_vec() };
        *heard = log.len();
        let refused = record.client.last().is_some_and(|answer| answer.status() == 503);
        if !exchange.until_served || !refused || began.elapsed() > PATIENCE {
            return record;
        }
    }
}

fn send<P: Side>(proxy: &P, exchange: &Exchange) -> (Vec<Seen>, String) {
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
    proxy.sync().wait();
    stream.set_nonblocking(true).unwrap();
    let connection = match stream.read(&mut [0]) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => "open",
        Ok(0) | Err(_) => "closed",
        Ok(_) => "more bytes",
    };
    (seen, connection.to_owned())
}
