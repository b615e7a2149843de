//! `grpc_call`: gRPC callouts.

use sluice_abi::{Status, pairs::Pairs};

use super::http_call::refused;
use crate::state::State;

/// Every upstream is unknown to gRPC callouts: that is how the ABI says that there is none.
const NOT_YET: &str = "this version makes no gRPC callouts";

pub(crate) fn proxy_grpc_call(
    state: &mut State,
    upstream: &[u8],
    _service: &[u8],
    _method: &[u8],
    _metadata: Pairs<'_>,
    _message: &[u8],
    _timeout: u32,
) -> Result<u32, Status> {
    refused(state, "proxy_grpc_call", upstream, NOT_YET);
    Err(Status::ParseFailure)
}

pub(crate) fn proxy_grpc_stream(
    state: &mut State,
    upstream: &[u8],
    _service: &[u8],
    _method: &[u8],
    _metadata: Pairs<'_>,
) -> Result<u32, Status> {
    refused(state, "proxy_grpc_stream", upstream, NOT_YET);
    Err(Status::ParseFailure)
}

// No call was ever given out, so every id is unknown.
pub(crate) fn proxy_grpc_send(_: &mut State, _call: u32, _message: &[u8], _end: u32) -> Result<(), Status> {
    Err(Status::NotFound)
}

pub(crate) fn proxy_grpc_cancel(_: &mut State, _call: u32) -> Result<(), Status> {
    Err(Status::NotFound)
}

pub(crate) fn proxy_grpc_close(_: &mut State, _call: u32) -> Result<(), Status> {
    Err(Status::NotFound)
}
