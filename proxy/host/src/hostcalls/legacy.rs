//! `legacy`: what only ABI 0.1.0 has.

use sluice_abi::Status;

use super::Value;
use crate::{Direction, state::State};

pub(crate) fn proxy_get_configuration(state: &mut State) -> Result<Value, Status> {
    super::buffers::legacy_configuration(state)
}

pub(crate) fn proxy_continue_request(state: &mut State) -> Result<(), Status> {
    super::stream::resume(state, Direction::Request)
}

pub(crate) fn proxy_continue_response(state: &mut State) -> Result<(), Status> {
    super::stream::resume(state, Direction::Response)
}

pub(crate) fn proxy_clear_route_cache(_state: &mut State) -> Result<(), Status> {
    // The route is matched again after every change of the request's head, so there is nothing to clear.
    Ok(())
}
