//! One callback of one filter: lend the message, enter the guest, take the message back, read what it asked for.

use std::{sync::Arc, time::Duration};

use sluice_abi::Action;
use sluice_engine::Crash;

use super::{Exchange, Held, Lease, Outcome, Slot, Stopped, Verdict};
use crate::{
    Answer, Body, Direction, Event, Fault, Inbox, LoadError, Message, Phase, Token, guest::Guest, health::Admission,
    inbox::Parked, place::Entered, plain::escape, state::Writable, wasi,
};

impl Exchange {
    /// Calls one filter in one phase. A filter without that callback, or out of the exchange, continues.
    pub(super) fn call(&mut self, index: usize, phase: Phase, end: bool) -> Verdict {
        self.visit(index, phase, |exchange| exchange.call_unseen(index, phase, end))
    }

    fn call_unseen(&mut self, index: usize, phase: Phase, end: bool) -> Verdict {
        let Some(direction) = phase.direction() else { return Verdict::Continue };
        let Some(slot) = self.slots.get_mut(index).filter(|slot| !slot.skipped) else { return Verdict::Continue };
        // Moved out for the time of the call: a copy of it would be counted across threads.
        let lease = match slot.guest.take() {
            Some(lease) => lease,
            None if matches!(phase, Phase::RequestHeaders | Phase::NewConnection) => match self.open_context(index) {
                Ok(lease) => lease,
                Err(token) => return self.failed(index, token, Phase::Create),
            },
            // A response's filter whose request part never ran has no context and is not asked, as in Envoy.
            None => return Verdict::Continue,
        };
        let (verdict, then) = self.call_leased(index, &lease, phase, direction, end);
        if !matches!(then, Then::LetGo)
            && let Some(slot) = self.slots.get_mut(index)
        {
            slot.guest = Some(lease);
        }
        match then {
            Then::CatchUp => self.catch_up(index),
            Then::GoOn | Then::LetGo => verdict,
        }
    }

    fn call_leased(
        &mut self,
        index: usize,
        lease: &Lease,
        phase: Phase,
        direction: Direction,
        end: bool,
    ) -> (Verdict, Then) {
        let go_on = (Verdict::Continue, Then::GoOn);
        let (Some(slot), Some(link)) = (self.slots.get_mut(index), self.chain.links().get(index)) else {
            return go_on;
        };
        let Some(budget) = link.filter.cpu_per_request.checked_sub(slot.used).filter(|b| !b.is_zero()) else {
            return (self.exhausted(index, lease, phase), Then::LetGo);
        };
        let Some(mut entered) = lease.place.enter(lease.number) else {
            // Another exchange's crash took the guest away, and this exchange's context with it.
            return (self.failed(index, Token::Trap, phase), Then::GoOn);
        };
        let Some(guest) = entered.guest() else { return go_on };
        let context = lease.context;

        let writable = writable(slot, phase, end);
        let held = std::mem::take(&mut slot.held_mut(direction).body);
        let before = held.len();
        let message = self.message.take().unwrap_or_default();
        let lent = Lent::give(guest, context, message, direction, phase, held, writable);
        let result = enter(guest, phase, context, lent.count, before, end, budget);
        let hostcalls = guest.state().hostcalls;
        let (message, body) = lent.take(guest);
        self.message = Some(message);
        wasi::flush(guest.state());

        // Also when the guest died: what it changed before is sent, and framed as it is.
        self.half_mut(direction).edited |= body.changed();
        let Some(slot) = self.slots.get_mut(index) else { return go_on };
        slot.held_mut(direction).body = body;
        let Some(result) = result else { return go_on };
        slot.took(guest);
        slot.hostcalls = slot.hostcalls.wrapping_add(hostcalls);
        let verdict = match result {
            Err(crash) => return (self.crashed(index, entered, phase, &crash), Then::GoOn),
            Ok(returned) => read(guest, slot, phase, returned),
        };
        guest.came_to(phase, slot.outcome);
        if matches!(verdict, Verdict::Pause) {
            // Before anything else can enter the guest: a continue that comes after this is not lost, and one that
            // came before it was for a stream that did not wait.
            let inbox = self.inbox.get_or_insert_with(|| Arc::new(Inbox::default()));
            inbox.forget_resume(index, direction);
            guest.state().paused.insert(context, Parked { inbox: inbox.clone(), filter: index, tcp: self.tcp });
        }
        let waits = matches!(verdict, Verdict::Pause) || slot.held(other(direction)).stopped.is_some();
        let unparked = !waits && guest.state().unpark(context);
        match verdict {
            Verdict::Continue if unparked => (verdict, Then::CatchUp),
            verdict => (verdict, Then::GoOn),
        }
    }

