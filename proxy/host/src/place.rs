//! Where one guest lives: entered by one thread at a time, and built again when its guest died.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use backon::ExponentialBackoff;
use parking_lot::{Mutex, MutexGuard};
use sluice_engine::Crash;

use crate::{Direction, LoadError, Phase, blueprint::Blueprint, errands::Address, guest::Guest, health::waits};

/// So many guests in a row that end in a crash are replaced at once; then the waits begin, and grow. A guest that does not
/// start is waited for in any case.
const AT_ONCE: u32 = 5;
const WAIT: Duration = Duration::from_millis(100);
/// Exchanges that would be fine are refused meanwhile, and a filter that harms most of them is taken out by its quarantine.
const LONGEST_WAIT_AFTER_CRASH: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Where one guest lives. Exchanges keep the place and the guest's number, never the guest.
pub(crate) struct Place {
    inner: Mutex<Inner>,
    /// There is a guest; read without the lock by whoever looks for one.
    lives: AtomicBool,
    blueprint: Arc<Blueprint>,
    /// Itself, for what comes back to the guest.
    home: Weak<Place>,
    /// A guest that died is replaced. That of one request is not.
    lasting: bool,
}

struct Inner {
    guest: Option<Guest>,
    /// Grows with every guest, so that an exchange notices that its guest is not there any more.
    number: u64,
    /// Guests that died or did not start since the last exchange that ended well.
    failures: u32,
    waits: Option<ExponentialBackoff>,
    retry_at: Duration,
    /// The filter is over: no guest is built any more.
    over: bool,
}

impl Inner {
    /// How long to wait before the next guest is built.
    fn failed(&mut self, started: bool) -> Duration {
        self.failures = self.failures.saturating_add(1);
        if started && self.failures <= AT_ONCE {
            return Duration::ZERO;
        }
        let waits = self.waits.get_or_insert_with(|| waits(WAIT, LONGEST_WAIT));
        waits.next().unwrap_or(LONGEST_WAIT).min(if started { LONGEST_WAIT_AFTER_CRASH } else { LONGEST_WAIT })
    }
}

impl Place {
    /// A place for this guest; one that died is replaced if it is `lasting`.
    pub(crate) fn with(mut guest: Guest, blueprint: &Arc<Blueprint>, lasting: bool) -> Arc<Self> {
        let place = Arc::new_cyclic(|home: &Weak<Self>| {
            guest.settle(Address { place: home.clone(), number: 1, lasting });
            let inner = Inner {
                guest: Some(guest),
                number: 1,
                failures: 0,
                waits: None,
                retry_at: Duration::ZERO,
                over: false,
            };
            let lives = AtomicBool::new(true);
            Self { inner: Mutex::new(inner), lives, blueprint: blueprint.clone(), home: home.clone(), lasting }
        });
        // Entering and leaving sends what the guest asked for while it was configured.
        drop(place.enter(1));
        place
    }

    /// Whether a guest is there.
    pub(crate) fn lives(&self) -> bool {
        self.lives.load(Relaxed)
    }

