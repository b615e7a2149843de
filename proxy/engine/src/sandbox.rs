//! One instance with its store: every call into it is armed with a deadline and answered by a result or a crash.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use wasmtime::{Instance, InstancePre, Store, TypedFunc, UpdateDeadline, WasmParams, WasmResults};

use crate::{Crash, Engine, Limits, limits::Limiter, ticker, ticker::Pulse};

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

/// The CPU budget of the call that runs.
#[derive(Debug, Default)]
struct Budget {
    granted: Duration,
    /// The thread's CPU clock at the first tick of this call. Reading it costs a system call, so calls that end
    /// before the first tick (nearly all) never do.
    since: Option<Duration>,
    exceeded: bool,
}

/// One instance with its store.
pub struct Sandbox<T: 'static> {
    store: Store<Inside<T>>,
    instance: Option<Instance>,
    used: Duration,
}

impl<T: Send + Sync + 'static> Sandbox<T> {
    /// An empty store with limits; nothing of the guest has run yet.
    pub fn new(engine: &Engine, data: T, limits: Limits) -> Self {
        let inside = Inside { data, limiter: Limiter::new(limits), budget: Budget::default(), pulse: engine.pulse() };
        let mut store = Store::new(engine.wasmtime(), inside);
        store.limiter(|inside| &mut inside.limiter);
        store.epoch_deadline_callback(|mut context| {
            let inside = context.data_mut();
            inside.pulse.mark();
            let now = thread_cpu();
            match inside.budget.since {
                None => inside.budget.since = Some(now),
                Some(since) if now.saturating_sub(since) >= inside.budget.granted => {
                    inside.budget.exceeded = true;
                    return Ok(UpdateDeadline::Interrupt);
                }
                Some(_) => {}
            }
            Ok(UpdateDeadline::Continue(1))
        });
        Self { store, instance: None, used: Duration::ZERO }
    }

    /// Creates the instance; a start function runs within `budget`.
    ///
    /// # Errors
    /// A [`Crash`] of the start function, or a refusal: memory above the ceiling, no free slot in the pool.
    pub fn instantiate(&mut self, pre: &InstancePre<Inside<T>>, budget: Duration) -> Result<Instance, Crash> {
        let instance = self.guarded(budget, |store| pre.instantiate(store))?;
        self.instance = Some(instance);
        Ok(instance)
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
    ) -> Result<R, Crash> {
        self.guarded(budget, |store| function.call(store, params))
    }

    #[inline]
    fn guarded<R>(
        &mut self,
        budget: Duration,
        run: impl FnOnce(&mut Store<Inside<T>>) -> wasmtime::Result<R>,
    ) -> Result<R, Crash> {
        let store = &mut self.store;
        let inside = store.data_mut();
        inside.budget = Budget { granted: budget, since: None, exceeded: false };
        inside.limiter.refused = false;
        inside.pulse.mark();
        store.set_epoch_deadline(1);
        let began = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| run(store)));
        self.used = began.elapsed();
        // A call that saw a tick may have waited for the processor meanwhile, which is not its fault.
        if let Some(since) = self.store.data().budget.since {
            self.used = self.used.min(ticker::TICK + thread_cpu().saturating_sub(since));
        }
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                let inside = self.store.data();
                Err(Crash::from_error(&error, inside.budget.exceeded, inside.limiter.refused))
            }
            Err(payload) => Err(Crash::host_panic(&*payload)),
        }
    }

    /// Time that the last call took: CPU time, but for calls shorter than a tick, whose difference is small.
    pub fn last_used(&self) -> Duration {
        self.used
    }

    /// Bytes of linear memory now.
    pub fn memory_bytes(&self) -> usize {
        self.store.data().limiter.memory
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
