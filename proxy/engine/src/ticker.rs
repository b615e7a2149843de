//! The thread that advances the epoch: seldom while calls are short, often while one of them takes long, and not at all
//! while no guest runs.
//!
//! A wake-up costs about 25 us of CPU and interrupts whoever has the core: 865 in a second were 4 us of each request of a worker
//! that served 5,300.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

use rustix::{process::setpriority_process, thread::gettid};
use wasmtime::EngineWeak;

/// Time between two ticks while one call takes long, or has a small budget.
const TICK: Duration = Duration::from_millis(1);
/// Time between two ticks otherwise. A call that is found running by one asks for shorter ones.
const REST: Duration = Duration::from_millis(4);
/// Budgets below this need the short ticks from their beginning.
const SMALL: Duration = Duration::from_millis(8);
/// Ticks without a guest call after which the thread parks.
const IDLE_TICKS: u32 = 16;
/// The longest sleep while parked: bounds the harm of a wake-up lost to a stale read of `active`.
const PARK: Duration = Duration::from_millis(100);

/// Shared with every sandbox: says that a guest runs.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// A guest ran since the last tick.
    active: AtomicBool,
    /// The next tick is wanted soon.
    soon: AtomicBool,
    /// The thread waits for a long tick.
    rests: AtomicBool,
    /// The thread waits for a guest to run.
    parked: AtomicBool,
    /// Ticks so far.
    ticks: AtomicU64,
    thread: OnceLock<Thread>,
}

impl Pulse {
    /// Called before every guest call: one load when guests run all the time.
    #[inline]
    pub(crate) fn mark(&self, budget: Duration) {
        if !self.active.load(Ordering::Relaxed) {
            self.wake();
        }
        if budget < SMALL {
            self.hurry();
        }
    }

    /// The number of the last tick.
    #[inline]
    pub(crate) fn tick(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }

    /// A call is still running at a tick.
    pub(crate) fn still_runs(&self) {
        self.active.store(true, Ordering::SeqCst);
        self.hurry();
    }

    #[cold]
    fn wake(&self) {
        self.active.store(true, Ordering::SeqCst);
        self.unpark_from(&self.parked);
    }

    fn hurry(&self) {
        if !self.soon.load(Ordering::Relaxed) {
            self.soon.store(true, Ordering::SeqCst);
            self.unpark_from(&self.rests);
        }
    }

    fn unpark_from(&self, sleep: &AtomicBool) {
        if sleep.load(Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Waits in this kind of sleep until `until` is said, or so long.
    fn sleep(sleep: &AtomicBool, until: &AtomicBool, most: Duration) {
        sleep.store(true, Ordering::SeqCst);
        if !until.load(Ordering::SeqCst) {
            thread::park_timeout(most);
        }
        sleep.store(false, Ordering::SeqCst);
    }
}

/// Starts the ticker of an engine; it ends when the engine is gone.
pub(crate) fn start(engine: EngineWeak) -> std::io::Result<Arc<Pulse>> {
    let pulse = Arc::new(Pulse::default());
    let shared = Arc::clone(&pulse);
    let handle = thread::Builder::new().name("sluice-epoch".into()).spawn(move || run(&engine, &shared))?;
    // The thread reads nothing from the cell, so setting it after the spawn is early enough for `wake`.
    let _ = pulse.thread.set(handle.thread().clone());
    Ok(pulse)
}

/// A ticker that waits for the processor lets guests overrun. It needs next to no time, so it may come first where the
/// process is allowed to say so (as root, or with `CAP_SYS_NICE`); elsewhere it waits its turn.
fn come_first() {
    let _ = setpriority_process(Some(gettid()), -20);
}

fn run(engine: &EngineWeak, pulse: &Pulse) {
    let mut idle = 0;
    come_first();
    loop {
        Pulse::sleep(&pulse.rests, &pulse.soon, REST);
        if pulse.soon.swap(false, Ordering::SeqCst) {
            thread::sleep(TICK);
        }
        let Some(engine) = engine.upgrade() else { return };
        engine.increment_epoch();
        pulse.ticks.fetch_add(1, Ordering::Relaxed);
        drop(engine);
        // A running guest marks itself again at each tick (see the deadline callback), so it is never forgotten.
        if pulse.active.swap(false, Ordering::SeqCst) {
            idle = 0;
            continue;
        }
        idle += 1;
        if idle >= IDLE_TICKS {
            Pulse::sleep(&pulse.parked, &pulse.active, PARK);
        }
    }
}