    /// Enters the guest with this number; `None` when it is not there any more.
    pub(crate) fn enter(&self, number: u64) -> Option<Entered<'_>> {
        let inner = self.inner.lock();
        (inner.number == number && inner.guest.is_some()).then_some(Entered { inner, place: self })
    }

    /// Enters whatever guest is there, building one if the last died.
    ///
    /// # Errors
    /// Why there is none: it does not start, or its time to be built has not come.
    pub(crate) fn enter_any(&self) -> Result<Entered<'_>, Option<LoadError>> {
        let mut inner = self.inner.lock();
        if inner.guest.is_none() {
            let now = self.blueprint.services.outside.monotonic();
            if inner.over || !self.lasting || now < inner.retry_at {
                return Err(None);
            }
            self.rebuild(&mut inner)?;
        }
        Ok(Entered { inner, place: self })
    }

    #[cold]
    fn rebuild(&self, inner: &mut Inner) -> Result<(), LoadError> {
        match Guest::build(&self.blueprint) {
            Ok(mut guest) => {
                inner.number += 1;
                guest.settle(Address { place: self.home.clone(), number: inner.number, lasting: self.lasting });
                inner.guest = Some(guest);
                self.lives.store(true, Relaxed);
                Ok(())
            }
            Err(error) => {
                self.build_later(inner, false);
                Err(error)
            }
        }
    }

    /// Sees to it that there is a guest again, also when nobody comes who needs one: it may have ticks.
    fn build_later(&self, inner: &mut Inner, started: bool) {
        if !self.lasting || inner.over {
            return;
        }
        let outside = &self.blueprint.services.outside;
        let wait = inner.failed(started);
        inner.retry_at = outside.monotonic() + wait;
        let home = self.home.clone();
        let build = move || {
            let Some(place) = home.upgrade() else { return };
            // Leaving a new guest sends what it asked for while it was configured.
            if let Err(Some(error)) = place.enter_any() {
                place.blueprint.not_started(&error);
            }
        };
        outside.later(wait, Box::new(build));
    }

    /// Ends the roots of the guest. A root that asks for time goes on with its ticks, queues and calls until it says
    /// that it is done, or `patience` is over.
    pub(crate) fn end(self: &Arc<Self>, patience: Duration) {
        let number = {
            let mut inner = self.inner.lock();
            if std::mem::replace(&mut inner.over, true) {
                return;
            }
            inner.number
        };
        let Some(mut entered) = self.enter(number) else { return };
        entered.run(Guest::end_roots);
        if entered.guest().is_none_or(|guest| guest.is_over()) {
            return;
        }
        drop(entered);
        let place = self.clone();
        let give_up = move || {
            if let Some(mut entered) = place.enter(number) {
                entered.run(Guest::give_up_roots);
            }
        };
        self.blueprint.services.outside.later(patience, Box::new(give_up));
    }
}

impl Place {
    /// Ends the guest without asking it; none takes its place.
    pub(crate) fn cut_off(&self) {
        let mut inner = self.inner.lock();
        inner.over = true;
        Entered { inner, place: self }.bury();
    }
}

/// A guest in use; the place is locked until this is dropped. Then what the guest asked the outside for is sent.
pub(crate) struct Entered<'a> {
    inner: MutexGuard<'a, Inner>,
    place: &'a Place,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let number = self.inner.number;
        let Some(guest) = self.inner.guest.as_mut() else { return };
        if guest.is_over() {
            self.inner.guest = None;
            self.place.lives.store(false, Relaxed);
        } else if !guest.state().outgoing.is_empty() {
            let address = Address { place: self.place.home.clone(), number, lasting: self.place.lasting };
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

    /// An exchange ended well: its guest is one that can live.
    pub(crate) fn well(&mut self) {
        self.inner.failures = 0;
        self.inner.waits = None;
    }

    /// Runs a callback that belongs to no exchange; a guest that dies of it is buried and told of.
    pub(crate) fn run(&mut self, f: impl FnOnce(&mut Guest) -> Result<(), (Phase, Box<Crash>)>) -> Option<()> {
        if let Err((phase, crash)) = f(self.guest()?) {
            self.bury();
            self.place.blueprint.crashed(phase, &crash, None);
        }
        Some(())
    }

    /// The guest died under an exchange.
    pub(crate) fn died(mut self, phase: Phase, crash: &Crash, request_id: Option<&str>) {
        self.bury();
        let blueprint = &self.place.blueprint;
        drop(self);
        blueprint.crashed(phase, crash, request_id);
    }

    /// Nothing in the guest is ever called again, and nothing in it will continue the streams that wait.
    fn bury(&mut self) {
        if let Some(mut guest) = self.inner.guest.take() {
            self.place.lives.store(false, Relaxed);
            for parked in guest.state().paused.values() {
                parked.resume(Direction::Request);
                parked.resume(Direction::Response);
            }
            self.place.build_later(&mut self.inner, true);
        }
    }
}
