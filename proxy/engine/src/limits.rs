//! Ceilings of one guest: linear memory and tables.

use wasmtime::ResourceLimiter;

/// Ceilings of one guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory, from 64 KiB to the engine's `max_memory`.
    pub memory: usize,
    /// Elements of one table.
    pub table_elements: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 64 << 20, table_elements: 100_000 }
    }
}

/// Enforces [`Limits`] and remembers what it refused and how much is in use.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Limits,
    /// A growth was refused since the last call began.
    pub(crate) refused: bool,
    /// Bytes of linear memory now.
    pub(crate) memory: usize,
}

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, refused: false, memory: 0 }
    }
}

impl ResourceLimiter for Limiter {
    // Answering `false` makes `memory.grow` return -1: a guest that can live with that goes on.
    fn memory_growing(&mut self, _current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        let granted = desired <= self.limits.memory;
        if granted {
            self.memory = desired;
        } else {
            self.refused = true;
        }
        Ok(granted)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        let granted = desired <= self.limits.table_elements;
        self.refused |= !granted;
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
