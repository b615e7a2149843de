//! `headers`: header maps and trailers.

use sluice_abi::{
    AbiVersion, MapType, Status,
    pairs::{self, Pairs},
};

use super::Value;
use crate::{Head, Phase, TrailersHead, head::Look, head_size::Size, state::State};

/// Most bytes of one pair: more would be refused by every peer.
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
fn read(state: &State, map: MapType) -> Result<Look<'_>, Status> {
    if let Some((grpc, trailers)) = of_a_call(map) {
        let answered = state.answered.as_ref().filter(|a| a.grpc == grpc).ok_or(Status::BadArgument)?;
        return match trailers {
            false => answered.headers.as_ref().map(|h| Look::Lent(h)),
            true => answered.trailers.as_ref().map(|t| Look::Lent(t)),
        }
        // A failed call has no head: the SDKs survive this status, and would die of another one.
        .ok_or(Status::NotFound);
    }
    let message = state.message().ok_or(Status::BadArgument)?;
    let head = match map {
        MapType::HttpRequestHeaders => &message.request,
        MapType::HttpRequestTrailers => &message.request_trailers,
        MapType::HttpResponseHeaders => return message.response().ok_or(Status::BadArgument),
        MapType::HttpResponseTrailers => &message.response_trailers,
        _ => return Err(Status::BadArgument),
    };
    head.as_deref().map(Look::Lent).ok_or(Status::BadArgument)
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
    let caps = state.identity.caps;
    let head = write(state, map)?;
    // Pseudo headers that are not handed over stay, and are not compared.
    let stays = |name: &[u8]| name.first() == Some(&b':') && pairs.iter().all(|(n, _)| n != name);
    let (_, goes) = Size::of(head.as_ref(), stays);
    if let Err(full) = goes.may_become(Size::sum(pairs), &caps) {
        state.capped(full);
        return Err(Status::BadArgument);
    }
    state.measured = None;
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
    change(state, map, key, value, false)
}

pub(crate) fn proxy_replace_header_map_value(
    state: &mut State,
    map: MapType,
    key: &[u8],
    value: &[u8],
) -> Result<(), Status> {
    change(state, map, key, value, true)
}

/// Adds a pair, or puts it in place of all others of its name.
fn change(state: &mut State, map: MapType, key: &[u8], value: &[u8], replace: bool) -> Result<(), Status> {
    let (caps, measured) = (state.identity.caps, state.measured);
    let head = write(state, map)?;
    if key.len() + value.len() > MAX_VALUE {
        return Err(Status::BadArgument);
    }
    let (all, goes) = match measured {
        Some((of, all)) if of == map && !replace => (all, Size::NOTHING),
        _ => {
            let same = if key.eq_ignore_ascii_case(b"host") { b":authority" } else { key };
            Size::of(head.as_ref(), |name| !replace || !name.eq_ignore_ascii_case(same))
        }
    };
    let then = all.without(goes).with(key, value);
    if let Err(full) = all.may_become(then, &caps) {
        state.measured = Some((map, all));
        state.capped(full);
        return Err(Status::BadArgument);
    }
    let done = if replace { head.replace(key, value) } else { head.add(key, value) };
    // A pseudo header takes the place of its like even when it is added.
    let plain = key.first() != Some(&b':') && !key.eq_ignore_ascii_case(b"host");
    state.measured = (plain && done.is_ok()).then_some((map, then));
    done.map_err(|_| Status::BadArgument)
}

pub(crate) fn proxy_remove_header_map_value(state: &mut State, map: MapType, key: &[u8]) -> Result<(), Status> {
    state.measured = None;
    write(state, map)?.remove(key);
    Ok(())
}

/// Whether a filter may make a head of these pairs: of a call, or of an answer.
pub(super) fn fits(state: &mut State, pairs: Pairs<'_>) -> Result<(), Status> {
    let checked = Size::NOTHING.may_become(Size::sum(pairs), &state.identity.caps);
    checked.map_err(|full| {
        state.capped(full);
        Status::BadArgument
    })
}
