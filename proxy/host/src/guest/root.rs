//! What the roots of a guest live through beside streams: ticks, queues, answers to their calls, and their end.

use std::time::Duration;

use sluice_engine::Crash;

use super::{Guest, enter};
use crate::{
    Answer, CalloutOutcome, GrpcEvent, Phase,
    answered::Answered,
    calls::Kind,
    state::{Outgoing, State},
    wasi,
};

impl Guest {
    /// Tells of what came on a call; the callbacks are the root's, as the ABI has it. A call that was answered already,
    /// or that the guest wants to hear nothing of, is not known any more.
    pub(crate) fn answer(&mut self, call: u32, answer: Answer) -> Result<(), (Phase, Box<Crash>)> {
        self.sandbox.forget_last();
        let state = self.sandbox.data_mut();
        let Some(open) = state.calls.get(call).filter(|open| !open.closing) else { return Ok(()) };
        // The root of a stream that is gone is not known any more; every guest has a first root.
        let first = state.roots.first().map_or(0, |r| r.id);
        let root = state.contexts.get(&open.context).copied().unwrap_or(first);
        let last = open.kind != Kind::Stream || matches!(answer, Answer::Grpc(GrpcEvent::Closed { .. }));
        if last {
            state.calls.remove(call);
        }
        let phase = if matches!(answer, Answer::Http(_)) { Phase::Callout } else { Phase::Grpc };
        let writable = state.writable;
        enter(state, phase, root);
        state.writable = writable;
        let result = match answer {
            Answer::Http(outcome) => self.http_answer(root, call, outcome),
            Answer::Grpc(event) => self.grpc_answer(root, call, event),
        };
        self.leave(phase, result)
    }

    fn http_answer(&mut self, root: u32, call: u32, outcome: CalloutOutcome) -> Result<(), Box<Crash>> {
        let answered = Answered::http(outcome);
        let (headers, body, trailers) = answered.sizes();
        self.sandbox.data_mut().answered = Some(answered);
        let params = (root, call, headers, body, trailers);
        self.run(|c| &mut c.proxy_on_http_call_response, params, Duration::MAX).unwrap_or(Ok(()))
    }

    fn grpc_answer(&mut self, root: u32, call: u32, event: GrpcEvent) -> Result<(), Box<Crash>> {
        let answered = Answered::grpc(event.clone());
        let (headers, body, trailers) = answered.sizes();
        self.sandbox.data_mut().answered = Some(answered);
        let number = match event {
            GrpcEvent::Metadata(_) => headers,
            GrpcEvent::Message(_) => body,
            GrpcEvent::Trailers(_) => trailers,
            GrpcEvent::Closed { status, .. } => status,
        };
        self.run(
            |c| match event {
                GrpcEvent::Metadata(_) => &mut c.proxy_on_grpc_receive_initial_metadata,
                GrpcEvent::Message(_) => &mut c.proxy_on_grpc_receive,
                GrpcEvent::Trailers(_) => &mut c.proxy_on_grpc_receive_trailing_metadata,
                GrpcEvent::Closed { .. } => &mut c.proxy_on_grpc_close,
            },
            (root, call, number),
            Duration::MAX,
        )
        .unwrap_or(Ok(()))
    }

    /// One tick of a root, unless the period was set again meanwhile; then asks for the next one.
    pub(crate) fn tick(&mut self, root: u32, set: u32) -> Result<(), (Phase, Box<Crash>)> {
        let current = |state: &State| state.roots.iter().any(|r| r.id == root && r.ticks_set == set);
        if !current(self.sandbox.data()) {
            return Ok(());
        }
        // One that comes while the filter has used up its share of the processor is left out.
        if !self.is_over_share() {
            self.prepare(Phase::Tick, root);
            let result = self.run(|c| &mut c.proxy_on_tick, (root,), Duration::MAX).unwrap_or(Ok(()));
            self.leave(Phase::Tick, result)?;
        }
        // Counted from the end of the callback, so that a slow one makes no burst.
        let state = self.sandbox.data_mut();
        if current(state)
            && let Some(r) = state.roots.iter().find(|r| r.id == root)
        {
            let period = Duration::from_millis(r.tick_period.into());
            state.outgoing.push(Outgoing::Tick { root, set, period });
        }
        Ok(())
    }

    /// An item came into a queue that a root is registered for.
    pub(crate) fn queue_ready(&mut self, root: u32, queue: u32) -> Result<(), (Phase, Box<Crash>)> {
        self.prepare(Phase::Queue, root);
        let result = self.run(|c| &mut c.proxy_on_queue_ready, (root, queue), Duration::MAX).unwrap_or(Ok(()));
        self.leave(Phase::Queue, result)
    }

    fn leave(&mut self, phase: Phase, result: Result<(), Box<Crash>>) -> Result<(), (Phase, Box<Crash>)> {
        let state = self.sandbox.data_mut();
        state.answered = None;
        wasi::flush(state);
        result.map_err(|crash| (phase, crash))?;
        self.forget_done()
    }

    /// Ends the roots that said that they are done; while they end, they may say so of others.
    pub(super) fn forget_done(&mut self) -> Result<(), (Phase, Box<Crash>)> {
        while let Some(root) = self.sandbox.data_mut().done.pop() {
            self.forget(root)?;
        }
        Ok(())
    }

    /// Tells every root that it is over. One that asks for time keeps its context until it calls `proxy_done`.
    pub(crate) fn end_roots(&mut self) -> Result<(), (Phase, Box<Crash>)> {
        let roots: Vec<u32> = self.sandbox.data().roots.iter().map(|root| root.id).collect();
        for id in roots {
            // Its last callback may have been long ago.
            self.sandbox.forget_last();
            if self.done(id)? {
                self.forget(id)?;
            } else if let Some(root) = self.sandbox.data_mut().roots.iter_mut().find(|root| root.id == id) {
                root.ending = true;
            }
        }
        self.forget_done()
    }

    /// Ends the roots that asked for time and had it.
    pub(crate) fn give_up_roots(&mut self) -> Result<(), (Phase, Box<Crash>)> {
        let roots: Vec<u32> = self.sandbox.data().roots.iter().map(|root| root.id).collect();
        roots.into_iter().try_for_each(|id| self.forget(id))
    }

    /// Whether every root has ended, so that nothing can happen in this guest any more.
    pub(crate) fn is_over(&self) -> bool {
        self.sandbox.data().roots.is_empty()
    }

    /// Log and delete for a root that is done.
    fn forget(&mut self, root: u32) -> Result<(), (Phase, Box<Crash>)> {
        self.sandbox.forget_last();
        let result = self.log_and_delete(root);
        let state = self.sandbox.data_mut();
        state.contexts.remove(&root);
        state.roots.retain(|r| r.id != root);
        result
    }
}
