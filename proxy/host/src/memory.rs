//! Guest memory: the only file that sees a guest pointer.
//!
//! Pointers and lengths are unsigned; every sum is made in 64 bits. A length of zero is valid with any pointer.

use sluice_abi::{Status, pairs::Pairs};
use wasmtime::{AsContextMut, Caller, Extern, Memory};

use crate::{hostcalls::Value, state::Held};

/// The memory of the calling guest.
#[inline]
pub(crate) fn of(caller: &mut Caller<'_, Held>) -> Result<Memory, Status> {
    if let Some(memory) = caller.data().data.memory {
        return Ok(memory);
    }
    // Only a start function calls before the memory is known.
    match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => Ok(memory),
        _ => Err(Status::InvalidMemoryAccess),
    }
}

/// Bytes at a pointer.
#[inline]
pub(crate) fn bytes(memory: &[u8], pointer: u32, length: u32) -> Result<&[u8], Status> {
    if length == 0 {
        return Ok(&[]);
    }
    let start = pointer as usize;
    memory.get(start..start + length as usize).ok_or(Status::InvalidMemoryAccess)
}

/// A header map at a pointer.
pub(crate) fn pairs(memory: &[u8], pointer: u32, length: u32) -> Result<Pairs<'_>, Status> {
    Pairs::decode(bytes(memory, pointer, length)?).map_err(|_| Status::BadArgument)
}

/// Whether a result of this size can be written; asked before the hostcall has any effect.
#[inline]
pub(crate) fn probe(memory: &[u8], pointer: u32, size: usize) -> Result<(), Status> {
    if pointer as usize + size <= memory.len() { Ok(()) } else { Err(Status::InvalidMemoryAccess) }
}

/// Writes result bytes; the pointer need not be aligned.
#[inline]
pub(crate) fn write(memory: &mut [u8], pointer: u32, value: &[u8]) -> Result<(), Status> {
    let start = pointer as usize;
    memory.get_mut(start..start + value.len()).ok_or(Status::InvalidMemoryAccess)?.copy_from_slice(value);
    Ok(())
}

/// Gives the guest a value in memory of its own: exactly as long as the value, owned by the guest from then on.
///
/// An empty value is `(0, 0)` without an allocation. `Err(Ok(status))` is told to the guest, `Err(Err(trap))` ends it.
pub(crate) fn give(
    caller: &mut Caller<'_, Held>,
    memory: Memory,
    value: &Value,
    pointer_at: u32,
    length_at: u32,
) -> Result<(), Result<Status, wasmtime::Error>> {
    let state = &mut caller.data_mut().data;
    let length = match value {
        Value::Empty => 0,
        Value::Scratch => state.scratch.len(),
        Value::Shared(bytes) => bytes.len(),
    };
    let mut pointer = 0;
    if length > 0 {
        let size = u32::try_from(length).map_err(|_| Ok(Status::InternalFailure))?;
        // Moved out for the call and put back also when it fails: cloning it would cost twice the whole hostcall.
        let allocator = state.allocator.take().ok_or(Ok(Status::InternalFailure))?;
        state.allocating = true;
        let result = allocator.call(caller.as_context_mut(), size);
        let state = &mut caller.data_mut().data;
        state.allocating = false;
        state.allocator = Some(allocator);
        pointer = result.map_err(Err)?;
        if pointer == 0 {
            return Err(Ok(Status::InvalidMemoryAccess));
        }
        // The allocator may have grown the memory: look at it again.
        let (bytes, inside) = memory.data_and_store_mut(&mut *caller);
        let source: &[u8] = match value {
            Value::Shared(shared) => shared,
            _ => &inside.data.scratch,
        };
        write(bytes, pointer, source).map_err(Ok)?;
    }
    let bytes = memory.data_mut(&mut *caller);
    write(bytes, pointer_at, &pointer.to_le_bytes()).map_err(Ok)?;
    // `length` fits: it was checked above.
    write(bytes, length_at, &(length as u32).to_le_bytes()).map_err(Ok)
}
