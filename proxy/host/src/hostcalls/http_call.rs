//! `http_call`: HTTP callouts.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use sluice_abi::{LogLevel, Status, pairs::Pairs};

use crate::{
    Callout,
    state::{Outgoing, State},
};

/// Most callouts of one guest that may be under way at one time.
const MAX_OPEN: usize = 1024;
/// Largest body of a callout's request, bytes.
const MAX_BODY: usize = 4 << 20;
/// The longest that a callout may take; also what a timeout of 0 means, which is unlimited elsewhere.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) fn proxy_http_call(
    state: &mut State,
    upstream: &[u8],
    headers: Pairs<'_>,
    body: &[u8],
    _trailers: Pairs<'_>,
    timeout: u32,
) -> Result<u32, Status> {
    let name = std::str::from_utf8(upstream).map_err(|_| Status::BadArgument)?;
    let pseudo = |wanted: &[u8]| headers.iter().find(|(n, _)| *n == wanted).map(|(_, v)| v);
    let full = |wanted: &[u8]| pseudo(wanted).filter(|v| !v.is_empty());
    // The authority has to be there and may be empty: then the upstream's name stands in for it.
    let (Some(authority), Some(method), Some(path)) = (pseudo(b":authority"), full(b":method"), full(b":path")) else {
        return Err(refused(state, "proxy_http_call", upstream, "needs :authority, :method and :path"));
    };
    if !state.identity.grants.callout(upstream) {
        return Err(refused(
            state,
            "proxy_http_call",
            upstream,
            "this filter is not granted it (capabilities.callouts)",
        ));
    }
    if !state.services.outside.reaches(name) {
        return Err(refused(state, "proxy_http_call", upstream, "the configuration has no such upstream"));
    }
    if state.calls.len() >= MAX_OPEN || body.len() > MAX_BODY {
        super::log::write(state, LogLevel::Warn, b"proxy_http_call was refused: too many are under way, or too large");
        return Err(Status::InternalFailure);
    }
    let asked = Duration::from_millis(timeout.into());
    let callout = Callout {
        filter: state.identity.name.clone(),
        upstream: name.to_owned(),
        method: Method::from_bytes(method).map_err(|_| Status::BadArgument)?,
        path: path.to_vec(),
        authority: HeaderValue::from_bytes(if authority.is_empty() { upstream } else { authority })
            .map_err(|_| Status::BadArgument)?,
        headers: headers
            .iter()
            .filter(|(n, _)| n.first() != Some(&b':'))
            .map(|(n, v)| Some((HeaderName::from_bytes(n).ok()?, HeaderValue::from_bytes(v).ok()?)))
            .collect::<Option<_>>()
            .ok_or(Status::BadArgument)?,
        body: Bytes::copy_from_slice(body),
        timeout: if asked.is_zero() { MAX_TIMEOUT } else { asked.min(MAX_TIMEOUT) },
    };
    let call = next_call(state);
    state.calls.insert(call, state.effective);
    state.outgoing.push(Outgoing::Call(call, callout));
    Ok(call)
}

/// A number that no callout under way has, and never 0.
fn next_call(state: &mut State) -> u32 {
    loop {
        state.last_call = state.last_call.checked_add(1).unwrap_or(1);
        if !state.calls.contains_key(&state.last_call) {
            return state.last_call;
        }
    }
}

/// Says in the log why a callout was refused; the guest is told that an argument was wrong.
pub(super) fn refused(state: &mut State, call: &str, upstream: &[u8], why: &str) -> Status {
    let text = format!("{call} to `{}` was refused: {why}", String::from_utf8_lossy(upstream));
    super::log::write(state, LogLevel::Warn, text.as_bytes());
    Status::BadArgument
}
