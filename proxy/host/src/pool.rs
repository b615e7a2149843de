//! The guests of a filter: one for each worker shard, rebuilt after a crash, or a fresh one for each request.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use sluice_engine::Crash;

use crate::{Direction, Isolation, LoadError, Phase, errands::Address, filter::Blueprint, guest::Guest};

/// First wait before a guest that does not start is tried again, and the longest.
const BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// How long a root may take from its `proxy_on_done` to `proxy_done`.
const DONE: Duration = Duration::from_secs(5);

/// Where one guest lives. Exchanges keep the place and the guest's number, never the guest.
pub(crate) struct Place {
    inner: Mutex<Inner>,
    blueprint: Arc<Blueprint>,
    /// Itself, for what comes back to the guest.
    home: Weak<Place>,
}

struct Inner {
    guest: Option<Guest>,
    /// Grows with every guest, so that an exchange notices that its guest is not there any more.
    number: u64,
    failures: u32,
    retry_at: Duration,
}

/// A guest in use; the place is locked until this is dropped. Then what the guest asked the outside for is sent.
pub(crate) struct Entered<'a> {
    inner: parking_lot::MutexGuard<'a, Inner>,
    place: &'a Place,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let number = self.inner.number;
        let Some(guest) = self.inner.guest.as_mut() else { return };
        if guest.is_over() {
            self.inner.guest = None;
        } else if !guest.state().outgoing.is_empty() {
            let address = Address { place: self.place.home.clone(), number };
            address.send_all(guest.state(), &*self.place.blueprint.services.outside);
        }
    }
}

impl Entered<'_> {
    pub(crate) fn number(&self) -> u64 {
        self.inner.number
    }

    pub(crate) fn guest(&mut self) -> Option<&mut Guest> {
        self.inner.guest.as_mut()
    }

    /// Runs a callback that belongs to no exchange; a guest that dies of it is buried and told of.
    pub(crate) fn run(&mut self, f: impl FnOnce(&mut Guest) -> Result<(), (Phase, Crash)>) -> Option<()> {
        if let Err((phase, crash)) = f(self.guest()?) {
            self.bury();
            self.place.blueprint.crashed(phase, &crash);
        }
        Some(())
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
    fn with(mut guest: Guest, blueprint: &Arc<Blueprint>) -> Arc<Self> {
        let place = Arc::new_cyclic(|home: &Weak<Self>| {
            guest.settle(Address { place: home.clone(), number: 1 });
            let inner = Inner { guest: Some(guest), number: 1, failures: 0, retry_at: Duration::ZERO };
            Self { inner: Mutex::new(inner), blueprint: blueprint.clone(), home: home.clone() }
        });
        // Entering and leaving sends what the guest asked for while it was configured.
        drop(place.enter(1));
        place
    }

    /// Enters the guest with this number; `None` when it is not there any more.
    pub(crate) fn enter(&self, number: u64) -> Option<Entered<'_>> {
        let inner = self.inner.lock();
        (inner.number == number && inner.guest.is_some()).then_some(Entered { inner, place: self })
    }

    /// Enters whatever guest is there, building one if the last died.
    ///
    /// # Errors
    /// Why there is none: it does not start, or did not a moment ago.
    pub(crate) fn enter_any(&self) -> Result<Entered<'_>, Option<LoadError>> {
        let blueprint = &*self.blueprint;
        let mut inner = self.inner.lock();
        if inner.guest.is_none() {
            let now = blueprint.services.outside.monotonic();
            if inner.failures > 0 && now < inner.retry_at {
                return Err(None);
            }
            match Guest::build(blueprint) {
                Ok(mut guest) => {
                    inner.number += 1;
                    guest.settle(Address { place: self.home.clone(), number: inner.number });
                    inner.guest = Some(guest);
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
        Ok(Entered { inner, place: self })
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
    pub(crate) fn build(blueprint: &Arc<Blueprint>, isolation: Isolation, shards: usize) -> Result<Self, LoadError> {
        let shards = if isolation == Isolation::Request { 1 } else { shards.max(1) };
        let places = (0..shards).map(|_| Guest::build(blueprint).map(|g| Place::with(g, blueprint)));
        Ok(Self { isolation, shards: places.collect::<Result<_, _>>()? })
    }

    /// Ends the roots of the guests that serve many requests; a guest of one request is just dropped with it. A root that
    /// asks for time goes on with its ticks, queues and calls until it says that it is done, or the time is over.
    pub(crate) fn end(&self, blueprint: &Blueprint) {
        for place in &self.shards {
            let number = place.inner.lock().number;
            let Some(mut entered) = place.enter(number) else { continue };
            entered.run(Guest::end_roots);
            if entered.guest().is_none_or(|guest| guest.is_over()) {
                continue;
            }
            drop(entered);
            let place = place.clone();
            let give_up = move || {
                if let Some(mut entered) = place.enter(number) {
                    entered.run(Guest::give_up_roots);
                }
            };
            blueprint.services.outside.later(DONE, Box::new(give_up));
        }
    }

    /// A place for a new exchange of the running thread.
    ///
    /// # Errors
    /// Only with a fresh guest for each request: it did not start.
    pub(crate) fn pick(&self, blueprint: &Arc<Blueprint>) -> Result<Arc<Place>, LoadError> {
        match self.isolation {
            Isolation::Request => Guest::build(blueprint).map(|g| Place::with(g, blueprint)),
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
