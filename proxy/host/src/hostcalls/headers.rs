//! `headers`: header maps and trailers.

use sluice_abi::{
    AbiVersion, MapType, Status,
    pairs::{self, Pairs},
};

use super::Value;
use crate::{Head, Phase, TrailersHead, state::State};

/// Most pairs and bytes of one map after a guest's additions: more would be refused by every peer.
const MAX_PAIRS: usize = pairs::MAX_PAIRS;
const MAX_VALUE: usize = 64 << 10;

/// Whether a map is of a call: of a gRPC call, and its trailers.
fn of_a_call(map: MapType) -> Option<(bool, bool)> {
    match map {
        MapType::HttpCallResponseHeaders => Some((false, false)),
        MapType::HttpCallResponseTrailers => Some((false, true)),
        MapType::GrpcCallInitialMetadata => Some((true, false)),
        MapType::GrpcCallTrailingMetadata => Some((true, true)),
        _ => None,
    }
}

/// The map that a hostcall reads: its own stream's, in its own phase or later.
fn read(state: &State, map: MapType) -> Result<&dyn Head, Status> {
    if let Some((grpc, trailers)) = of_a_call(map) {
        let answered = state.answered.as_ref().filter(|a| a.grpc == grpc).ok_or(Status::BadArgument)?;
        return match trailers {
            false => answered.headers.as_ref().map(|h| h as &dyn Head),
            true => answered.trailers.as_ref().map(|t| t as &dyn Head),
        }
        // A failed call has no head: the SDKs survive this status, and would die of another one.
        .ok_or(Status::NotFound);
    }
    let message = state.message().ok_or(Status::BadArgument)?;
    let head = match map {
        MapType::HttpRequestHeaders => &message.request,
        MapType::HttpRequestTrailers => &message.request_trailers,
        MapType::HttpResponseHeaders => &message.response,
        MapType::HttpResponseTrailers => &message.response_trailers,
        _ => return Err(Status::BadArgument),
    };
    head.as_deref().ok_or(Status::BadArgument)
}

/// The map that a hostcall changes: only in its own phase, or while the stream is paused from it.
fn write(state: &mut State, map: MapType) -> Result<&mut Box<dyn Head>, Status> {
    let writable = state.writable;
    let allowed = match map {
        MapType::HttpRequestHeaders => writable.request,
        MapType::HttpResponseHeaders => writable.response,
        MapType::HttpRequestTrailers => writable.request_trailers,
        MapType::HttpResponseTrailers => writable.response_trailers,
        _ => false,
    };
    if !allowed {
        return Err(Status::BadArgument);
    }
    let message = state.message_mut().ok_or(Status::BadArgument)?;
    let head = match map {
        MapType::HttpRequestHeaders => &mut message.request,
        MapType::HttpResponseHeaders => &mut message.response,
        // At the end of a body without trailers a filter may add some.
        MapType::HttpRequestTrailers => return Ok(trailers(&mut message.request_trailers)),
        MapType::HttpResponseTrailers => return Ok(trailers(&mut message.response_trailers)),
        _ => return Err(Status::BadArgument),
    };
    head.as_mut().ok_or(Status::BadArgument)
}

fn trailers(slot: &mut Option<Box<dyn Head>>) -> &mut Box<dyn Head> {
    slot.get_or_insert_with(|| Box::new(TrailersHead(http::HeaderMap::new())))
}

/// What reading a map answers that is not there: the log phase says so softly, as Envoy does.
fn absent(state: &State, status: Status) -> Status {
    if matches!(state.phase, Phase::Log | Phase::Done | Phase::Delete) { Status::NotFound } else { status }
}

/// Whether a map could be there, in this callback.
fn readable(state: &State, map: MapType) -> bool {
    match of_a_call(map) {
        Some((grpc, _)) => state.answered.as_ref().is_some_and(|a| a.grpc == grpc),
        None => state.message().is_some(),
    }
}

pub(crate) fn proxy_get_header_map_size(state: &mut State, map: MapType) -> Result<u32, Status> {
    let mut size = 4;
    read(state, map)?.visit(&mut |n, v| size += 10 + n.len() + v.len());
    Ok(u32::try_from(size).unwrap_or(u32::MAX))
}

pub(crate) fn proxy_get_header_map_pairs(state: &mut State, map: MapType) -> Result<Value, Status> {
    let mut out = std::mem::take(&mut state.scratch);
    out.clear();
    match read(state, map) {
        Ok(head) => pairs::encode(&mut out, &|f| head.visit(f)),
        // A map of the stream that is not there (yet) reads as empty; a map that makes no sense is an error.
        Err(_) if readable(state, map) => {}
        Err(status) => {
            state.scratch = out;
            return Err(status);
        }
    }
    let empty = out.is_empty();
    state.scratch = out;
    Ok(if empty { Value::Empty } else { Value::Scratch })
}

pub(crate) fn proxy_set_header_map_pairs(state: &mut State, map: MapType, pairs: Pairs<'_>) -> Result<(), Status> {
    if pairs.iter().any(|(n, v)| n.len() + v.len() > MAX_VALUE) {
        return Err(Status::BadArgument);
    }
    write(state, map)?.replace_all(pairs).map_err(|_| Status::BadArgument)
}

pub(crate) fn proxy_get_header_map_value(state: &mut State, map: MapType, key: &[u8]) -> Result<Value, Status> {
    let mut out = std::mem::take(&mut state.scratch);
    out.clear();
    let found = match read(state, map) {
        Ok(head) => head.value(key).map(|value| out.extend_from_slice(value)).ok_or(Status::NotFound),
        Err(status) => Err(absent(state, status)),
    };
    let empty = out.is_empty();
    state.scratch = out;
    match found {
        Ok(()) if empty => Ok(Value::Empty),
        Ok(()) => Ok(Value::Scratch),
        // 0.1.0 knows no such answer: its modules read an empty value.
        Err(Status::NotFound) if state.identity.abi == AbiVersion::V0_1_0 => Ok(Value::Empty),
        Err(status) => Err(status),
    }
}

pub(crate) fn proxy_add_header_map_value(
    state: &mut State,
    map: MapType,
    key: &[u8],
    value: &[u8],
) -> Result<(), Status> {
    let head = write(state, map)?;
    if head.count() >= MAX_PAIRS || key.len() + value.len() > MAX_VALUE {
        return Err(Status::BadArgument);
    }
    head.add(key, value).map_err(|_| Status::BadArgument)
}

pub(crate) fn proxy_replace_header_map_value(
    state: &mut State,
    map: MapType,
    key: &[u8],
    value: &[u8],
) -> Result<(), Status> {
    let head = write(state, map)?;
    if head.count() > MAX_PAIRS || key.len() + value.len() > MAX_VALUE {
        return Err(Status::BadArgument);
    }
    head.replace(key, value).map_err(|_| Status::BadArgument)
}

pub(crate) fn proxy_remove_header_map_value(state: &mut State, map: MapType, key: &[u8]) -> Result<(), Status> {
    write(state, map)?.remove(key);
    Ok(())
}