    /// Picks a guest and opens this exchange's context in it.
    #[inline(never)]
    fn open_context(&mut self, index: usize) -> Result<Lease, Token> {
        let (Some(slot), Some(link)) = (self.slots.get_mut(index), self.chain.links().get(index)) else {
            return Err(Token::StartFailed);
        };
        let filter = &link.filter;
        let blueprint = &filter.blueprint;
        let admission = blueprint.health.admit(|| blueprint.services.outside.monotonic());
        if admission == Admission::Refused {
            return Err(Token::Quarantined);
        }
        // An exchange that was let in is bounded by its own budget and goes on to its end.
        if blueprint.is_over_share() {
            return Err(Token::CpuExceeded);
        }
        let not_started = |error: Option<&LoadError>| {
            if let Some(error) = error {
                blueprint.not_started(error);
            }
            Token::StartFailed
        };
        let place = filter.pool.pick(blueprint).map_err(|e| not_started(Some(&e)))?;
        let mut entered = place.enter_any().map_err(|e| not_started(e.as_ref()))?;
        let number = entered.number();
        let Some(guest) = entered.guest() else { return Err(Token::StartFailed) };
        // Those that were kept away say nothing of how many it harms.
        blueprint.meter.exchange();
        let created = guest.create_context(link.configuration, filter.cpu_per_request);
        slot.took(guest);
        wasi::flush(guest.state());
        match created {
            Ok(context) => {
                drop(entered);
                Ok(Lease { place, number, context, probe: admission == Admission::Probe })
            }
            Err(crash) => {
                entered.died(Phase::Create, &crash, self.request_id().as_deref());
                Err(crash.kind.into())
            }
        }
    }

    /// What the request is called in logs, by its own `x-request-id`.
    fn request_id(&self) -> Option<String> {
        let head = self.message.as_ref()?.request.as_ref()?;
        head.value(b"x-request-id").map(|id| escape(id).into_owned())
    }

    /// Brings what came on a call to the filter that made it, with this exchange's message in hand: the filter may
    /// change a head that it still holds, answer, and continue; all that comes back by the inbox.
    pub(super) fn answer(&mut self, index: usize, call: u32, answer: Answer) -> Verdict {
        self.visit(index, Phase::Callout, |exchange| exchange.answer_unseen(index, call, answer))
    }

    fn answer_unseen(&mut self, index: usize, call: u32, answer: Answer) -> Verdict {
        let Some(slot) = self.slots.get_mut(index) else { return Verdict::Continue };
        let Some(lease) = slot.guest.as_ref() else { return Verdict::Continue };
        let (place, context) = (lease.place.clone(), lease.context);
        let Some(mut entered) = place.enter(lease.number) else { return Verdict::Continue };
        let Some(guest) = entered.guest() else { return Verdict::Continue };
        let writable = writable(slot, Phase::Callout, false);
        let held = [Direction::Request, Direction::Response]
            .into_iter()
            .find(|d| slot.held(*d).stopped == Some(Stopped::Body) || slot.held(*d).shown)
            .unwrap_or(Direction::Request);
        let body = std::mem::take(&mut slot.held_mut(held).body);
        let message = self.message.take().unwrap_or_default();
        let lent = Lent::give(guest, context, message, held, Phase::Callout, body, writable);
        let result = guest.answer(call, answer);
        let hostcalls = guest.state().hostcalls;
        let (message, body) = lent.take(guest);
        self.message = Some(message);
        self.half_mut(held).edited |= body.changed();
        if let Some(slot) = self.slots.get_mut(index) {
            slot.took(guest);
            slot.hostcalls = slot.hostcalls.wrapping_add(hostcalls);
            slot.held_mut(held).body = body;
        }
        match result {
            Ok(()) => Verdict::Continue,
            Err((phase, crash)) => self.crashed(index, entered, phase, &crash),
        }
    }

