//! `http_call`: HTTP callouts, and what gRPC callouts share with them.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use sluice_abi::{LogLevel, Status, pairs::Pairs};

use crate::{
    Callout, Cap, FieldList, TracePlace,
    calls::Kind,
    caps::{Bound, Full},
    state::{Outgoing, State},
};

/// Largest body of a callout's request, and largest gRPC message, bytes.
pub(super) const MAX_BODY: usize = 4 << 20;
/// The longest that a callout may take; also what a timeout of 0 means, which is unlimited elsewhere.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
/// W3C trace context, passed on where a filter does not set it by itself.
const TRACE: [&str; 3] = ["traceparent", "tracestate", "baggage"];

pub(crate) fn proxy_http_call(
    state: &mut State,
    upstream: &[u8],
    headers: Pairs<'_>,
    body: &[u8],
    trailers: Pairs<'_>,
    timeout: u32,
) -> Result<u32, Status> {
    const CALL: &str = "proxy_http_call";
    let pseudo = |wanted: &[u8]| headers.iter().find(|(n, _)| *n == wanted).map(|(_, v)| v);
    let full = |wanted: &[u8]| pseudo(wanted).filter(|v| !v.is_empty());
    // The authority has to be there and may be empty: then the upstream's name stands in for it.
    let (Some(authority), Some(method), Some(path)) = (pseudo(b":authority"), full(b":method"), full(b":path")) else {
        refused(state, CALL, upstream, "needs :authority, :method and :path");
        return Err(Status::BadArgument);
    };
    let target = target(state, CALL, upstream).ok_or(Status::BadArgument)?;
    if !room(state, CALL, body.len()) {
        return Err(Status::InternalFailure);
    }
    let mut fields = self::fields(state, headers).ok_or(Status::BadArgument)?;
    trace(state, &mut fields);
    let trailers = self::fields(state, trailers).ok_or(Status::BadArgument)?;
    let callout = Callout {
        filter: state.identity.name.clone(),
        upstream: target,
        method: Method::from_bytes(method).map_err(|_| Status::BadArgument)?,
        path: path.to_vec(),
        authority: HeaderValue::from_bytes(if authority.is_empty() { upstream } else { authority })
            .map_err(|_| Status::BadArgument)?,
        headers: fields,
        body: Bytes::copy_from_slice(body),
        trailers,
        timeout: within(timeout),
        trace: place(state),
    };
    let call = state.calls.begin(state.effective, Kind::Http);
    state.outgoing.push(Outgoing::Call(call, callout));
    Ok(call)
}

/// A timeout in milliseconds, within what is allowed.
pub(super) fn within(timeout: u32) -> Duration {
    let asked = Duration::from_millis(timeout.into());
    if asked.is_zero() { MAX_TIMEOUT } else { asked.min(MAX_TIMEOUT) }
}

/// The name of an upstream that exists and that the filter may call; else the log says what is wrong.
pub(super) fn target(state: &mut State, call: &str, upstream: &[u8]) -> Option<String> {
    let why = match std::str::from_utf8(upstream) {
        Ok(_) if !state.identity.grants.callout(upstream) => "this filter is not granted it (capabilities.callouts)",
        Ok(name) if state.services.outside.reaches(name) => return Some(name.to_owned()),
        _ => "the configuration has no such upstream",
    };
    refused(state, call, upstream, why);
    None
}

/// Whether a further call with a body of this size may be made; else it is said which limit is reached.
pub(super) fn room(state: &mut State, call: &str, size: usize) -> bool {
    let most = state.identity.caps.callouts_in_flight;
    if state.calls.len() >= most {
        state.capped(Full(Cap::Callouts, Bound::Own, most));
        return false;
    }
    if size > MAX_BODY {
        let why = format!("{call} was refused: its body is larger than 4 MiB, which is the limit");
        super::log::write(state, LogLevel::Warn, why.as_bytes());
        return false;
    }
    true
}

/// Fields without pseudo headers; `None` when one of them is not valid, or there are more than a head may have.
pub(super) fn fields(state: &mut State, pairs: Pairs<'_>) -> Option<FieldList> {
    super::headers::fits(state, pairs).ok()?;
    let plain = pairs.iter().filter(|(n, _)| n.first() != Some(&b':'));
    plain.map(|(n, v)| Some((HeaderName::from_bytes(n).ok()?, HeaderValue::from_bytes(v).ok()?))).collect()
}

/// Puts the trace context of the stream that calls into the call, where the filter did not set one.
pub(super) fn trace(state: &State, fields: &mut FieldList) {
    let Some(head) = state.message().and_then(|m| m.request.as_deref()) else { return };
    if fields.iter().any(|(name, _)| TRACE.contains(&name.as_str())) {
        return;
    }
    for name in TRACE {
        if let Some(value) = head.value(name.as_bytes()).and_then(|v| HeaderValue::from_bytes(v).ok()) {
            fields.push((HeaderName::from_static(name), value));
        }
    }
}

/// Where the stream that calls stands in a trace.
pub(super) fn place(state: &State) -> Option<TracePlace> {
    state.message().and_then(|message| message.facts.trace)
}

/// Says in the log why a callout was refused.
pub(super) fn refused(state: &mut State, call: &str, upstream: &[u8], why: &str) {
    let text = format!("{call} to `{}` was refused: {why}", String::from_utf8_lossy(upstream));
    super::log::write(state, LogLevel::Warn, text.as_bytes());
}
