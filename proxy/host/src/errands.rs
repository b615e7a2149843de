//! What a guest asks of the outside and what comes back to it: calls, ticks and queue events.
//!
//! A hostcall only notes what is wanted. It is sent when the guest is left (see `pool.rs`), so that nothing can come
//! back while the guest still runs. What comes back finds the guest by its place and number: a guest that was rebuilt
//! meanwhile has another number, and nothing of the old one reaches it.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use crate::{
    Answer, Event, GrpcEvent, Outside,
    calls::Told,
    place::Place,
    state::{Outgoing, State},
};

/// What a gRPC call ends in when a paused stream has too much to read already (`RESOURCE_EXHAUSTED`).
const EXHAUSTED: u32 = 8;
/// How long an event waits when its filter has used up its share of the processor.
const SHARE_PAUSE: Duration = Duration::from_millis(100);

/// One guest, wherever it is in its life.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) place: Weak<Place>,
    pub(crate) number: u64,
    /// It outlives the request that it was made for, if it was.
    pub(crate) lasting: bool,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "guest {}", self.number)
    }
}

impl Address {
    /// Whether nothing reaches this guest any more; `other` is one that lives. Takes no lock: it is asked while a guest is
    /// put into its place.
    pub(crate) fn is_gone(&self, other: &Self) -> bool {
        let replaced = self.place.ptr_eq(&other.place) && self.number != other.number;
        replaced || self.place.upgrade().is_none_or(|place| !place.lives())
    }

    /// Asks the outside for all that the guest noted, in its order.
    pub(crate) fn send_all(&self, state: &mut State, outside: &dyn Outside) {
        for outgoing in std::mem::take(&mut state.outgoing) {
            self.send(outgoing, state, outside);
        }
    }

    fn send(&self, outgoing: Outgoing, state: &mut State, outside: &dyn Outside) {
        let from = self.clone();
        match outgoing {
            Outgoing::Call(call, callout) => {
                let done = move |outcome| {
                    from.answer(call, Answer::Http(outcome));
                };
                outside.send(callout, Box::new(done));
            }
            // A call that was cancelled in the callback that made it is not begun.
            Outgoing::Open(call, grpc) => {
                if let Some(open) = state.calls.get_mut(call) {
                    let events = Box::new(move |event| from.answer(call, Answer::Grpc(event)));
                    open.sink = Some(outside.open(grpc, events));
                }
            }
            Outgoing::Message { call, message, end } => {
                if let Some(open) = state.calls.get_mut(call) {
                    open.unsent = open.unsent.saturating_sub(message.len());
                    if let Some(sink) = &mut open.sink {
                        sink.send(message, end);
                    }
                }
            }
            Outgoing::Close(call) => {
                if let Some(sink) = state.calls.remove(call).and_then(|open| open.sink) {
                    sink.close();
                }
            }
            Outgoing::Tick { root, set, period } => outside.later(period, Box::new(move || from.tick(root, set))),
            // Asked only now: a guest that is still being configured can be found only when that is over.
            Outgoing::Queue(queue) => {
                if let Some(registrant) = state.services.queues.registrant(queue) {
                    outside.later(Duration::ZERO, Box::new(move || registrant.address.queue(registrant.root, queue)));
                }
            }
        }
    }

    /// Brings what came on a call: to the stream that made it while that waits, else straight to the guest. False when
    /// nobody is there to hear it.
    fn answer(&self, call: u32, answer: Answer) -> bool {
        self.enter(|place, number| {
            let mut entered = place.enter(number)?;
            let state = entered.guest()?.state();
            let answer = match answer {
                Answer::Grpc(event) => match state.calls.tell(call, event) {
                    Told::Unknown => return None,
                    Told::Nothing => return Some(()),
                    Told::Event(event) => Answer::Grpc(event),
                },
                http => http,
            };
            let stream = state.calls.get(call)?.context;
            let Some(parked) = state.paused.get(&stream) else {
                return entered.run(|guest| guest.answer(call, answer));
            };
            let full = matches!(answer, Answer::Grpc(_)) && parked.inbox.is_full();
            let answer = if full {
                // Its sink goes, and with it the call; the number is known until the guest has heard of the end.
                state.calls.get_mut(call)?.sink = None;
                let message = "the filter does not read: too much waits for its stream".into();
                Answer::Grpc(GrpcEvent::Closed { status: EXHAUSTED, message })
            } else {
                answer
            };
            parked.inbox.post(Event::Answer { filter: parked.filter, call, answer: Box::new(answer) });
            (!full).then_some(())
        })
    }

    fn tick(&self, root: u32, set: u32) {
        self.enter(|place, number| place.enter(number)?.run(|guest| guest.tick(root, set)));
    }

    fn queue(&self, root: u32, queue: u32) {
        self.enter(|place, number| {
            let mut entered = place.enter(number)?;
            if !entered.guest()?.is_over_share() {
                entered.guest()?.state().services.queues.told(queue);
                return entered.run(|guest| guest.queue_ready(root, queue));
            }
            // The items stay where they are meanwhile.
            let again = self.clone();
            let outside = &entered.guest()?.state().services.outside;
            outside.later(SHARE_PAUSE, Box::new(move || again.queue(root, queue)));
            Some(())
        });
    }

    fn enter(&self, f: impl FnOnce(&Arc<Place>, u64) -> Option<()>) -> bool {
        self.place.upgrade().and_then(|place| f(&place, self.number)).is_some()
    }
}