    /// Notes that a filter was continued: if it waits for nothing any more, it hears at once what comes on its calls.
    pub(super) fn unpark(&mut self, index: usize) -> Verdict {
        let waits = |slot: &Slot| slot.request.stopped.is_some() || slot.response.stopped.is_some();
        let Some(slot) = self.slots.get(index).filter(|slot| !waits(slot)) else { return Verdict::Continue };
        if let Some(lease) = &slot.guest
            && let Some(mut entered) = lease.place.enter(lease.number)
            && let Some(guest) = entered.guest()
        {
            guest.state().unpark(lease.context);
        }
        self.catch_up(index)
    }

    /// Tells a filter that waited what came on its calls meanwhile.
    fn catch_up(&mut self, index: usize) -> Verdict {
        let answers = self.inbox.as_ref().map(|inbox| inbox.answers(index)).unwrap_or_default();
        for (call, answer) in answers {
            match self.answer(index, call, *answer) {
                Verdict::Continue => {}
                verdict => return verdict,
            }
        }
        Verdict::Continue
    }

    /// A guest died under a callback of this exchange.
    #[cold]
    pub(super) fn crashed(&mut self, index: usize, entered: Entered<'_>, phase: Phase, crash: &Crash) -> Verdict {
        entered.died(phase, crash, self.request_id().as_deref());
        self.failed(index, crash.kind.into(), phase)
    }

    /// The exchange's own budget is used up; the guest is well and only loses this exchange's context.
    #[cold]
    fn exhausted(&mut self, index: usize, lease: &Lease, phase: Phase) -> Verdict {
        if let Some(mut entered) = lease.place.enter(lease.number)
            && let Some(guest) = entered.guest()
            && let Err((phase, crash)) = guest.end_context(lease.context)
        {
            entered.died(phase, &crash, self.request_id().as_deref());
        }
        self.failed(index, Token::CpuExceeded, phase)
    }

    #[cold]
    fn failed(&mut self, index: usize, token: Token, phase: Phase) -> Verdict {
        self.fail(index, token, phase).map_or(Verdict::Continue, Verdict::Fail)
    }

    /// Takes a filter out of the exchange. `None` when its policy is to go on without it.
    pub(super) fn fail(&mut self, index: usize, token: Token, phase: Phase) -> Option<Fault> {
        let link = self.chain.links().get(index)?;
        let slot = self.slots.get_mut(index)?;
        slot.skipped = true;
        slot.outcome = Outcome::Failed;
        if !link.filter.fail_open {
            return Some(Fault { token, filter: link.filter.name().clone(), phase });
        }
        // What it holds goes on without it, as if another callback had continued it.
        if let Some(inbox) = &self.inbox {
            let held =
                [Direction::Request, Direction::Response].into_iter().filter(|d| slot.held(*d).stopped.is_some());
            held.for_each(|direction| inbox.post(Event::Resume { filter: index, direction }));
        }
        None
    }

    pub(super) fn held_mut(&mut self, index: usize, direction: Direction) -> &mut Held {
        // Every index comes from a walk over the slots.
        let last = self.slots.len().saturating_sub(1);
        self.slots[index.min(last)].held_mut(direction)
    }

    /// Whether the guest that this filter's context lived in died under another exchange.
    pub(super) fn lost(&self, index: usize) -> bool {
        let slot = self.slots.get(index).filter(|slot| !slot.skipped);
        slot.and_then(|slot| slot.guest.as_ref()).is_some_and(|lease| lease.place.enter(lease.number).is_none())
    }

    /// Done, log and delete for one filter.
    pub(super) fn end_context(&mut self, index: usize) {
        let Some(lease) = self.slots.get_mut(index).and_then(|s| s.guest.take()) else { return };
        let Some(mut entered) = lease.place.enter(lease.number) else { return };
        let Some(guest) = entered.guest() else { return };
        guest.state().message = self.message.take();
        guest.state().message_of = lease.context;
        let result = guest.end_context(lease.context);
        self.message = guest.state().message.take();
        match result {
            Ok(()) => entered.well(),
            Err((phase, crash)) => return entered.died(phase, &crash, self.request_id().as_deref()),
        }
        drop(entered);
        if let Some(link) = self.chain.links().get(index).filter(|_| lease.probe) {
            link.filter.blueprint.recovered();
        }
    }
}

