//! One instance of a filter: started, configured, and entered for one callback at a time.

use std::time::Duration;

use sluice_abi::{PeerType, callbacks::ALLOCATORS};
use sluice_engine::{Crash, CrashKind, Sandbox};
use wasmtime::{Instance, TypedFunc};

use crate::{
    Answer, CalloutOutcome, GrpcEvent, LoadError, Phase,
    answered::Answered,
    callbacks::{Callbacks, Grown},
    calls::Kind,
    errands::Address,
    filter::Blueprint,
    state::{Asked, Logged, Outgoing, Root, State, Writable},
    wasi,
};

/// One instance of a filter.
pub(crate) struct Guest {
    sandbox: Sandbox<State>,
    callbacks: Callbacks,
    next_context: u32,
    cpu_per_call: Duration,
}

impl Guest {
    /// Instantiates, starts and configures; all of it within the filter's `cpu_start`.
    ///
    /// # Errors
    /// [`LoadError`] that says in which step and how.
    pub(crate) fn build(blueprint: &Blueprint) -> Result<Self, LoadError> {
        let state = State::new(blueprint.identity.clone(), blueprint.services.clone());
        let mut sandbox = Sandbox::new(&blueprint.engine, state, blueprint.limits.clone());
        let mut budget = StartBudget(blueprint.cpu_start);
        let instance = sandbox
            .instantiate(&blueprint.pre, budget.left())
            .map_err(|crash| crashed(&mut sandbox, Phase::Instantiate, crash))?;
        budget.spend(&sandbox);
        let memory = instance
            .get_memory(sandbox.store(), "memory")
            .ok_or(LoadError::MissingExport("a memory called `memory`"))?;
        let allocator = ALLOCATORS
            .iter()
            .find_map(|name| instance.get_typed_func::<u32, u32>(sandbox.store(), name).ok())
            .ok_or(LoadError::MissingExport("an allocator (`proxy_on_memory_allocate` or `malloc`)"))?;
        let state = sandbox.data_mut();
        state.memory = Some(memory);
        state.allocator = Some(allocator);
        let callbacks = Callbacks::resolve(&instance, sandbox.store())?;
        initialize(&mut sandbox, &instance, &mut budget)?;

        let mut guest = Self { sandbox, callbacks, next_context: 1, cpu_per_call: blueprint.cpu_per_call };
        for configuration in 0..blueprint.identity.configs.len() {
            guest.start_root(blueprint, configuration, &mut budget)?;
        }
        Ok(guest)
    }

    /// Creates, starts and configures one root context.
    fn start_root(
        &mut self,
        blueprint: &Blueprint,
        configuration: usize,
        budget: &mut StartBudget,
    ) -> Result<(), LoadError> {
        let id = self.new_context_id();
        let state = self.sandbox.data_mut();
        state.contexts.insert(id, id);
        state.roots.push(Root { id, configuration, tick_period: 0, ticks_set: 0, ending: false });
        let vm_size = length(&blueprint.identity.vm_config);
        let size = blueprint.identity.configs.get(configuration).map_or(0, length);

        self.prepare(Phase::Create, id);
        let result = match &self.callbacks.proxy_on_context_create {
            Some(f) => self.sandbox.call(f, (id, 0), budget.left()),
            None => Ok(()),
        };
        self.finish_start(Phase::Create, result, budget)?;

        for (phase, size) in [(Phase::Start, vm_size), (Phase::Configure, size)] {
            self.prepare(phase, id);
            let callback = match phase {
                Phase::Start => &self.callbacks.proxy_on_vm_start,
                _ => &self.callbacks.proxy_on_configure,
            };
            let result = match callback {
                Some(f) => self.sandbox.call(f, (id, size), budget.left()),
                None => Ok(1),
            };
            // Any number but 0 is true.
            if self.finish_start(phase, result, budget)? == 0 {
                let last_log = self.sandbox.data().last_log.clone();
                return Err(LoadError::Refused { phase, last_log });
            }
        }
        Ok(())
    }

