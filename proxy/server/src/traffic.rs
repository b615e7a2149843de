//! What passes through, counted: requests by route, attempts by upstream, connections by endpoint.
//!
//! Nothing that a client makes up is counted by: methods are known ones or `_OTHER`, routes, upstreams and endpoints are
//! those of the configuration. Counts go by name, so that they outlive every swap; whoever counts holds its own.

mod attempt;
mod times;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;

pub(crate) use self::{
    attempt::{Attempt, begin, end, failed},
    times::{Kind, Times, version},
};
use crate::health::Health;

/// Names that are counted by, beyond which those are forgotten that no configuration which still serves names.
const KEPT: usize = 1024;

/// One for the process.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) routes: Named<Times>,
    pub(crate) upstreams: Named<Reached>,
    /// Requests that no route takes.
    pub(crate) unrouted: Times,
    /// Connections to TCP listeners.
    pub(crate) connections: AtomicU64,
    /// Connections to the others, once they speak: after the handshake of TLS.
    pub(crate) http: Connections,
}

/// Connections of clients.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    pub(crate) taken: AtomicU64,
    pub(crate) closed: AtomicU64,
}

impl Connections {
    /// Counts one, open until what this gives is dropped.
    pub(crate) fn open(&self) -> impl Drop + '_ {
        struct Open<'a>(&'a Connections);
        impl Drop for Open<'_> {
            fn drop(&mut self) {
                self.0.closed.fetch_add(1, Relaxed);
            }
        }
        self.taken.fetch_add(1, Relaxed);
        Open(self)
    }

    /// Those that are open now.
    pub(crate) fn active(&self) -> u64 {
        // In this order, so that none is closed before it was taken.
        let closed = self.closed.load(Relaxed);
        self.taken.load(Relaxed).saturating_sub(closed)
    }
}

/// What was asked of one upstream.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    pub(crate) times: Times,
    pub(crate) endpoints: Named<Tally>,
}

/// How one endpoint was reached.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Requests that were to go there, and connections of TCP listeners.
    pub(crate) attempts: AtomicU64,
    /// Those of which nothing came, or no whole answer.
    pub(crate) failures: AtomicU64,
    /// Connections that were opened.
    pub(crate) opened: AtomicU64,
    /// Requests that found one open.
    pub(crate) reused: AtomicU64,
    /// Whether it gets requests.
    pub(crate) health: Health,
}

impl Tally {
    /// There is a connection for a request.
    pub(crate) fn connected(&self, reused: bool) {
        let count = if reused { &self.reused } else { &self.opened };
        count.fetch_add(1, Relaxed);
    }
}

/// Counts by name. A name is kept when no configuration has it any more: it may come back, and counts never go back.
#[derive(Debug)]
pub(crate) struct Named<T>(Mutex<BTreeMap<String, Arc<T>>>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Default> Named<T> {
    /// The counts of a name. Not for the way of a request: it looks the name up.
    pub(crate) fn of(&self, name: &str) -> Arc<T> {
        let mut names = self.0.lock();
        if names.len() >= KEPT && !names.contains_key(name) {
            names.retain(|_, counts| Arc::strong_count(counts) > 1);
        }
        names.entry(name.to_owned()).or_default().clone()
    }

    pub(crate) fn all(&self) -> Vec<(String, Arc<T>)> {
        self.0.lock().iter().map(|(name, counts)| (name.clone(), counts.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_go_by_name_and_come_back_with_it() {
        let names = Named::<AtomicU64>::default();
        names.of("a").fetch_add(1, Relaxed);
        names.of("a").fetch_add(1, Relaxed);
        names.of("b");
        let all: Vec<_> = names.all().iter().map(|(name, count)| (name.clone(), count.load(Relaxed))).collect();
        assert_eq!(all, [("a".to_owned(), 2), ("b".to_owned(), 0)]);
    }

    #[test]
    fn names_that_nothing_has_any_more_end_somewhere() {
        let names = Named::<AtomicU64>::default();
        let held = names.of("held");
        held.fetch_add(7, Relaxed);
        for n in 0..10 * KEPT {
            names.of(&n.to_string());
            assert!(names.0.lock().len() <= KEPT);
        }
        assert_eq!(names.of("held").load(Relaxed), 7);
        let all: Vec<_> = (0..2 * KEPT).map(|n| names.of(&format!("held {n}"))).collect();
        assert!(names.0.lock().len() > all.len(), "what serves is never forgotten");
    }
}
