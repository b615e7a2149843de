//! What a guest asks of the outside and what comes back to it: callouts, ticks and queue events.
//!
//! A hostcall only notes what is wanted. It is sent when the guest is left (see `pool.rs`), so that nothing can come
//! back while the guest still runs. What comes back finds the guest by its place and number: a guest that was rebuilt
//! meanwhile has another number, and nothing of the old one reaches it.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use crate::{CalloutOutcome, Event, pool::Place, state::Outgoing};

/// One guest, wherever it is in its life.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) place: Weak<Place>,
    pub(crate) number: u64,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "guest {}", self.number)
    }
}

impl Address {
    /// Asks the outside for one thing.
    pub(crate) fn send(&self, outgoing: Outgoing, outside: &dyn crate::Outside) {
        let from = self.clone();
        match outgoing {
            Outgoing::Call(call, callout) => {
                outside.send(callout, Box::new(move |outcome| from.deliver(call, outcome)));
            }
            Outgoing::Tick { root, set, period } => outside.later(period, Box::new(move || from.tick(root, set))),
            Outgoing::Queue { registrant, queue } => {
                outside.later(Duration::ZERO, Box::new(move || registrant.address.queue(registrant.root, queue)));
            }
        }
    }

    /// Brings a callout's outcome: to the stream that made it while that waits, else straight to the guest.
    fn deliver(&self, call: u32, outcome: CalloutOutcome) {
        self.enter(|place, number| {
            let mut entered = place.enter(number)?;
            let state = entered.guest()?.state();
            let stream = *state.calls.get(&call)?;
            if let Some(parked) = state.paused.get(&stream) {
                parked.inbox.post(Event::Callout { filter: parked.filter, call, outcome: Box::new(outcome) });
                return Some(());
            }
            entered.run(|guest| guest.callout(call, outcome))
        });
    }

    fn tick(&self, root: u32, set: u32) {
        self.enter(|place, number| place.enter(number)?.run(|guest| guest.tick(root, set)));
    }

    fn queue(&self, root: u32, queue: u32) {
        self.enter(|place, number| place.enter(number)?.run(|guest| guest.queue_ready(root, queue)));
    }

    fn enter(&self, f: impl FnOnce(&Arc<Place>, u64) -> Option<()>) {
        if let Some(place) = self.place.upgrade() {
            let _ = f(&place, self.number);
        }
    }
}
