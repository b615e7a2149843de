//! Wasmtime narrowed to what a proxy needs: compile, limit, call with a deadline, say why a guest died.
//!
//! This crate knows no Proxy-Wasm word: it runs any core module, with any state `T` in its store.
//!
//! * [`Engine`]: one for the process; pooling allocator, epoch ticker.
//! * [`Code`]: a compiled module with its digest, and the snapshot of a guest as a module; [`Facts`]: what a module says about itself, read without compiling.
//! * [`Cache`]: compiled code on disk.
//! * [`Sandbox`]: one instance with its store, its [`Limits`] and its deadline.
//! * [`Crash`]: how a guest died, classified here and nowhere else.

mod artifact;
mod cache;
mod code;
mod crash;
mod engine;
mod facts;
mod gate;
mod limits;
mod sandbox;
mod snapshot;
mod ticker;

pub use cache::{Cache, CacheError};
pub use code::{Code, CodeError, Digest, MAX_MODULE_BYTES};
pub use crash::{Crash, CrashKind, GuestExit};
pub use engine::{Engine, EngineError, EngineOptions, HAS_COMPILER};
pub use facts::{Facts, Import, ImportKind};
pub use gate::{GATE_WORDS, Gate};
pub use limits::{Limits, MAX_TABLE, MemoryTotal, Refusal};
/// What the clock that times calls showed: only good for the time between two of them.
pub use quanta::Instant as Moment;
pub use sandbox::{Inside, Sandbox};
pub use snapshot::NoSnapshot;
