//! A module: its bytes checked, named by digest and compiled.

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
};

use sha2::{Digest as _, Sha256};

use crate::{
    CacheError, Engine, Facts, Gate, HAS_COMPILER, Sandbox,
    cache::Form,
    gate::with_gate,
    snapshot::{NoSnapshot, Original},
};

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

    /// The digest of everything that a reader gives, without holding it in memory.
    ///
    /// # Errors
    /// What the reader says.
    pub fn of_reader(mut reader: impl io::Read) -> io::Result<Self> {
        let mut hash = Sha256::new();
        let mut piece = vec![0; 64 << 10];
        loop {
            match reader.read(&mut piece) {
                Ok(0) => return Ok(Self(hash.finalize().into())),
                Ok(n) => hash.update(&piece[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
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
    /// It is not among the code that was compiled elsewhere, and this build cannot compile.
    #[error(
        "was not precompiled for this host: this build has no compiler; `sluice build --precompile` makes what it runs"
    )]
    NoCompiler,
    /// Valid in some WebAssembly, but not in what runs here.
    #[error("cannot be compiled: {0}")]
    Compile(String),
}

/// A compiled module.
#[derive(Clone)]
pub struct Code {
    module: wasmtime::Module,
    digest: Digest,
    original: Result<Original, NoSnapshot>,
    gate: Option<Gate>,
    cached: bool,
    trouble: Vec<CacheError>,
}

impl Code {
    /// Checks and compiles. Takes CPU seconds for large modules: never call it where requests wait.
    ///
    /// # Errors
    /// [`CodeError`] with a sentence that says what the bytes are instead.
    pub fn compile(engine: &Engine, bytes: &[u8]) -> Result<Self, CodeError> {
        let (digest, original) = (Digest::of(bytes), Err(NoSnapshot::new(&"it was not compiled for that")));
        let (known, mut trouble) = known(engine, digest, Form::Plain);
        if let Some(module) = known {
            return Ok(Self { module, digest, original, gate: None, cached: true, trouble });
        }
        Facts::read(bytes)?;
        let module = module(engine, bytes)?;
        trouble.extend(keep(engine, digest, Form::Plain, &module));
        Ok(Self { module, digest, original, gate: None, cached: false, trouble })
    }

    /// As [`Code::compile`], for guests that are to be made into modules by [`Code::snapshot`], where that can be done.
    ///
    /// # Errors
    /// As [`Code::compile`].
    pub fn compile_recording(engine: &Engine, bytes: &[u8]) -> Result<Self, CodeError> {
        if !HAS_COMPILER {
            let original = Err(NoSnapshot::new(&"this build has no compiler"));
            return Ok(Self { original, ..Self::compile(engine, bytes)? });
        }
        let digest = Digest::of(bytes);
        // It was rewritten once already, so it can be.
        let (known, mut trouble) = known(engine, digest, Form::Recording);
        if let Some(module) = known {
            return Ok(Self { module, digest, original: Ok(Original::new(bytes)), gate: None, cached: true, trouble });
        }
        Facts::read(bytes)?;
        let (original, recording) = match guarded(|| Original::record(bytes)) {
            Ok(recorded) => recorded,
            Err(why) => return Ok(Self { original: Err(why), ..Self::compile(engine, bytes)? }),
        };
        let module = module(engine, &recording)?;
        trouble.extend(keep(engine, digest, Form::Recording, &module));
        Ok(Self { module, digest, original: Ok(original), gate: None, cached: false, trouble })
    }

    /// Compiles what a guest of this code is now: its instances begin where the guest stands, with its memory and its
    /// globals. It has a [`Gate`]. Takes as long as compiling the module did.
    ///
    /// # Errors
    /// [`NoSnapshot`] when the module changes its tables, or the guest is not one of this code.
    pub fn snapshot<T: Send + Sync>(&self, engine: &Engine, guest: &mut Sandbox<T>) -> Result<Self, NoSnapshot> {
        let original = self.original.as_ref().map_err(Clone::clone)?;
        let instance = guest.instance().ok_or_else(|| NoSnapshot::new(&"there is no guest"))?;
        let bytes = guarded(|| original.with_state(guest.store(), instance))?;
        let (bytes, gate) = match guarded(|| with_gate(&bytes))? {
            Some((bytes, gate)) => (bytes, Some(gate)),
            None => (bytes, None),
        };
        let module = module(engine, &bytes).map_err(|e| NoSnapshot::new(&e))?;
        let original = Err(NoSnapshot::new(&"it is a snapshot itself"));
        Ok(Self { module, digest: self.digest, original, gate, cached: false, trouble: Vec::new() })
    }

    /// What it was compiled from; that of the original for a snapshot.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether it was loaded from the cache.
    pub fn was_cached(&self) -> bool {
        self.cached
    }

    /// What was wrong with the cache while it was looked for and kept there.
    pub fn cache_trouble(&self) -> &[CacheError] {
        &self.trouble
    }

    /// What its functions can be called through; only snapshots have it.
    pub fn gate(&self) -> Option<&Gate> {
        self.gate.as_ref()
    }

    /// The compiled module.
    pub fn module(&self) -> &wasmtime::Module {
        &self.module
    }
}

fn known(engine: &Engine, digest: Digest, form: Form) -> (Option<wasmtime::Module>, Vec<CacheError>) {
    match engine.cache().map(|cache| cache.load(engine, digest, form)) {
        None => (None, Vec::new()),
        Some(Ok(module)) => (module, Vec::new()),
        Some(Err(error)) => (None, vec![error]),
    }
}

fn keep(engine: &Engine, digest: Digest, form: Form, module: &wasmtime::Module) -> Option<CacheError> {
    engine.cache()?.store(engine, digest, form, module).err()
}

#[cfg(not(feature = "compiler"))]
fn module(_engine: &Engine, _bytes: &[u8]) -> Result<wasmtime::Module, CodeError> {
    Err(CodeError::NoCompiler)
}

#[cfg(feature = "compiler")]
fn module(engine: &Engine, bytes: &[u8]) -> Result<wasmtime::Module, CodeError> {
    wasmtime::Module::new(engine.wasmtime(), bytes).map_err(|e| CodeError::Compile(format!("{e:#}")))
}

/// The rewriting trusts that modules are as compilers make them; one that is not must not take the process down.
fn guarded<R>(rewrite: impl FnOnce() -> Result<R, NoSnapshot>) -> Result<R, NoSnapshot> {
    catch_unwind(AssertUnwindSafe(rewrite)).unwrap_or_else(|_| Err(NoSnapshot::new(&"the module cannot be rewritten")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte at a time, and is interrupted before each.
    struct Dripping<'a>(&'a [u8], bool);

    impl io::Read for Dripping<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 { Err(io::ErrorKind::Interrupted.into()) } else { self.0.read(&mut to[..1]) }
        }
    }

    #[test]
    fn a_reader_gives_the_digest_of_its_bytes() {
        let bytes = b"as many as you like".repeat(10);
        assert_eq!(Digest::of_reader(Dripping(&bytes, false)).unwrap(), Digest::of(&bytes));
        assert!(Digest::of_reader(std::fs::File::open("/").unwrap()).is_err());
    }
}
