//! Ceilings of one guest, and of all guests that share one: linear memory and tables.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use wasmtime::ResourceLimiter;

/// Ceilings of one guest.
#[derive(Clone)]
pub struct Limits {
    /// Bytes of linear memory, from 64 KiB to the engine's `max_memory`.
    pub memory: usize,
    /// Elements of one table, up to [`MAX_TABLE`].
    pub table_elements: usize,
    /// The ceiling that this guest shares with others; `None` is none.
    pub total: Option<Arc<MemoryTotal>>,
    /// Hears of each growth that is refused. It is called below the guest, so it must not wait.
    pub on_refused: Option<Arc<dyn Fn(Refusal) + Send + Sync>>,
}

/// Most elements of one table of any guest.
pub const MAX_TABLE: usize = 100_000;

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 64 << 20, table_elements: MAX_TABLE, total: None, on_refused: None }
    }
}

/// Which ceiling refused a growth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// [`Limits::memory`].
    Memory,
    /// [`Limits::total`].
    MemoryTotal,
    /// [`Limits::table_elements`].
    TableElements,
}

/// Linear memory of several guests together.
#[derive(Debug)]
pub struct MemoryTotal {
    ceiling: usize,
    used: AtomicUsize,
}

impl MemoryTotal {
    /// Nothing is used of `ceiling` bytes yet.
    pub const fn new(ceiling: usize) -> Self {
        Self { ceiling, used: AtomicUsize::new(0) }
    }

    /// Bytes in use now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let more = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.ceiling);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Enforces [`Limits`] and remembers what it refused and how much is in use.
pub(crate) struct Limiter {
    limits: Limits,
    /// A growth was refused since the last call began.
    pub(crate) refused: bool,
    /// Bytes of linear memory now.
    pub(crate) memory: usize,
    /// The guest has its memory: from now on it can be told of a refusal.
    created: bool,
}

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, refused: false, memory: 0, created: false }
    }

    /// Gives back what was taken for more than this.
    fn set_memory(&mut self, bytes: usize) {
        if let Some(total) = &self.limits.total {
            total.give_back(self.memory.saturating_sub(bytes));
        }
        self.memory = bytes;
    }

    fn refuse(&mut self, what: Refusal) {
        self.refused = true;
        if let Some(tell) = &self.limits.on_refused {
            tell(what);
        }
    }
}

impl ResourceLimiter for Limiter {
    // Answering `false` makes `memory.grow` return -1: a guest that can live with that goes on.
    fn memory_growing(&mut self, current: usize, desired: usize, max: Option<usize>) -> wasmtime::Result<bool> {
        let created = std::mem::replace(&mut self.created, true);
        // A growth that was granted can still have failed, for want of the system's memory.
        self.set_memory(current);
        if max.is_some_and(|own| desired > own) {
            return Ok(false);
        }
        if desired > self.limits.memory {
            self.refuse(Refusal::Memory);
            return Ok(false);
        }
        if let Some(total) = self.limits.total.clone().filter(|total| !total.take(desired.saturating_sub(current))) {
            self.refuse(Refusal::MemoryTotal);
            let (used, ceiling) = (total.used(), total.ceiling);
            return match created {
                true => Ok(false),
                // Wasmtime's own words would blame the guest alone.
                false => Err(wasmtime::Error::msg(format!(
                    "it begins with {desired} bytes of memory, and memory_total allows {ceiling} for all guests \
                     together, of which {used} are in use"
                ))),
            };
        }
        self.memory = desired;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        let granted = desired <= self.limits.table_elements;
        if !granted {
            self.refuse(Refusal::TableElements);
        }
        Ok(granted)
    }

    fn instances(&self) -> usize {
        1
    }

    fn memories(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        2
    }
}

/// The store is gone, and its memory with it.
impl Drop for Limiter {
    fn drop(&mut self) {
        self.set_memory(0);
    }
}

#[cfg(test)]
mod tests;
