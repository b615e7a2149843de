//! One instance with its store: every call into it is armed with a deadline and answered by a result or a crash.

use std::{
    any::Any,
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use quanta::Clock;
use rustix::time::{ClockId, clock_gettime};
use wasmtime::{
    Instance, InstancePre, Memory, ModuleExport, Store, TypedFunc, UpdateDeadline, WasmParams, WasmResults,
};

use crate::{Crash, Engine, Limits, Moment, limits::Limiter, ticker::Pulse};

/// What the store holds: the embedder's state beside the limits and the budget.
pub struct Inside<T> {
    /// The embedder's own.
    pub data: T,
    limiter: Limiter,
    budget: Budget,
    pulse: Arc<Pulse>,
}

impl<T> Inside<T> {
    /// CPU time granted to the call that runs.
    pub fn budget(&self) -> Duration {
        self.budget.granted
    }
}

/// What both clocks of a thread showed at one moment.
#[derive(Debug, Clone, Copy)]
struct Reading {
    /// In which tick of an engine it was taken.
    tick: u64,
    at: Option<Moment>,
    cpu: Duration,
}

thread_local! {
    /// Taken by the first call behind a tick: often enough to tell at the next one how long the thread was away.
    static LAST_READING: Cell<Reading> = const { Cell::new(Reading { tick: u64::MAX, at: None, cpu: Duration::ZERO }) };
}

impl Reading {
    #[cold]
    fn take(tick: u64, at: Moment) {
        LAST_READING.set(Self { tick, at: Some(at), cpu: thread_cpu() });
    }

    /// How long the thread did not run between this reading and now, when its clock shows `cpu`.
    fn away(self, cpu: Duration) -> Duration {
        let ran = cpu.saturating_sub(self.cpu);
        self.at.map_or(Duration::ZERO, |at| at.elapsed().saturating_sub(ran))
    }
}

/// The CPU budget of the call that runs.
#[derive(Debug)]
struct Budget {
    granted: Duration,
    /// When the call began.
    began: Moment,
    /// What the thread's CPU clock showed then, known from the first tick of the call on. Reading it costs a system call,
    /// so calls that end before their first tick (nearly all) never do.
    clock: Option<Duration>,
    exceeded: bool,
}

impl Budget {
    fn new(granted: Duration, began: Moment) -> Self {
        Self { granted, began, clock: None, exceeded: false }
    }

    /// Whether the budget is used up; asked at each tick.
    fn tick(&mut self) -> bool {
        let now = thread_cpu();
        // Whatever time the thread was away since its last reading, it may have been away from this call.
        let own = || self.began.elapsed().saturating_sub(LAST_READING.get().away(now));
        let began = *self.clock.get_or_insert_with(|| now.saturating_sub(own()));
        self.exceeded = now.saturating_sub(began) >= self.granted;
        self.exceeded
    }

    /// CPU time since the call began. Of one that saw no tick, the time that passed: the difference is small.
    fn used(&self, now: Moment) -> Duration {
        match self.clock {
            Some(began) => thread_cpu().saturating_sub(began),
            None => now.saturating_duration_since(self.began),
        }
    }
}

/// One instance with its store.
pub struct Sandbox<T: 'static> {
    store: Store<Inside<T>>,
    instance: Option<Instance>,
    used: Duration,
    clock: Clock,
    /// A function that is not the guest's own.
    hidden: Option<u32>,
    /// When the last call began, and when it ended; `None` at the beginning of a series.
    last: Option<(Moment, Moment)>,
}

