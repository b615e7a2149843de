//! A module: its bytes checked, named by digest and compiled.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::{Engine, Facts};

/// Largest module that is read, bytes. Compiling costs about one CPU second for each MiB of code.
pub const MAX_MODULE_BYTES: usize = 64 << 20;

/// SHA-256 of a module's bytes; shown as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The first twelve hex digits: enough for a person to tell versions apart.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{self}")
    }
}

/// Why bytes are no usable module. Each text completes the sentence "FILE …".
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// No bytes.
    #[error("is empty")]
    Empty,
    /// Something else altogether.
    #[error("is not a WebAssembly module: {0}")]
    NotWasm(String),
    /// A component of the component model.
    #[error(
        "is a WebAssembly component; Proxy-Wasm filters are core modules \
         (Rust: crate-type = [\"cdylib\"] for wasm32-wasip1, not wasm32-wasip2; Go: -buildmode=c-shared)"
    )]
    Component,
    /// The bytes end early.
    #[error("is cut off: {0}")]
    Truncated(String),
    /// More than [`MAX_MODULE_BYTES`].
    #[error("is too large: {0} bytes, the most is {MAX_MODULE_BYTES}")]
    TooLarge(usize),
    /// Valid in some WebAssembly, but not in what runs here.
    #[error("cannot be compiled: {0}")]
    Compile(String),
}

/// A compiled module.
#[derive(Clone)]
pub struct Code {
    module: wasmtime::Module,
    digest: Digest,
}

impl Code {
    /// Checks and compiles. Takes CPU seconds for large modules: never call it where requests wait.
    ///
    /// # Errors
    /// [`CodeError`] with a sentence that says what the bytes are instead.
    pub fn compile(engine: &Engine, bytes: &[u8]) -> Result<Self, CodeError> {
        Facts::read(bytes)?;
        let module =
            wasmtime::Module::new(engine.wasmtime(), bytes).map_err(|e| CodeError::Compile(format!("{e:#}")))?;
        Ok(Self { module, digest: Digest::of(bytes) })
    }

    /// What it was compiled from.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The compiled module.
    pub fn module(&self) -> &wasmtime::Module {
        &self.module
    }
}
