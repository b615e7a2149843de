//! The thread that advances the epoch about once a millisecond, and sleeps while no guest runs.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

use rustix::{process::setpriority_process, thread::gettid};
use wasmtime::EngineWeak;

/// Time between two ticks. A wake-up costs about 17 us of CPU, so a tenth of this would cost a tenth of a core.
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// Ticks without a guest call after which the thread parks.
const IDLE_TICKS: u32 = 64;
/// The longest sleep while parked: bounds the harm of a wake-up lost to a stale read of `active`.
const PARK: Duration = Duration::from_millis(100);

/// Shared with every sandbox: says that a guest runs.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// A guest ran since the last tick.
    active: AtomicBool,
    /// The thread sleeps.
    parked: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Pulse {
    /// Called before every guest call: one load when guests run all the time.
    #[inline]
    pub(crate) fn mark(&self) {
        if !self.active.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        self.active.store(true, Ordering::SeqCst);
        if self.parked.load(Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
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
        thread::sleep(TICK);
        let Some(engine) = engine.upgrade() else { return };
        engine.increment_epoch();
        drop(engine);
        // A running guest marks itself again at each tick (see the deadline callback), so it is never forgotten.
        if pulse.active.swap(false, Ordering::SeqCst) {
            idle = 0;
            continue;
        }
        idle += 1;
        if idle >= IDLE_TICKS {
            pulse.parked.store(true, Ordering::SeqCst);
            if !pulse.active.load(Ordering::SeqCst) {
                thread::park_timeout(PARK);
            }
            pulse.parked.store(false, Ordering::SeqCst);
        }
    }
}