impl<T: Send + Sync + 'static> Sandbox<T> {
    /// An empty store with limits; nothing of the guest has run yet.
    pub fn new(engine: &Engine, data: T, limits: Limits) -> Self {
        let clock = engine.clock();
        let budget = Budget::new(Duration::ZERO, clock.now());
        let inside = Inside { data, limiter: Limiter::new(limits), budget, pulse: engine.pulse() };
        let mut store = Store::new(engine.wasmtime(), inside);
        store.limiter(|inside| &mut inside.limiter);
        store.epoch_deadline_callback(|mut context| {
            let inside = context.data_mut();
            inside.pulse.still_runs();
            Ok(if inside.budget.tick() { UpdateDeadline::Interrupt } else { UpdateDeadline::Continue(1) })
        });
        Self { store, instance: None, used: Duration::ZERO, clock, hidden: None, last: None }
    }

    /// Creates the instance; a start function runs within `budget`.
    ///
    /// # Errors
    /// A [`Crash`] of the start function, or a refusal: memory above the ceiling, no free slot in the pool.
    pub fn instantiate(&mut self, pre: &InstancePre<Inside<T>>, budget: Duration) -> Result<Instance, Box<Crash>> {
        let began = self.clock.now();
        let instance = self.guarded(budget, began, |store| pre.instantiate(store))?;
        self.instance = Some(instance);
        Ok(instance)
    }

    /// Leaves the function of this index, which was added to the module, out of what crashes show.
    pub fn hide(&mut self, function: u32) {
        self.hidden = Some(function);
    }

    /// Calls a function of the guest within `budget` of thread CPU time.
    ///
    /// # Errors
    /// A [`Crash`]; the guest must not be called again after one.
    #[inline]
    pub fn call<P: WasmParams, R: WasmResults>(
        &mut self,
        function: &TypedFunc<P, R>,
        params: P,
        budget: Duration,
    ) -> Result<R, Box<Crash>> {
        let began = self.clock.now();
        self.guarded(budget, began, |store| function.call(store, params))
    }

    /// Forgets the last call; the next one may begin a series: calls between which next to nothing happens.
    #[inline]
    pub fn forget_last(&mut self) {
        (self.used, self.last) = (Duration::ZERO, None);
    }

    /// As [`Sandbox::call`], for a call of a series: it begins when the one before it ended, and reads the clock once.
    ///
    /// # Errors
    /// As [`Sandbox::call`].
    #[inline]
    pub fn call_next<P: WasmParams, R: WasmResults>(
        &mut self,
        function: &TypedFunc<P, R>,
        params: P,
        budget: Duration,
    ) -> Result<R, Box<Crash>> {
        let began = self.last.map_or_else(|| self.clock.now(), |(_, ended)| ended);
        self.guarded(budget, began, |store| function.call(store, params))
    }

    #[inline]
    fn guarded<R>(
        &mut self,
        budget: Duration,
        began: Moment,
        run: impl FnOnce(&mut Store<Inside<T>>) -> wasmtime::Result<R>,
    ) -> Result<R, Box<Crash>> {
        self.begins(budget, began);
        let store = &mut self.store;
        let result = catch_unwind(AssertUnwindSafe(|| run(store)));
        self.ended(began);
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.crashed(budget, Ok(error))),
            Err(payload) => Err(self.crashed(budget, Err(payload))),
        }
    }

    // What stands around a call is one function for calls of all types: the caches hold it once.
    #[inline(never)]
    fn begins(&mut self, budget: Duration, began: Moment) {
        let inside = self.store.data_mut();
        inside.budget = Budget::new(budget, began);
        inside.limiter.refused = false;
        inside.pulse.mark(budget);
        let tick = inside.pulse.tick();
        if LAST_READING.get().tick != tick {
            Reading::take(tick, began);
        }
        self.store.set_epoch_deadline(1);
    }

    #[inline(never)]
    fn ended(&mut self, began: Moment) {
        let now = self.clock.now();
        self.last = Some((began, now));
        self.used = self.store.data().budget.used(now);
    }

    #[cold]
    fn crashed(&self, budget: Duration, failure: Result<wasmtime::Error, Box<dyn Any + Send>>) -> Box<Crash> {
        let inside = self.store.data();
        let crash = match failure {
            Ok(error) => Crash::from_error(&error, inside.budget.exceeded, inside.limiter.refused, self.hidden),
            Err(payload) => Crash::host_panic(&*payload),
        };
        Box::new(Crash { budget, used: self.used, memory: inside.limiter.memory, ..crash })
    }

    /// CPU time of the last call, 0 when that was forgotten; of one shorter than a tick the time that passed, whose
    /// difference is small.
    pub fn last_used(&self) -> Duration {
        self.used
    }

    /// CPU time that was granted to the last call.
    pub fn last_budget(&self) -> Duration {
        self.store.data().budget.granted
    }

    /// When the last call began, and when it ended; `None` before the first one, and when it was forgotten.
    #[inline]
    pub fn last_call(&self) -> Option<(Moment, Moment)> {
        self.last
    }

    /// Bytes of linear memory now.
    pub fn memory_bytes(&self) -> usize {
        self.store.data().limiter.memory
    }

    /// The instance, once there is one.
    pub(crate) fn instance(&self) -> Option<Instance> {
        self.instance
    }

    /// An exported function of the instance; `None` for another type, or when there is no instance of that module.
    pub fn function<P: WasmParams, R: WasmResults>(&mut self, export: &ModuleExport) -> Option<TypedFunc<P, R>> {
        let export = self.instance?.get_module_export(&mut self.store, export)?;
        export.into_func()?.typed(&self.store).ok()
    }

    /// An exported memory of the instance, as [`Sandbox::function`].
    pub fn memory(&mut self, export: &ModuleExport) -> Option<Memory> {
        self.instance?.get_module_export(&mut self.store, export)?.into_memory()
    }

    /// The store, for resolving exports.
    pub fn store(&mut self) -> &mut Store<Inside<T>> {
        &mut self.store
    }

    /// The embedder's state.
    #[inline]
    pub fn data(&self) -> &T {
        &self.store.data().data
    }

    /// The embedder's state.
    #[inline]
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.store.data_mut().data
    }
}

fn thread_cpu() -> Duration {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(t.tv_sec.max(0).unsigned_abs(), u32::try_from(t.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests;
