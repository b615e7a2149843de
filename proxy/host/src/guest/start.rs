//! How a guest begins: by starting and configuring it, or from the snapshot of one that was started and configured.

use std::{sync::Arc, time::Duration};

use sluice_engine::{Code, Crash, CrashKind, NoSnapshot, Sandbox};
use wasmtime::{InstancePre, Module, TypedFunc, WasmParams, WasmResults};

use super::Guest;
use crate::{
    LoadError, Outcome, Phase,
    blueprint::Blueprint,
    callbacks::{Callback, Callbacks},
    gate::{Allocator, Through, Word, Words},
    image::{Image, Snapshot},
    state::{Held, Root, State},
    wasi,
};

impl Guest {
    /// Instantiates, starts and configures; all of it within the filter's `cpu_start`.
    ///
    /// # Errors
    /// [`LoadError`] that says in which step and how.
    pub(crate) fn build(blueprint: &Arc<Blueprint>) -> Result<Self, LoadError> {
        let mut left = blueprint.cpu_start;
        let mut guest = Self::instance(blueprint, &blueprint.image, &mut left)?;
        guest.initialize(&mut left)?;
        for configuration in 0..blueprint.identity.configs.len() {
            guest.start_root(configuration, &mut left)?;
        }
        Ok(guest)
    }

    /// A guest that stands where the one stood of which the snapshot was taken. Only creating the instance costs.
    ///
    /// # Errors
    /// [`LoadError`] when there is no room for one more.
    pub(crate) fn from_snapshot(blueprint: &Arc<Blueprint>, snapshot: &Snapshot) -> Result<Self, LoadError> {
        let mut guest = Self::instance(blueprint, &snapshot.image, &mut blueprint.cpu_start.clone())?;
        guest.next_context = snapshot.next_context;
        let state = guest.sandbox.data_mut();
        state.contexts.extend(snapshot.roots.iter().map(|root| (root.id, root.id)));
        state.roots.clone_from(&snapshot.roots);
        state.calls.go_on_from(snapshot.last_call);
        Ok(guest)
    }

    /// What this guest is now, for others to begin with. Compiles, which takes as long as the module took.
    ///
    /// # Errors
    /// [`NoSnapshot`] for what cannot be read back of a guest.
    pub(crate) fn snapshot(
        &mut self,
        code: &Code,
        link: impl Fn(&Module) -> Result<InstancePre<Held>, LoadError>,
    ) -> Result<Snapshot, NoSnapshot> {
        let code = code.snapshot(&self.blueprint.engine, &mut self.sandbox)?;
        let image = link(code.module()).and_then(|pre| Image::of(pre, code.gate())).map_err(|e| NoSnapshot::new(&e))?;
        let state = self.sandbox.data();
        // Ticks and queues stay with the guest that asked for them.
        let roots = state.roots.iter().map(|root| Root { tick_period: 0, ..root.clone() }).collect();
        Ok(Snapshot { image, roots, next_context: self.next_context, last_call: state.calls.last() })
    }

    fn instance(blueprint: &Arc<Blueprint>, image: &Image, left: &mut Duration) -> Result<Self, LoadError> {
        let state = State::new(blueprint.identity.clone(), blueprint.services.clone());
        let mut sandbox = Sandbox::new(&blueprint.engine, state, blueprint.limits.clone());
        sandbox.instantiate(&image.pre, *left).map_err(|crash| crashed(&mut sandbox, Phase::Instantiate, crash))?;
        *left = left.saturating_sub(sandbox.last_used());
        let memory = sandbox.memory(&image.memory);
        let gate = image.gate.as_ref().and_then(|gate| {
            sandbox.hide(gate.index);
            sandbox.function(&gate.export).map(|function: Through| (function, gate.allocator))
        });
        let allocator = match &gate {
            Some((gate, number)) => Some(Allocator::Gate(gate.clone(), *number)),
            None => sandbox.function(&image.allocator).map(Allocator::Direct),
        };
        let state = sandbox.data_mut();
        (state.memory, state.allocator) = (memory, allocator);
        let (callbacks, gate) = (image.callbacks.unresolved(), gate.map(|(gate, _)| gate));
        blueprint.meter.guest_begins();
        Ok(Self { sandbox, callbacks, gate, next_context: 1, blueprint: blueprint.clone() })
    }