    fn finish_start<R>(
        &mut self,
        phase: Phase,
        result: Result<R, Crash>,
        budget: &mut StartBudget,
    ) -> Result<R, LoadError> {
        wasi::flush(self.sandbox.data_mut());
        budget.spend(&self.sandbox);
        result.map_err(|crash| crashed(&mut self.sandbox, phase, crash))
    }

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
    pub(crate) fn create_context(&mut self, configuration: usize, budget: Duration) -> Result<u32, Crash> {
        let id = self.new_context_id();
        let state = self.sandbox.data_mut();
        let root = state.roots.get(configuration).map_or(0, |r| r.id);
        state.contexts.insert(id, root);
        self.prepare(Phase::Create, id);
        if let Some(f) = &self.callbacks.proxy_on_context_create {
            self.sandbox.call(f, (id, root), budget.min(self.cpu_per_call))?;
        }
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
    ) -> Option<Result<u32, Crash>> {
        self.prepare(phase, context);
        let callback = match phase {
            Phase::RequestHeaders => &self.callbacks.proxy_on_request_headers,
            _ => &self.callbacks.proxy_on_response_headers,
        };
        let budget = budget.min(self.cpu_per_call);
        Some(match callback.as_ref()? {
            Grown::Two(f) => self.sandbox.call(f, (context, count), budget),
            Grown::Three(f) => self.sandbox.call(f, (context, count, u32::from(end)), budget),
        })
    }

    /// A body callback; `None` when the guest has none.
    pub(crate) fn body(
        &mut self,
        phase: Phase,
        context: u32,
        size: u32,
        end: bool,
        budget: Duration,
    ) -> Option<Result<u32, Crash>> {
        self.prepare(phase, context);
        let callback = match phase {
            Phase::RequestBody => &self.callbacks.proxy_on_request_body,
            Phase::DownstreamData => &self.callbacks.proxy_on_downstream_data,
            Phase::UpstreamData => &self.callbacks.proxy_on_upstream_data,
            _ => &self.callbacks.proxy_on_response_body,
        };
        Some(self.sandbox.call(callback.as_ref()?, (context, size, u32::from(end)), budget.min(self.cpu_per_call)))
    }

    /// A client has connected; `None` when the guest has no callback for it.
    pub(crate) fn new_connection(&mut self, context: u32, budget: Duration) -> Option<Result<u32, Crash>> {
        self.prepare(Phase::NewConnection, context);
        let callback = self.callbacks.proxy_on_new_connection.as_ref()?;
        Some(self.sandbox.call(callback, (context,), budget.min(self.cpu_per_call)))
    }

    /// One side of a connection was closed.
    pub(crate) fn closed(&mut self, phase: Phase, context: u32, peer: PeerType) -> Result<(), Crash> {
        self.prepare(phase, context);
        let callback = match phase {
            Phase::DownstreamClose => &self.callbacks.proxy_on_downstream_connection_close,
            _ => &self.callbacks.proxy_on_upstream_connection_close,
        };
        match callback {
            Some(f) => self.sandbox.call(f, (context, peer.wire()), self.cpu_per_call),
            None => Ok(()),
        }
    }

    /// A trailers callback; `None` when the guest has none.
    pub(crate) fn trailers(
        &mut self,
        phase: Phase,
        context: u32,
        count: u32,
        budget: Duration,
    ) -> Option<Result<u32, Crash>> {
        self.prepare(phase, context);
        let callback = match phase {
            Phase::RequestTrailers => &self.callbacks.proxy_on_request_trailers,
            _ => &self.callbacks.proxy_on_response_trailers,
        };
        Some(self.sandbox.call(callback.as_ref()?, (context, count), budget.min(self.cpu_per_call)))
    }

