//! What guests are made from: a module linked, with its exports found; and the snapshot of one that has started.

use sluice_abi::callbacks::ALLOCATORS;
use sluice_engine::Gate;
use wasmtime::{ExternType, InstancePre, Module, ModuleExport};

use crate::{
    LoadError,
    callbacks::Callbacks,
    state::{Held, Root},
};

/// A module linked, with its exports found.
pub(crate) struct Image {
    pub(crate) pre: InstancePre<Held>,
    pub(crate) callbacks: Callbacks,
    pub(crate) memory: ModuleExport,
    pub(crate) allocator: ModuleExport,
    pub(crate) gate: Option<ImageGate>,
}

/// The gate of a module.
pub(crate) struct ImageGate {
    pub(crate) export: ModuleExport,
    /// Its index among the functions of the module.
    pub(crate) index: u32,
    /// The number of the allocator behind it.
    pub(crate) allocator: u32,
}

impl Image {
    /// # Errors
    /// [`LoadError`] for an export that is missing or has another type.
    pub(crate) fn of(pre: InstancePre<Held>, gate: Option<&Gate>) -> Result<Self, LoadError> {
        let module = pre.module();
        let memory = match module.get_export("memory") {
            Some(ExternType::Memory(_)) => module.get_export_index("memory"),
            _ => None,
        };
        let allocator = allocator(module);
        let no_allocator = LoadError::MissingExport("an allocator (`proxy_on_memory_allocate` or `malloc`)");
        let export = |name: &str| module.get_export_index(name);
        Ok(Self {
            callbacks: Callbacks::find(module, gate)?,
            memory: memory.ok_or(LoadError::MissingExport("a memory called `memory`"))?,
            allocator: allocator.and_then(export).ok_or(no_allocator)?,
            gate: gate.zip(allocator).and_then(|(gate, allocator)| {
                let (export, allocator) = (export(Gate::EXPORT)?, gate.number(allocator)?);
                Some(ImageGate { export, index: gate.index(), allocator })
            }),
            pre,
        })
    }
}

/// The name of the module's allocator.
fn allocator(module: &Module) -> Option<&'static str> {
    let fits = |name: &&&str| match module.get_export(name) {
        Some(ExternType::Func(ty)) => {
            ty.params().chain(ty.results()).all(|t| t.is_i32()) && ty.params().len() == 1 && ty.results().len() == 1
        }
        _ => false,
    };
    ALLOCATORS.iter().find(fits).copied()
}

/// A guest that has started and is configured, as something to make guests from, and what its host knew of it.
pub(crate) struct Snapshot {
    pub(crate) image: Image,
    pub(crate) roots: Vec<Root>,
    pub(crate) next_context: u32,
    /// The number of the last call that it made: a guest must not take the answer of another's for its own.
    pub(crate) last_call: u32,
}
