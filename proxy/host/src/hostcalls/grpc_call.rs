//! `grpc_call`: gRPC callouts, unary and streaming.

use bytes::Bytes;
use sluice_abi::{LogLevel, Status, pairs::Pairs};

use super::http_call::{MAX_BODY, fields, place, refused, room, target, trace, within};
use crate::{
    GrpcCall,
    calls::Kind,
    envoy,
    state::{Outgoing, State},
};

pub(crate) fn proxy_grpc_call(
    state: &mut State,
    upstream: &[u8],
    service: &[u8],
    method: &[u8],
    metadata: Pairs<'_>,
    message: &[u8],
    timeout: u32,
) -> Result<u32, Status> {
    let mut call = prepare(state, "proxy_grpc_call", upstream, service, method, metadata, message.len())?;
    call.message = Some(Bytes::copy_from_slice(message));
    call.timeout = Some(within(timeout));
    Ok(begin(state, Kind::Unary, call))
}

pub(crate) fn proxy_grpc_stream(
    state: &mut State,
    upstream: &[u8],
    service: &[u8],
    method: &[u8],
    metadata: Pairs<'_>,
) -> Result<u32, Status> {
    let call = prepare(state, "proxy_grpc_stream", upstream, service, method, metadata, 0)?;
    Ok(begin(state, Kind::Stream, call))
}

/// What both kinds check and need. Whatever is wrong with the target is `PARSE_FAILURE`, which the SDKs survive.
fn prepare(
    state: &mut State,
    name: &str,
    upstream: &[u8],
    service: &[u8],
    method: &[u8],
    metadata: Pairs<'_>,
    size: usize,
) -> Result<GrpcCall, Status> {
    // Filters for Envoy name a cluster, or describe one in a message of its configuration.
    let known = std::str::from_utf8(upstream).is_ok_and(|text| state.services.outside.reaches(text));
    let described = if known { None } else { envoy::grpc_target(upstream) };
    let upstream = described.as_deref().map_or(upstream, str::as_bytes);
    let target = target(state, name, upstream).ok_or(Status::ParseFailure)?;
    let (Some(service), Some(method)) = (path_part(service), path_part(method)) else {
        refused(state, name, upstream, "the name of its service or method cannot stand in a path");
        return Err(Status::ParseFailure);
    };
    if !room(state, name, size) {
        return Err(Status::InternalFailure);
    }
    let mut metadata = fields(state, metadata).ok_or(Status::InternalFailure)?;
    trace(state, &mut metadata);
    Ok(GrpcCall {
        filter: state.identity.name.clone(),
        upstream: target,
        path: format!("/{service}/{method}"),
        metadata,
        message: None,
        timeout: None,
        trace: place(state),
    })
}

/// A name without anything that means something in a path.
fn path_part(name: &[u8]) -> Option<&str> {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if name.is_empty() || !name.iter().all(plain) { None } else { std::str::from_utf8(name).ok() }
}

fn begin(state: &mut State, kind: Kind, grpc: GrpcCall) -> u32 {
    let call = state.calls.begin(state.effective, kind);
    state.outgoing.push(Outgoing::Open(call, grpc));
    call
}

pub(crate) fn proxy_grpc_send(state: &mut State, call: u32, message: &[u8], end: u32) -> Result<(), Status> {
    let open = state.calls.get_mut(call).filter(|open| open.kind != Kind::Http && !open.closing);
    let open = open.ok_or(Status::NotFound)?;
    // The message of a unary call went with it, and nothing follows a last message.
    if open.kind != Kind::Stream || open.ended {
        return Err(Status::BadArgument);
    }
    let queued = open.unsent + open.sink.as_ref().map_or(0, |sink| sink.queued());
    if queued.saturating_add(message.len()) > MAX_BODY {
        let why = b"proxy_grpc_send was refused: 4 MiB wait to be sent on this stream, which is the limit";
        super::log::write(state, LogLevel::Warn, why);
        return Err(Status::BadArgument);
    }
    open.unsent += message.len();
    open.ended = end != 0;
    state.outgoing.push(Outgoing::Message { call, message: Bytes::copy_from_slice(message), end: end != 0 });
    Ok(())
}

/// Nothing more is sent or heard, and the server is told at once.
pub(crate) fn proxy_grpc_cancel(state: &mut State, call: u32) -> Result<(), Status> {
    known(state, call)?;
    state.calls.remove(call);
    Ok(())
}

/// Nothing more is sent or heard; what was sent before still goes out, with its end behind it.
pub(crate) fn proxy_grpc_close(state: &mut State, call: u32) -> Result<(), Status> {
    known(state, call)?;
    if let Some(open) = state.calls.get_mut(call) {
        open.closing = true;
    }
    state.outgoing.push(Outgoing::Close(call));
    Ok(())
}

fn known(state: &State, call: u32) -> Result<(), Status> {
    let open = state.calls.get(call).filter(|open| open.kind != Kind::Http && !open.closing);
    open.map(drop).ok_or(Status::NotFound)
}
