//! The last requests with what their filters did. A worker notes plain values; they are put into words only when somebody
//! asks.
//!
//! Nothing here waits: each request has a place of its own in a ring, and takes the one that was there before out of it.
//! Texts are cut and visits of a request are few, so that the ring has a bound.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use http::header::HOST;
use opentelemetry::trace::SpanContext;
use pingora_proxy::Session;
use sluice_host::{Digest, Outcome, RouteFacts, Visits};

use crate::{answer, context::Context, request::protocol, telemetry};

/// Longest texts that are remembered, bytes.
const ID: usize = 128;
const NAME: usize = 255;
const TARGET: usize = 1024;

/// The ring.
pub(crate) struct Recent {
    places: Box<[ArcSwapOption<Remembered>]>,
    /// How many there were since the process began.
    seen: AtomicU64,
}

/// A request that is over.
pub(crate) struct Remembered {
    /// Counts from 0 in this process.
    pub(crate) number: u64,
    pub(crate) began: Duration,
    pub(crate) duration: Duration,
    pub(crate) upstream_time: Option<Duration>,
    /// Where it stands in a trace: ours, or else that of whoever sent it.
    pub(crate) trace: Option<SpanContext>,
    pub(crate) id: Box<[u8]>,
    pub(crate) client: Option<SocketAddr>,
    pub(crate) method: &'static str,
    pub(crate) protocol: &'static str,
    pub(crate) host: Box<[u8]>,
    pub(crate) target: Box<[u8]>,
    pub(crate) route: Option<Arc<RouteFacts>>,
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) attempts: usize,
    /// 0 when there was no answer.
    pub(crate) status: u16,
    pub(crate) error: Option<&'static str>,
    pub(crate) replied_by: Option<Arc<str>>,
    pub(crate) generation: u64,
    /// Its chain. Not the filters themselves: whoever holds one keeps its guests.
    pub(crate) filters: Vec<Met>,
    pub(crate) visits: Visits,
}

/// A filter of its chain.
pub(crate) struct Met {
    pub(crate) filter: Arc<str>,
    pub(crate) digest: Digest,
    pub(crate) used: Duration,
    pub(crate) outcome: Outcome,
}

impl Recent {
    /// A ring with so many places; `None` for none.
    pub(crate) fn of(places: usize) -> Option<Self> {
        let ring = || (0..places).map(|_| ArcSwapOption::empty()).collect();
        (places > 0).then(|| Self { places: ring(), seen: AtomicU64::new(0) })
    }

    /// A request is over. `place` is where it stands in our own traces.
    pub(crate) fn remember(&self, session: &Session, ctx: &mut Context, place: Option<SpanContext>) {
        let head = session.req_header();
        let field =
            |name: &str, most| head.headers.get(name).map(|value| cut(value.as_bytes(), most)).unwrap_or_default();
        let mut visits = ctx.exchange.as_mut().map(sluice_host::Exchange::take_visits).unwrap_or_default();
        // What filters add to their spans can be large, and is for whoever collects those.
        visits.all.iter_mut().for_each(|visit| visit.notes = Vec::new());
        let met = |ran: sluice_host::Ran<'_>| Met {
            filter: ran.filter.clone(),
            digest: ran.digest,
            used: ran.used,
            outcome: ran.outcome,
        };
        let over = Remembered {
            number: self.seen.fetch_add(1, Relaxed),
            began: ctx.began_wall,
            duration: ctx.began.elapsed(),
            upstream_time: ctx.upstream_times.whole(),
            trace: place.or_else(|| telemetry::sender(&head.headers)),
            id: field("x-request-id", ID),
            client: session.client_addr().and_then(|address| address.as_inet().copied()),
            method: ctx.method,
            protocol: protocol(head.version),
            host: field(HOST.as_str(), NAME),
            target: cut(head.raw_path(), TARGET),
            route: ctx.route.as_ref().map(|route| route.facts.clone()),
            endpoint: ctx.upstream,
            attempts: ctx.tries,
            status: answer::sent(session).map_or(0, |head| head.status.as_u16()),
            error: ctx.cause.as_ref().map(|cause| cause.token),
            replied_by: ctx.replied.as_ref().map(|(filter, _)| filter.clone()),
            generation: ctx.site.as_ref().map_or(0, |site| site.generation),
            filters: ctx.exchange.iter().flat_map(|exchange| exchange.ran()).map(met).collect(),
            visits,
        };
        self.put(over);
    }

    fn put(&self, over: Remembered) {
        let place = usize::try_from(over.number % self.places.len() as u64).ok().and_then(|at| self.places.get(at));
        if let Some(place) = place {
            place.store(Some(Arc::new(over)));
        }
    }

    /// What is remembered, the last one first.
    pub(crate) fn all(&self) -> Vec<Arc<Remembered>> {
        let mut all: Vec<_> = self.places.iter().filter_map(ArcSwapOption::load_full).collect();
        all.sort_by_key(|over| std::cmp::Reverse(over.number));
        all
    }

    pub(crate) fn places(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn seen(&self) -> u64 {
        self.seen.load(Relaxed)
    }
}

/// The beginning of a text that may be too long.
fn cut(text: &[u8], most: usize) -> Box<[u8]> {
    text.get(..most).unwrap_or(text).into()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A request that took so many milliseconds.
    pub(crate) fn over(number: u64, ms: u64, status: u16) -> Remembered {
        Remembered {
            number,
            began: Duration::from_secs(1),
            duration: Duration::from_millis(ms),
            upstream_time: None,
            trace: None,
            id: Box::default(),
            client: None,
            method: "GET",
            protocol: "HTTP/1.1",
            host: Box::default(),
            target: Box::default(),
            route: None,
            endpoint: None,
            attempts: 0,
            status,
            error: None,
            replied_by: None,
            generation: 1,
            filters: Vec::new(),
            visits: Visits::default(),
        }
    }

    #[test]
    fn the_last_ones_are_remembered_and_no_more() {
        assert!(Recent::of(0).is_none());
        let recent = Recent::of(3).expect("a ring");
        for _ in 0..10 {
            let number = recent.seen.fetch_add(1, Relaxed);
            recent.put(over(number, 1, 200));
        }
        let numbers: Vec<_> = recent.all().iter().map(|over| over.number).collect();
        assert_eq!((numbers, recent.seen(), recent.places()), (vec![9, 8, 7], 10, 3));
    }

    #[test]
    fn workers_never_lose_the_ring_to_each_other() {
        let recent = Recent::of(4).expect("a ring");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let number = recent.seen.fetch_add(1, Relaxed);
                        recent.put(over(number, 1, 200));
                        assert!(recent.all().len() <= 4);
                    }
                });
            }
        });
        assert_eq!((recent.seen(), recent.all().len()), (4000, 4));
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!((&*cut(b"abc", 2), &*cut(b"abc", 3)), (&b"ab"[..], &b"abc"[..]));
    }
}