/// What is to be done when a guest was left.
enum Then {
    GoOn,
    /// The filter waits for nothing any more: it hears what came on its calls meanwhile.
    CatchUp,
    /// Its context has ended.
    LetGo,
}

/// What is lent for one callback.
pub(super) struct Lent {
    count: u32,
}

impl Lent {
    pub(super) fn give(
        guest: &mut Guest,
        context: u32,
        mut message: Box<Message>,
        direction: Direction,
        phase: Phase,
        body: Body,
        writable: Writable,
    ) -> Self {
        let head = match phase {
            Phase::RequestHeaders => message.request.as_ref(),
            Phase::ResponseHeaders => message.response.as_ref(),
            Phase::RequestTrailers => message.request_trailers.as_ref(),
            Phase::ResponseTrailers => message.response_trailers.as_ref(),
            _ => None,
        };
        let count = head.map_or(0, |h| u32::try_from(h.count()).unwrap_or(u32::MAX));
        // What a filter holds stays readable in the trailers' callback too.
        message.body = Some((direction, body));
        let state = guest.state();
        state.message = Some(message);
        state.message_of = context;
        state.writable = writable;
        state.hostcalls = 0;
        Self { count }
    }

    pub(super) fn take(self, guest: &mut Guest) -> (Box<Message>, Body) {
        let mut message = guest.state().message.take().unwrap_or_default();
        let body = message.body.take().map(|(_, body)| body).unwrap_or_default();
        (message, body)
    }
}

fn enter(
    guest: &mut Guest,
    phase: Phase,
    context: u32,
    count: u32,
    size: usize,
    end: bool,
    budget: Duration,
) -> Option<Result<u32, Box<Crash>>> {
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    match phase {
        Phase::RequestHeaders | Phase::ResponseHeaders => guest.headers(phase, context, count, end, budget),
        Phase::RequestBody | Phase::ResponseBody | Phase::DownstreamData | Phase::UpstreamData => {
            guest.body(phase, context, size, end, budget)
        }
        Phase::NewConnection => guest.new_connection(context, budget),
        _ => guest.trailers(phase, context, count, budget),
    }
}

/// What a callback that returned wants done. An answer wins over whatever was returned; a continue in the same
/// callback wins over its Pause.
fn read(guest: &mut Guest, slot: &mut Slot, phase: Phase, returned: u32) -> Verdict {
    let asked = std::mem::take(&mut guest.state().asked);
    if let Some(reply) = asked.reply {
        slot.outcome = Outcome::Replied;
        return Verdict::Reply(reply);
    }
    if asked.close {
        slot.outcome = Outcome::Replied;
        return Verdict::Close;
    }
    let (resumed, other, other_direction) = match phase.direction() {
        Some(Direction::Request) => (asked.resume_request, asked.resume_response, Direction::Response),
        _ => (asked.resume_response, asked.resume_request, Direction::Request),
    };
    if other && slot.held(other_direction).stopped.is_some() {
        let state = guest.state();
        if let Some(parked) = state.paused.get(&state.current) {
            parked.resume(other_direction);
        }
    }
    if Action::from_return(returned) == Action::Continue || resumed {
        slot.outcome = Outcome::Continued;
        Verdict::Continue
    } else {
        slot.outcome = Outcome::Paused;
        Verdict::Pause
    }
}

fn other(direction: Direction) -> Direction {
    match direction {
        Direction::Request => Direction::Response,
        Direction::Response => Direction::Request,
    }
}

/// Which maps may be changed: those of the phase, and a head that the filter itself still holds.
fn writable(slot: &Slot, phase: Phase, end: bool) -> Writable {
    let holds_head = |held: &Held| matches!(held.stopped, Some(Stopped::Headers(_)));
    Writable {
        request: phase == Phase::RequestHeaders || holds_head(&slot.request),
        response: phase == Phase::ResponseHeaders || holds_head(&slot.response),
        request_trailers: phase == Phase::RequestTrailers || (phase == Phase::RequestBody && end),
        response_trailers: phase == Phase::ResponseTrailers || (phase == Phase::ResponseBody && end),
    }
}
