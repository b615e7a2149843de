//! The engine of the process: Wasmtime's configuration, the pool of instances and the ticker.

use std::{num::NonZeroUsize, sync::Arc};

use quanta::Clock;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

use crate::{
    Cache, Moment,
    limits::MAX_TABLE,
    ticker::{self, Pulse},
};

/// Sizes that are fixed when the process starts.
#[derive(Debug, Clone, Copy)]
pub struct EngineOptions {
    /// Most guests alive at one time. Each reserves 4 GiB of address space, none of it memory until touched.
    pub max_guests: u32,
    /// Most linear memory that any one guest may be granted, bytes.
    pub max_memory: usize,
    /// Stack of a guest, bytes. Threads that run guests need at least 1 MiB more.
    pub max_stack: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { max_guests: 512, max_memory: 4 << 30, max_stack: 512 << 10 }
    }
}

/// Whether this build can compile modules. One that cannot runs what was compiled elsewhere and sealed with its key.
pub const HAS_COMPILER: bool = cfg!(feature = "compiler");

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Wasmtime refused its configuration or could not reserve the pool's address space.
    #[error("cannot set up WebAssembly: {0:#} (is address space limited? `ulimit -v` must be unlimited)")]
    Wasmtime(wasmtime::Error),
    /// The ticker's thread could not be started.
    #[error("cannot start the deadline thread: {0}")]
    Ticker(#[from] std::io::Error),
}

/// One for the process; cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: wasmtime::Engine,
    pulse: Arc<Pulse>,
    clock: Clock,
    options: EngineOptions,
    fingerprint: Arc<str>,
    cache: Option<Arc<Cache>>,
}

impl Engine {
    /// Sets up Wasmtime and starts the ticker.
    ///
    /// # Errors
    /// [`EngineError`] when address space or a thread is refused by the system.
    pub fn new(options: EngineOptions) -> Result<Self, EngineError> {
        let inner = wasmtime::Engine::new(&config(&options)).map_err(EngineError::Wasmtime)?;
        let pulse = ticker::start(inner.weak())?;
        let fingerprint = fingerprint(&inner).into();
        Ok(Self { inner, pulse, clock: Clock::new(), options, fingerprint, cache: None })
    }

    /// The same engine with compiled code kept on disk.
    #[must_use]
    pub fn with_cache(self, cache: Option<Arc<Cache>>) -> Self {
        Self { cache, ..self }
    }

    /// Where compiled code is kept.
    pub(crate) fn cache(&self) -> Option<&Cache> {
        self.cache.as_deref()
    }

    /// Names what compiled code depends on beside the module: Wasmtime's version, its configuration, the CPU. Empty where
    /// nothing is compiled.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The engine below, for building linkers.
    pub fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner
    }

    /// The sizes it was made with.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Times calls. It reads the processor's counter where that can be trusted, and asks the system elsewhere.
    pub(crate) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// What that clock shows.
    #[inline]
    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    pub(crate) fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }
}

#[cfg(not(feature = "compiler"))]
fn fingerprint(_engine: &wasmtime::Engine) -> String {
    String::new()
}

#[cfg(feature = "compiler")]
fn fingerprint(engine: &wasmtime::Engine) -> String {
    use std::hash::{Hash, Hasher};

    use sha2::{Digest, Sha256};

    /// Collects what is hashed, as the standard hasher promises nothing across versions.
    struct Collect(Sha256);
    impl Hasher for Collect {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut all = Collect(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut all);
    all.0.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn config(options: &EngineOptions) -> Config {
    let guests = options.max_guests;
    let mut pool = PoolingAllocationConfig::default();
    pool.total_core_instances(guests)
        .total_memories(guests)
        .total_tables(2 * guests)
        .max_tables_per_module(2)
        .table_elements(MAX_TABLE)
        .max_memory_size(options.max_memory)
        .max_core_instance_size(4 << 20)
        // Resetting dirty pages by hand is about twenty times cheaper than faulting them in again.
        .linear_memory_keep_resident(2 << 20)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto)
        .max_unused_warm_slots(64);

    let mut c = Config::new();
    #[cfg(feature = "compiler")]
    c.strategy(wasmtime::Strategy::Cranelift).cranelift_opt_level(wasmtime::OptLevel::Speed);
    // Epochs stop a guest for 1.19x of its run time where fuel costs 1.41x.
    c.epoch_interruption(true)
        .max_wasm_stack(options.max_stack)
        .wasm_backtrace_max_frames(NonZeroUsize::new(32))
        // Line numbers from DWARF cost 7 to 11 ms a trap; function names are enough.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .native_unwind_info(false)
        .memory_init_cow(true)
        // Snapshots of guests are sparse; below this they are still mapped and not copied.
        .memory_guaranteed_dense_image_size(64 << 20)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_tail_call(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    c
}