    /// `_initialize` and then `main` for a reactor, `_start` for a command: never both kinds.
    fn initialize(&mut self, left: &mut Duration) -> Result<(), LoadError> {
        if let Some(f) = self.export::<(), ()>("_initialize") {
            self.begin(&f, (), left)?;
            if let Some(f) = self.export::<(u32, u32), u32>("main") {
                self.begin(&f, (0, 0), left)?;
            } else if let Some(f) = self.export::<(), u32>("__main_void") {
                self.begin(&f, (), left)?;
            }
        } else if let Some(f) = self.export::<(), ()>("_start") {
            self.begin(&f, (), left)?;
        }
        Ok(())
    }

    fn export<P: WasmParams, R: WasmResults>(&mut self, name: &str) -> Option<TypedFunc<P, R>> {
        let export = self.blueprint.image.pre.module().get_export_index(name)?;
        self.sandbox.function(&export)
    }

    fn begin<P: WasmParams, R: WasmResults>(
        &mut self,
        function: &TypedFunc<P, R>,
        params: P,
        left: &mut Duration,
    ) -> Result<(), LoadError> {
        let result = self.sandbox.call(function, params, *left);
        match self.started(Phase::Instantiate, result, left) {
            // Ending with 0 is how a command says that all is well.
            Err(LoadError::Crash { crash, .. }) if crash.kind == CrashKind::Exit(0) => Ok(()),
            result => result.map(drop),
        }
    }

    /// Creates, starts and configures one root context.
    fn start_root(&mut self, configuration: usize, left: &mut Duration) -> Result<(), LoadError> {
        let id = self.new_context_id();
        let state = self.sandbox.data_mut();
        state.contexts.insert(id, id);
        state.roots.push(Root { id, configuration, tick_period: 0, ticks_set: 0, ending: false });
        let vm_size = length(&self.blueprint.identity.vm_config);
        let size = self.blueprint.identity.configs.get(configuration).map_or(0, length);

        self.start(Phase::Create, |c| &mut c.proxy_on_context_create, (id, 0), left)?;
        let ready = self.start(Phase::Start, |c| &mut c.proxy_on_vm_start, (id, vm_size), left)?;
        self.accepted(Phase::Start, ready)?;
        let ready = self.start(Phase::Configure, |c| &mut c.proxy_on_configure, (id, size), left)?;
        self.accepted(Phase::Configure, ready)
    }

    /// Runs one callback of the start with what is left of its time; `None` when the guest has none.
    fn start<P: Words, R: Word>(
        &mut self,
        phase: Phase,
        callback: impl FnOnce(&mut Callbacks) -> &mut Callback<P, R>,
        params: P,
        left: &mut Duration,
    ) -> Result<Option<R>, LoadError> {
        let id = self.sandbox.data().roots.last().map_or(0, |root| root.id);
        self.prepare(phase, id);
        let callback = callback(&mut self.callbacks).of(&mut self.sandbox, self.gate.as_ref());
        let Some(callback) = callback else { return Ok(None) };
        let result = callback.call(&mut self.sandbox, params, *left);
        self.started(phase, result, left).map(Some)
    }

    fn started<R>(&mut self, phase: Phase, result: Result<R, Box<Crash>>, left: &mut Duration) -> Result<R, LoadError> {
        wasi::flush(self.sandbox.data_mut());
        let used = self.sandbox.last_used();
        let outcome = if result.is_ok() { Outcome::Continued } else { Outcome::Failed };
        self.came_to(phase, outcome);
        *left = left.saturating_sub(used);
        result.map_err(|crash| crashed(&mut self.sandbox, phase, crash))
    }

    /// Any number but 0 is true.
    fn accepted(&self, phase: Phase, ready: Option<u32>) -> Result<(), LoadError> {
        match ready {
            Some(0) => Err(LoadError::Refused { phase, last_log: self.sandbox.data().last_log.clone() }),
            _ => Ok(()),
        }
    }
}

fn length(bytes: &bytes::Bytes) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

fn crashed(sandbox: &mut Sandbox<State>, phase: Phase, crash: Box<Crash>) -> LoadError {
    let state = sandbox.data_mut();
    wasi::flush(state);
    LoadError::Crash { phase, crash, last_log: state.last_log.clone() }
}
