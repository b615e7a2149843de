//! `buffers`: bodies and configurations.

use bytes::Bytes;
use sluice_abi::{BufferType, Status};

use super::Value;
use crate::{
    Cap, Direction, Phase,
    caps::{Bound, Full},
    state::State,
};

/// Which half of the message in hand a buffer means; bodies are of HTTP and data of TCP.
fn direction(state: &State, buffer: BufferType) -> Option<Direction> {
    let tcp = state.is_tcp() == Some(true);
    match buffer {
        BufferType::HttpRequestBody if !tcp => Some(Direction::Request),
        BufferType::HttpResponseBody if !tcp => Some(Direction::Response),
        BufferType::DownstreamData if tcp => Some(Direction::Request),
        BufferType::UpstreamData if tcp => Some(Direction::Response),
        _ => None,
    }
}

/// The configuration that this buffer means, where it may be read.
fn configuration(state: &mut State, buffer: BufferType) -> Result<Bytes, Status> {
    match buffer {
        BufferType::VmConfiguration => Ok(state.identity.vm_config.clone()),
        BufferType::HttpCallResponseBody => answer(state, false),
        BufferType::GrpcCallMessage => answer(state, true),
        BufferType::PluginConfiguration => {
            let root = state.effective_root().ok_or(Status::NotFound)?.configuration;
            state.identity.configs.get(root).cloned().ok_or(Status::NotFound)
        }
        _ => Err(Status::NotFound),
    }
}

/// What came on the call whose callback runs, if it is of this kind.
fn answer(state: &State, grpc: bool) -> Result<Bytes, Status> {
    let answered = state.answered.as_ref().filter(|a| a.grpc == grpc).ok_or(Status::NotFound)?;
    answered.body.clone().ok_or(Status::NotFound)
}

pub(crate) fn proxy_get_buffer_bytes(
    state: &mut State,
    buffer: BufferType,
    start: u32,
    max_size: u32,
) -> Result<Value, Status> {
    // In 32 bits their sum may wrap, which Envoy refuses; in 64 bits it cannot, so every pair means something.
    let (start, max) = (start as usize, max_size as usize);
    let bytes = match direction(state, buffer) {
        Some(direction) => state.body_mut(direction).ok_or(Status::NotFound)?.slice(start, max),
        None => {
            let whole = configuration(state, buffer)?;
            let start = start.min(whole.len());
            whole.slice(start..start + max.min(whole.len() - start))
        }
    };
    Ok(if bytes.is_empty() { Value::Empty } else { Value::Shared(bytes) })
}

pub(crate) fn proxy_set_buffer_bytes(
    state: &mut State,
    buffer: BufferType,
    start: u32,
    size: u32,
    value: &[u8],
) -> Result<(), Status> {
    let direction = direction(state, buffer).ok_or(Status::NotFound)?;
    let cap = state.identity.caps.body_buffer;
    let body = state.body_mut(direction).ok_or(Status::NotFound)?;
    // The guest could otherwise make the host hold any number of its own memories.
    if value.len().saturating_add(body.len()) > cap.saturating_mul(2).max(1 << 20) {
        state.capped(Full(Cap::BodyBuffer, Bound::Own, cap));
        return Err(Status::BadArgument);
    }
    body.replace(start as usize, size as usize, value);
    Ok(())
}

pub(crate) fn proxy_get_buffer_status(state: &mut State, buffer: BufferType) -> Result<(u32, u32), Status> {
    let length = match direction(state, buffer) {
        Some(direction) => state.body_mut(direction).ok_or(Status::NotFound)?.len(),
        None => configuration(state, buffer)?.len(),
    };
    Ok((u32::try_from(length).unwrap_or(u32::MAX), 0))
}

/// 0.1.0 has one call for both configurations: the running callback says which.
pub(crate) fn legacy_configuration(state: &mut State) -> Result<Value, Status> {
    let buffer =
        if state.phase == Phase::Start { BufferType::VmConfiguration } else { BufferType::PluginConfiguration };
    let bytes = configuration(state, buffer)?;
    Ok(if bytes.is_empty() { Value::Empty } else { Value::Shared(bytes) })
}
