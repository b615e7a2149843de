//! `shared_data`: values that all guests with one `vm_id` share.

use sluice_abi::{LogLevel, Status};

use super::Value;
use crate::{shared::Refused, state::State};

pub(crate) fn proxy_set_shared_data(state: &mut State, key: &[u8], value: &[u8], cas: u32) -> Result<(), Status> {
    if !state.identity.grants.shared_data(state.identity.vm_id.as_bytes()) {
        super::log::write(
            state,
            LogLevel::Warn,
            b"proxy_set_shared_data was refused: capabilities.shared_data does not name this vm_id",
        );
        return Err(Status::InternalFailure);
    }
    let identity = &state.identity;
    let cap = identity.caps.shared_data;
    match state.services.data.set(&identity.vm_id, key, value, cas, &identity.account, cap) {
        Ok(()) => Ok(()),
        Err(Refused::Mismatch) => Err(Status::CasMismatch),
        Err(Refused::Full(full)) => {
            state.capped(full);
            Err(Status::InternalFailure)
        }
    }
}

pub(crate) fn proxy_get_shared_data(state: &mut State, key: &[u8]) -> Result<(Value, u32), Status> {
    if !state.identity.grants.shared_data(state.identity.vm_id.as_bytes()) {
        return Err(Status::NotFound);
    }
    let (value, cas) = state.services.data.get(&state.identity.vm_id, key).ok_or(Status::NotFound)?;
    Ok((if value.is_empty() { Value::Empty } else { Value::Shared(value) }, cas))
}
