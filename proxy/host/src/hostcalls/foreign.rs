//! `foreign`: functions of the host beyond the ABI, by name.

use sluice_abi::Status;

use super::Value;
use crate::state::State;

/// `clear_route_cache` is the one that filters of other hosts call on every request; here the route is matched again
/// after each change of the head, so there is nothing to clear. Every other name is unknown.
pub(crate) fn proxy_call_foreign_function(state: &mut State, name: &[u8], _arguments: &[u8]) -> Result<Value, Status> {
    if !state.identity.grants.foreign(name) {
        return Err(Status::NotFound);
    }
    match name {
        b"clear_route_cache" => Ok(Value::Empty),
        _ => Err(Status::NotFound),
    }
}
