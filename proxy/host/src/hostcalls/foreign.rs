//! `foreign`: functions of the host beyond the ABI, by name.

use sluice_abi::{LogLevel, Status};

use super::Value;
use crate::{
    envoy::{SetFilterState, decode},
    foreign::{Failure, compression, crypto, jwt},
    state::State,
};

/// Every foreign function.
pub const FOREIGN: [&str; 10] = [
    "clear_route_cache",
    "compress",
    "uncompress",
    "sign",
    "verify_signature",
    "set_envoy_filter_state",
    "get_envoy_filter_state",
    "sluice_hash",
    "sluice_hmac",
    "sluice_verify_jwt",
];

/// The first six are Envoy's, with Envoy's arguments; `docs/foreign-functions.md` has them all.
pub(crate) fn proxy_call_foreign_function(state: &mut State, name: &[u8], arguments: &[u8]) -> Result<Value, Status> {
    if !state.identity.grants.foreign(name) {
        let name = String::from_utf8_lossy(name);
        let why =
            format!("the foreign function `{name}` was refused: this filter is not granted it (capabilities.foreign)");
        super::log::write(state, LogLevel::Warn, why.as_bytes());
        return Err(Status::NotFound);
    }
    let known = FOREIGN.iter().find(|known| known.as_bytes() == name).ok_or(Status::NotFound)?;
    let result = match *known {
        // The route is matched again after each change of the head, so there is nothing to clear.
        "clear_route_cache" => Ok(Vec::new()),
        "compress" => compression::compress(arguments),
        "uncompress" => compression::uncompress(arguments),
        "sign" => crypto::sign(arguments),
        "verify_signature" => crypto::verify(arguments),
        "set_envoy_filter_state" => return set_filter_state(state, arguments),
        "get_envoy_filter_state" => {
            let path = [&b"filter_state\0"[..], arguments].concat();
            return super::proxy_get_property(state, &path);
        }
        "sluice_hash" => crypto::hash(arguments),
        "sluice_hmac" => crypto::hmac(arguments),
        _ => jwt::verify(arguments, state.services.outside.wall_clock()),
    };
    match result {
        Ok(bytes) if bytes.is_empty() => Ok(Value::Empty),
        Ok(bytes) => Ok(Value::Shared(bytes.into())),
        Err(Failure { status, why }) => {
            super::log::write(state, LogLevel::Warn, format!("the foreign function {known} failed: {why}").as_bytes());
            Err(status)
        }
    }
}

/// Filter state is a property below `filter_state`, readable by every filter behind this one and in the access log.
fn set_filter_state(state: &mut State, arguments: &[u8]) -> Result<Value, Status> {
    let wanted: SetFilterState = decode(arguments).ok_or(Status::BadArgument)?;
    let path = [&b"filter_state\0"[..], wanted.path.as_bytes()].concat();
    super::proxy_set_property(state, &path, wanted.value.as_bytes())?;
    Ok(Value::Empty)
}
