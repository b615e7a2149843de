//! A guest that has started, made into a module that begins where the guest stood: memory and globals are its data.
//!
//! Wizer rewrites the module: once so that the private globals of the guest can be read (the recording module, which has
//! to be what the guest runs), once so that it has the guest's state. Both are pure transformations; nothing runs here.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use wasm_encoder::{Module, RawSection, reencode::RoundtripReencoder};
use wasmparser::{DataKind, Payload};
use wasmtime::{Instance, Store, Val};
use wasmtime_wizer::{InstanceState, SnapshotVal, ValType, Wizer};

/// Why a guest cannot be made into a module. The text completes "… because …".
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct NoSnapshot(String);

impl NoSnapshot {
    /// In the words of this error.
    pub fn new(error: &impl std::fmt::Display) -> Self {
        Self(format!("{error:#}"))
    }
}

/// The bytes of a module whose guests can be made into modules.
#[derive(Clone)]
pub(crate) struct Original(Arc<[u8]>);

impl Original {
    /// Of a module that is known to be one.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The module with its state exported under names of Wizer's.
    ///
    /// # Errors
    /// [`NoSnapshot`] for a module that changes its tables, or anything else that cannot be read back.
    pub(crate) fn record(bytes: &[u8]) -> Result<(Self, Vec<u8>), NoSnapshot> {
        let (_, recording) = Wizer::new().instrument(bytes).map_err(|e| NoSnapshot::new(&e))?;
        Ok((Self(bytes.into()), recording))
    }

    /// The module of a guest that runs the recording one.
    ///
    /// # Errors
    /// [`NoSnapshot`] when the guest is not one of this module.
    pub(crate) fn with_state<T>(&self, store: &mut Store<T>, instance: Instance) -> Result<Vec<u8>, NoSnapshot>
    where
        T: Send + 'static,
    {
        let wizer = Wizer::new();
        let (context, _) = wizer.instrument(&self.0).map_err(|e| NoSnapshot::new(&e))?;
        let mut state = State { store, instance, missing: None };
        // Nothing in it waits: the state is read at once.
        let polled = pin!(wizer.snapshot(&context, &mut state)).poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(bytes) = polled else { return Err(NoSnapshot("the rewriting waits for something".into())) };
        let bytes = bytes.map_err(|e| NoSnapshot::new(&e))?;
        match state.missing {
            Some(name) => Err(NoSnapshot(format!("the guest has no {name}"))),
            None => without_empty_segments(&bytes),
        }
    }
}

/// What Wizer reads of a guest.
struct State<'a, T: 'static> {
    store: &'a mut Store<T>,
    instance: Instance,
    missing: Option<String>,
}

impl<T: Send> InstanceState for State<'_, T> {
    async fn global_get(&mut self, name: &str, _hint: ValType) -> SnapshotVal {
        let value = self.instance.get_global(&mut *self.store, name).map(|global| global.get(&mut *self.store));
        match value {
            Some(Val::I32(v)) => SnapshotVal::I32(v),
            Some(Val::I64(v)) => SnapshotVal::I64(v),
            Some(Val::F32(v)) => SnapshotVal::F32(v),
            Some(Val::F64(v)) => SnapshotVal::F64(v),
            Some(Val::V128(v)) => SnapshotVal::V128(v.as_u128()),
            _ => {
                self.missing = Some(format!("global {name}"));
                SnapshotVal::I32(0)
            }
        }
    }

    async fn memory_contents(&mut self, name: &str, contents: impl FnOnce(&[u8]) + Send) {
        match self.instance.get_memory(&mut *self.store, name) {
            Some(memory) => contents(memory.data(&*self.store)),
            None => self.missing = Some(format!("memory {name}")),
        }
    }
}

/// Wizer keeps every data segment of the original as an empty one. Go's linker makes tens of thousands of them, and each
/// is looked at whenever a guest is made: 50 to 120 us. Where nothing in the code can name a segment they can go.
fn without_empty_segments(bytes: &[u8]) -> Result<Vec<u8>, NoSnapshot> {
    let mut module = Module::new();
    for payload in wasmparser::Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|e| NoSnapshot::new(&e))?;
        match &payload {
            // Only with this section may code name a segment.
            Payload::DataCountSection { .. } => return Ok(bytes.to_vec()),
            Payload::DataSection(reader) => {
                let mut section = wasm_encoder::DataSection::new();
                for segment in reader.clone() {
                    let segment = segment.map_err(|e| NoSnapshot::new(&e))?;
                    let empty = matches!(segment.kind, DataKind::Passive) && segment.data.is_empty();
                    if !empty {
                        wasm_encoder::reencode::Reencode::parse_data(&mut RoundtripReencoder, &mut section, segment)
                            .map_err(|e| NoSnapshot::new(&e))?;
                    }
                }
                module.section(&section);
            }
            _ => {
                if let Some((id, range)) = payload.as_section() {
                    let data = bytes.get(range).ok_or_else(|| NoSnapshot("a section is cut off".into()))?;
                    module.section(&RawSection { id, data });
                }
            }
        }
    }
    Ok(module.finish())
}
