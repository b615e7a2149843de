//! One instance of a filter: entered for one callback at a time. How it starts and what its roots live through stand in
//! the files below this one.

mod root;
mod start;

use std::{sync::Arc, time::Duration};

use sluice_abi::PeerType;
use sluice_engine::{Crash, Moment, Sandbox};

use crate::{
    Outcome, Phase,
    blueprint::Blueprint,
    callbacks::{Callback, Callbacks},
    errands::Address,
    gate::{Through, Word, Words},
    state::{Asked, Logged, State, Writable},
    wasi,
};

/// One instance of a filter.
pub(crate) struct Guest {
    sandbox: Sandbox<State>,
    callbacks: Callbacks,
    /// The one function that its callbacks are called through; only guests made from snapshots have it.
    gate: Option<Through>,
    next_context: u32,
    blueprint: Arc<Blueprint>,
}

impl Guest {
    fn new_context_id(&mut self) -> u32 {
        // After four thousand million streams the count begins anew, past the ids that are still alive.
        loop {
            let id = self.next_context;
            self.next_context = id.checked_add(1).unwrap_or(1);
            if !self.sandbox.data().contexts.contains_key(&id) {
                return id;
            }
        }
    }

    /// Gives a new stream its context under the root of this configuration.
    pub(crate) fn create_context(&mut self, configuration: usize, budget: Duration) -> Result<u32, Box<Crash>> {
        let id = self.new_context_id();
        let state = self.sandbox.data_mut();
        let root = state.roots.get(configuration).map_or(0, |r| r.id);
        state.contexts.insert(id, root);
        self.prepare(Phase::Create, id);
        self.run(|c| &mut c.proxy_on_context_create, (id, root), budget).unwrap_or(Ok(()))?;
        Ok(id)
    }

    /// A headers callback; `None` when the guest has none.
    pub(crate) fn headers(
        &mut self,
        phase: Phase,
        context: u32,
        count: u32,
        end: bool,
        budget: Duration,
    ) -> Option<Result<u32, Box<Crash>>> {
        self.prepare(phase, context);
        let of_request = phase == Phase::RequestHeaders;
        let before_0_2 = self.callbacks.headers(of_request).two.exists();
        if before_0_2 {
            self.run(|c| &mut c.headers(of_request).two, (context, count), budget)
        } else {
            self.run(|c| &mut c.headers(of_request).three, (context, count, u32::from(end)), budget)
        }
    }

    /// A body callback; `None` when the guest has none.
    pub(crate) fn body(
        &mut self,
        phase: Phase,
        context: u32,
        size: u32,
        end: bool,
        budget: Duration,
    ) -> Option<Result<u32, Box<Crash>>> {
        self.prepare(phase, context);
        self.run(
            |c| match phase {
                Phase::RequestBody => &mut c.proxy_on_request_body,
                Phase::DownstreamData => &mut c.proxy_on_downstream_data,
                Phase::UpstreamData => &mut c.proxy_on_upstream_data,
                _ => &mut c.proxy_on_response_body,
            },
            (context, size, u32::from(end)),
            budget,
        )
    }

    /// A client has connected; `None` when the guest has no callback for it.
    pub(crate) fn new_connection(&mut self, context: u32, budget: Duration) -> Option<Result<u32, Box<Crash>>> {
        self.prepare(Phase::NewConnection, context);
        self.run(|c| &mut c.proxy_on_new_connection, (context,), budget)
    }

    /// One side of a connection was closed.
    pub(crate) fn closed(&mut self, phase: Phase, context: u32, peer: PeerType) -> Result<(), Box<Crash>> {
        self.prepare(phase, context);
        self.run(
            |c| match phase {
                Phase::DownstreamClose => &mut c.proxy_on_downstream_connection_close,
                _ => &mut c.proxy_on_upstream_connection_close,
            },
            (context, peer.wire()),
            Duration::MAX,
        )
        .unwrap_or(Ok(()))
    }

    /// A trailers callback; `None` when the guest has none.
    pub(crate) fn trailers(
        &mut self,
        phase: Phase,
        context: u32,
        count: u32,
        budget: Duration,
    ) -> Option<Result<u32, Box<Crash>>> {
        self.prepare(phase, context);
        self.run(
            |c| match phase {
                Phase::RequestTrailers => &mut c.proxy_on_request_trailers,
                _ => &mut c.proxy_on_response_trailers,
            },
            (context, count),
            budget,
        )
    }

