//! Plays a chain through both proxies, exchange by exchange.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::{
    envoy::Envoy,
    origin::Origin,
    plan::{Chain, Exchange, Filter},
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

pub fn envoy(chain: &Chain) -> Played {
    let origin = Origin::start();
    if chain.refused {
        return said(Envoy::refused(&chain.filters, origin.address));
    }
    let proxy = Envoy::start(&chain.filters, origin.address);
    let (start, records) = through(&proxy, &origin, &chain.exchanges);
    Played { start, records, log: proxy.log() }
}

pub fn sluice(chain: &Chain) -> Played {
    let origin = Origin::start();
    if chain.refused {
        return said(Sluice::refused(&chain.filters, origin.address));
    }
    let proxy = Sluice::start(&chain.filters, origin.address);
    let (start, records) = through(&proxy, &origin, &chain.exchanges);
    Played { start, records, log: proxy.log() }
}

fn said(start: Vec<String>) -> Played {
    Played { start, records: Vec::new(), log: String::new() }
}

fn through(proxy: &impl Side, origin: &Origin, exchanges: &[Exchange]) -> (Vec<String>, Vec<Record>) {
    origin.behind(proxy.sync());
    let start = proxy.guest_log();
    let mut heard = start.len();
    let mut records = Vec::new();
    for exchange in exchanges {
        let began = Instant::now();
        loop {
            origin.answer(&exchange.reply);
            let (client, connection) = send(proxy, exchange);
            proxy.sync().wait();
            let log = proxy.guest_log();
            let record = Record { client, connection, upstream: origin.take(), guest: log[heard..].to_vec() };
            heard = log.len();
            let refused = record.client.last().is_some_and(|answer| answer.status() == 503);
            if !exchange.until_served || !refused || began.elapsed() > PATIENCE {
                records.push(record);
                break;
            }
        }
    }
    (start, records)
}

fn send(proxy: &impl Side, exchange: &Exchange) -> (Vec<Seen>, String) {
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for (index, piece) in exchange.pieces.iter().enumerate() {
        if index > 0 {
            proxy.sync().wait();
        }
        // The answer may come before all is sent.
        if stream.write_all(piece).is_err() {
            break;
        }
    }
    let mut seen = Vec::new();
    let mut messages = Messages::new(stream.try_clone().unwrap());
    while !exchange.silent
        && let Some(answer) = messages.next(exchange.head_only)
    {
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
