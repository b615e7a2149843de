//! The guests of a filter: one for each worker shard, rebuilt after a crash, or a fresh one for each request.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use sluice_engine::Crash;

use crate::{Direction, Isolation, LoadError, Phase, filter::Blueprint, guest::Guest};

/// First wait before a guest that does not start is tried again, and the longest.
const BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Where one guest lives. Exchanges keep the place and the guest's number, never the guest.
pub(crate) struct Place {
    inner: Mutex<Inner>,
}

struct Inner {
    guest: Option<Guest>,
    /// Grows with every guest, so that an exchange notices that its guest is not there any more.
    number: u64,
    failures: u32,
    retry_at: Duration,
}

/// A guest in use; the place is locked until this is dropped.
pub(crate) struct Entered<'a> {
    inner: parking_lot::MutexGuard<'a, Inner>,
}

impl Entered<'_> {
    pub(crate) fn number(&self) -> u64 {
        self.inner.number
    }

    pub(crate) fn guest(&mut self) -> Option<&mut Guest> {
        self.inner.guest.as_mut()
    }

    /// The guest died: nothing in it is ever called again, and nothing in it will continue the streams that wait.
    pub(crate) fn bury(&mut self) {
        if let Some(mut guest) = self.inner.guest.take() {
            for parked in guest.state().paused.values() {
                parked.resume(Direction::Request);
                parked.resume(Direction::Response);
            }
        }
    }
}

impl Place {
    fn with(guest: Guest) -> Self {
        Self { inner: Mutex::new(Inner { guest: Some(guest), number: 1, failures: 0, retry_at: Duration::ZERO }) }
    }

    /// Enters the guest with this number; `None` when it is not there any more.
    pub(crate) fn enter(&self, number: u64) -> Option<Entered<'_>> {
        let inner = self.inner.lock();
        (inner.number == number && inner.guest.is_some()).then_some(Entered { inner })
    }

    /// Enters whatever guest is there, building one if the last died.
    ///
    /// # Errors
    /// Why there is none: it does not start, or did not a moment ago.
    pub(crate) fn enter_any(&self, blueprint: &Blueprint) -> Result<Entered<'_>, Option<LoadError>> {
        let mut inner = self.inner.lock();
        if inner.guest.is_none() {
            let now = blueprint.services.outside.monotonic();
            if inner.failures > 0 && now < inner.retry_at {
                return Err(None);
            }
            match Guest::build(blueprint) {
                Ok(guest) => {
                    inner.guest = Some(guest);
                    inner.number += 1;
                    inner.failures = 0;
                }
                Err(error) => {
                    let wait = BACKOFF.saturating_mul(1 << inner.failures.min(16)).min(MAX_BACKOFF);
                    inner.failures += 1;
                    inner.retry_at = now + wait;
                    return Err(Some(error));
                }
            }
        }
        Ok(Entered { inner })
    }
}

/// The guests of a filter.
pub(crate) struct Pool {
    isolation: Isolation,
    shards: Box<[Arc<Place>]>,
}

impl Pool {
    /// Builds every guest now, so that a filter which does not start is known before it serves.
    ///
    /// # Errors
    /// The first [`LoadError`].
    pub(crate) fn build(blueprint: &Blueprint, isolation: Isolation, shards: usize) -> Result<Self, LoadError> {
        let shards = if isolation == Isolation::Request { 1 } else { shards.max(1) };
        let places = (0..shards).map(|_| Guest::build(blueprint).map(|g| Arc::new(Place::with(g))));
        Ok(Self { isolation, shards: places.collect::<Result<_, _>>()? })
    }

    /// Ends the roots of the guests that serve many requests; a guest of one request is just dropped with it.
    ///
    /// # Errors
    /// The first root that died of it.
    pub(crate) fn end(&self) -> Result<(), (Phase, Crash)> {
        let guests = self.shards.iter().filter_map(|place| place.inner.lock().guest.take());
        // Every guest ends before the first error is looked for.
        let ended: Vec<_> = guests.map(|mut guest| guest.end_roots()).collect();
        ended.into_iter().collect()
    }

    /// A place for a new exchange of the running thread.
    ///
    /// # Errors
    /// Only with a fresh guest for each request: it did not start.
    pub(crate) fn pick(&self, blueprint: &Blueprint) -> Result<Arc<Place>, LoadError> {
        match self.isolation {
            Isolation::Request => Guest::build(blueprint).map(|g| Arc::new(Place::with(g))),
            Isolation::Shared => {
                let shard = thread_number() % self.shards.len();
                self.shards.get(shard).cloned().ok_or(LoadError::MissingExport("a guest"))
            }
        }
    }
}

/// A small number for each thread, in the order in which threads first run a filter.
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! { static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed); }
    NUMBER.with(|n| *n)
}