    /// Tells of what came on a call; the callbacks are the root's, as the ABI has it. A call that was answered already,
    /// or that the guest wants to hear nothing of, is not known any more.
    pub(crate) fn answer(&mut self, call: u32, answer: Answer) -> Result<(), (Phase, Crash)> {
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

    fn http_answer(&mut self, root: u32, call: u32, outcome: CalloutOutcome) -> Result<(), Crash> {
        let answered = Answered::http(outcome);
        let (headers, body, trailers) = answered.sizes();
        self.sandbox.data_mut().answered = Some(answered);
        match &self.callbacks.proxy_on_http_call_response {
            Some(f) => self.sandbox.call(f, (root, call, headers, body, trailers), self.cpu_per_call),
            None => Ok(()),
        }
    }

    fn grpc_answer(&mut self, root: u32, call: u32, event: GrpcEvent) -> Result<(), Crash> {
        let callbacks = &self.callbacks;
        let callback = match event {
            GrpcEvent::Metadata(_) => &callbacks.proxy_on_grpc_receive_initial_metadata,
            GrpcEvent::Message(_) => &callbacks.proxy_on_grpc_receive,
            GrpcEvent::Trailers(_) => &callbacks.proxy_on_grpc_receive_trailing_metadata,
            GrpcEvent::Closed { .. } => &callbacks.proxy_on_grpc_close,
        };
        let answered = Answered::grpc(event.clone());
        let (headers, body, trailers) = answered.sizes();
        let number = match event {
            GrpcEvent::Metadata(_) => headers,
            GrpcEvent::Message(_) => body,
            GrpcEvent::Trailers(_) => trailers,
            GrpcEvent::Closed { status, .. } => status,
        };
        self.sandbox.data_mut().answered = Some(answered);
        match callback {
            Some(f) => self.sandbox.call(f, (root, call, number), self.cpu_per_call),
            None => Ok(()),
        }
    }

    /// One tick of a root, unless the period was set again meanwhile; then asks for the next one.
    pub(crate) fn tick(&mut self, root: u32, set: u32) -> Result<(), (Phase, Crash)> {
        let current = |state: &State| state.roots.iter().any(|r| r.id == root && r.ticks_set == set);
        if !current(self.sandbox.data()) {
            return Ok(());
        }
        self.prepare(Phase::Tick, root);
        let result = match &self.callbacks.proxy_on_tick {
            Some(f) => self.sandbox.call(f, (root,), self.cpu_per_call),
            None => Ok(()),
        };
        self.leave(Phase::Tick, result)?;
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
    pub(crate) fn queue_ready(&mut self, root: u32, queue: u32) -> Result<(), (Phase, Crash)> {
        self.prepare(Phase::Queue, root);
        let result = match &self.callbacks.proxy_on_queue_ready {
            Some(f) => self.sandbox.call(f, (root, queue), self.cpu_per_call),
            None => Ok(()),
        };
        self.leave(Phase::Queue, result)
    }

    fn leave(&mut self, phase: Phase, result: Result<(), Crash>) -> Result<(), (Phase, Crash)> {
        let state = self.sandbox.data_mut();
        state.answered = None;
        wasi::flush(state);
        result.map_err(|crash| (phase, crash))?;
        // Roots that said in this callback that they are done.
        let done = std::mem::take(&mut self.sandbox.data_mut().asked.done);
        done.into_iter().try_for_each(|root| self.forget(root))
    }

    /// Done, log, delete; after it the context is gone, whatever the guest did.
    pub(crate) fn end_context(&mut self, context: u32) -> Result<(), (Phase, Crash)> {
        let result = self.last_callbacks(context);
        let state = self.sandbox.data_mut();
        state.contexts.remove(&context);
        state.paused.remove(&context);
        result
    }

    /// Tells every root that it is over. One that asks for time keeps its context until it calls `proxy_done`.
    pub(crate) fn end_roots(&mut self) -> Result<(), (Phase, Crash)> {
        let roots: Vec<u32> = self.sandbox.data().roots.iter().map(|root| root.id).collect();
        for id in roots {
            if self.done(id)? {
                self.forget(id)?;
            } else if let Some(root) = self.sandbox.data_mut().roots.iter_mut().find(|root| root.id == id) {
                root.ending = true;
            }
        }
        Ok(())
    }

    /// Ends the roots that asked for time and had it.
    pub(crate) fn give_up_roots(&mut self) -> Result<(), (Phase, Crash)> {
        let roots: Vec<u32> = self.sandbox.data().roots.iter().map(|root| root.id).collect();
        roots.into_iter().try_for_each(|id| self.forget(id))
    }

    /// Whether every root has ended, so that nothing can happen in this guest any more.
    pub(crate) fn is_over(&self) -> bool {
        self.sandbox.data().roots.is_empty()
    }

    /// Log and delete for a root that is done.
    fn forget(&mut self, root: u32) -> Result<(), (Phase, Crash)> {
        let result = self.log_and_delete(root);
        let state = self.sandbox.data_mut();
        state.contexts.remove(&root);
        state.roots.retain(|r| r.id != root);
        result
    }

    fn done(&mut self, context: u32) -> Result<bool, (Phase, Crash)> {
        let Some(f) = &self.callbacks.proxy_on_done else { return Ok(true) };
        enter(self.sandbox.data_mut(), Phase::Done, context);
        let done = self.sandbox.call(f, (context,), self.cpu_per_call).map_err(|c| (Phase::Done, c))?;
        wasi::flush(self.sandbox.data_mut());
        Ok(done != 0)
    }

    fn last_callbacks(&mut self, context: u32) -> Result<(), (Phase, Crash)> {
        // A stream ends in any case.
        self.done(context)?;
        self.log_and_delete(context)
    }

    fn log_and_delete(&mut self, context: u32) -> Result<(), (Phase, Crash)> {
        for (phase, callback) in
            [(Phase::Log, &self.callbacks.proxy_on_log), (Phase::Delete, &self.callbacks.proxy_on_delete)]
        {
            if let Some(f) = callback {
                enter(self.sandbox.data_mut(), phase, context);
                self.sandbox.call(f, (context,), self.cpu_per_call).map_err(|c| (phase, c))?;
                wasi::flush(self.sandbox.data_mut());
            }
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

    pub(crate) fn state(&mut self) -> &mut State {
        self.sandbox.data_mut()
    }

    /// Time of the last call and bytes of memory now.
    pub(crate) fn last_used(&self) -> Duration {
        self.sandbox.last_used()
    }
}

fn enter(state: &mut State, phase: Phase, context: u32) {
    state.phase = phase;
    state.current = context;
    state.effective = context;
    state.asked = Asked::default();
    state.logged = Logged::default();
    if !phase.is_stream() {
        state.writable = Writable::default();
    }
}

/// What is left of the time to start.
struct StartBudget(Duration);

impl StartBudget {
    fn left(&self) -> Duration {
        self.0
    }

    fn spend(&mut self, sandbox: &Sandbox<State>) {
        self.0 = self.0.saturating_sub(sandbox.last_used());
    }
}

fn length(bytes: &bytes::Bytes) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

fn crashed(sandbox: &mut Sandbox<State>, phase: Phase, crash: Crash) -> LoadError {
    let state = sandbox.data_mut();
    wasi::flush(state);
    LoadError::Crash { phase, crash: Box::new(crash), last_log: state.last_log.clone() }
}

/// `_initialize` and then `main` for a reactor, `_start` for a command: never both kinds.
fn initialize(sandbox: &mut Sandbox<State>, instance: &Instance, budget: &mut StartBudget) -> Result<(), LoadError> {
    let mut run = |sandbox: &mut Sandbox<State>, call: &dyn Fn(&mut Sandbox<State>, Duration) -> Result<(), Crash>| {
        let result = call(sandbox, budget.left());
        wasi::flush(sandbox.data_mut());
        budget.spend(sandbox);
        match result {
            // Ending with 0 is how a command says that all is well.
            Err(crash) if crash.kind != CrashKind::Exit(0) => Err(crashed(sandbox, Phase::Instantiate, crash)),
            _ => Ok(()),
        }
    };
    let unit = |sandbox: &mut Sandbox<State>, name: &str| -> Option<TypedFunc<(), ()>> {
        instance.get_typed_func(sandbox.store(), name).ok()
    };
    if let Some(f) = unit(sandbox, "_initialize") {
        run(sandbox, &|s, b| s.call(&f, (), b))?;
        if let Ok(f) = instance.get_typed_func::<(u32, u32), u32>(sandbox.store(), "main") {
            run(sandbox, &|s, b| s.call(&f, (0, 0), b).map(drop))?;
        } else if let Ok(f) = instance.get_typed_func::<(), u32>(sandbox.store(), "__main_void") {
            run(sandbox, &|s, b| s.call(&f, (), b).map(drop))?;
        }
    } else if let Some(f) = unit(sandbox, "_start") {
        run(sandbox, &|s, b| s.call(&f, (), b))?;
    }
    Ok(())
}