    /// Done, log, delete; after it the context is gone, whatever the guest did.
    pub(crate) fn end_context(&mut self, context: u32) -> Result<(), (Phase, Box<Crash>)> {
        self.sandbox.forget_last();
        // A stream ends in any case, whatever it answers to done.
        let result = self.done(context).and_then(|_| self.log_and_delete(context));
        let state = self.sandbox.data_mut();
        state.contexts.remove(&context);
        state.unpark(context);
        result?;
        self.forget_done()
    }

    fn done(&mut self, context: u32) -> Result<bool, (Phase, Box<Crash>)> {
        self.prepare(Phase::Done, context);
        let done = self.run_next(|c| &mut c.proxy_on_done, (context,)).unwrap_or(Ok(1));
        wasi::flush(self.sandbox.data_mut());
        done.map(|done| done != 0).map_err(|crash| (Phase::Done, crash))
    }

    fn log_and_delete(&mut self, context: u32) -> Result<(), (Phase, Box<Crash>)> {
        for phase in [Phase::Log, Phase::Delete] {
            self.prepare(phase, context);
            let result = self.run_next(
                |c| match phase {
                    Phase::Log => &mut c.proxy_on_log,
                    _ => &mut c.proxy_on_delete,
                },
                (context,),
            );
            let result = result.unwrap_or(Ok(()));
            wasi::flush(self.sandbox.data_mut());
            result.map_err(|crash| (phase, crash))?;
        }
        Ok(())
    }

    fn prepare(&mut self, phase: Phase, context: u32) {
        enter(self.sandbox.data_mut(), phase, context);
    }

    /// Tells the guest where it lives: from now on it can be found.
    pub(crate) fn settle(&mut self, address: Address) {
        let state = self.sandbox.data_mut();
        state.address = Some(address);
        state.announce();
    }

    /// Whether the filter has used up its share of the processor for now.
    pub(crate) fn is_over_share(&self) -> bool {
        self.blueprint.is_over_share()
    }

    pub(crate) fn state(&mut self) -> &mut State {
        self.sandbox.data_mut()
    }

    /// Calls a callback within the least of this budget and the filter's for one call, and counts what it cost. `None`
    /// when the guest has none.
    fn run<P: Words, R: Word>(
        &mut self,
        callback: impl FnOnce(&mut Callbacks) -> &mut Callback<P, R>,
        params: P,
        budget: Duration,
    ) -> Option<Result<R, Box<Crash>>> {
        self.sandbox.forget_last();
        let callback = callback(&mut self.callbacks).of(&mut self.sandbox, self.gate.as_ref())?;
        let budget = budget.min(self.blueprint.cpu_per_call);
        let result = callback.call(&mut self.sandbox, params, budget);
        self.ended(result.is_err());
        Some(result)
    }

    /// As [`Guest::run`] within the filter's budget for one call, as a call of a series.
    fn run_next<P: Words, R: Word>(
        &mut self,
        callback: impl FnOnce(&mut Callbacks) -> &mut Callback<P, R>,
        params: P,
    ) -> Option<Result<R, Box<Crash>>> {
        let callback = callback(&mut self.callbacks).of(&mut self.sandbox, self.gate.as_ref())?;
        let budget = self.blueprint.cpu_per_call;
        let result = callback.call_next(&mut self.sandbox, params, budget);
        self.ended(result.is_err());
        Some(result)
    }

    fn ended(&self, crashed: bool) {
        let phase = self.sandbox.data().phase;
        if crashed {
            self.came_to(phase, Outcome::Failed);
        } else if phase.direction().is_none() {
            // What a callback of a stream wants done is read by its exchange.
            self.came_to(phase, Outcome::Continued);
        }
    }

    /// Counts the last callback: what it took, and what it came to.
    // Not one for each type of call: see `Sandbox`.
    #[inline(never)]
    pub(crate) fn came_to(&self, phase: Phase, outcome: Outcome) {
        self.blueprint.ran(phase, self.sandbox.last_used(), outcome, self.sandbox.last_budget());
    }

    /// CPU time of the last callback; 0 when the guest has none of that kind.
    pub(crate) fn last_used(&self) -> Duration {
        self.sandbox.last_used()
    }

    /// When the last callback began, and when it ended; `None` when the guest has none of that kind.
    pub(crate) fn last_call(&self) -> Option<(Moment, Moment)> {
        self.sandbox.last_call()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.blueprint.meter.guest_ends();
    }
}

fn enter(state: &mut State, phase: Phase, context: u32) {
    state.phase = phase;
    state.current = context;
    state.effective = context;
    state.asked = Asked::default();
    state.measured = None;
    state.logged = Logged::default();
    if !phase.is_stream() {
        state.writable = Writable::default();
    }
}
