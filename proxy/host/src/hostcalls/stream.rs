//! `stream`: continue, close, answer, and the status of the last callout.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use sluice_abi::{LogLevel, Status, StreamType, pairs::Pairs};

use super::Value;
use crate::{Direction, Reply, inbox::Event, state::State};

pub(crate) fn proxy_continue_stream(state: &mut State, stream: StreamType) -> Result<(), Status> {
    let tcp = state.is_tcp();
    match stream {
        // An HTTP half of a TCP connection is not paused, and continuing what is not paused does nothing.
        StreamType::HttpRequest | StreamType::HttpResponse if tcp == Some(true) => Ok(()),
        StreamType::HttpRequest => resume(state, Direction::Request),
        StreamType::HttpResponse => resume(state, Direction::Response),
        StreamType::Downstream if tcp == Some(true) => resume(state, Direction::Request),
        StreamType::Upstream if tcp == Some(true) => resume(state, Direction::Response),
        // Not UNIMPLEMENTED: the Rust SDK's status type has no such value, so that answer would be undefined
        // behaviour in the guest.
        StreamType::Downstream | StreamType::Upstream => Err(Status::BadArgument),
    }
}

/// Continues the effective stream; one that is not paused stays as it is.
pub(super) fn resume(state: &mut State, direction: Direction) -> Result<(), Status> {
    if state.effective == state.current {
        match direction {
            Direction::Request => state.asked.resume_request = true,
            Direction::Response => state.asked.resume_response = true,
        }
    } else if let Some(parked) = state.paused.get(&state.effective) {
        parked.resume(direction);
    }
    Ok(())
}

pub(crate) fn proxy_close_stream(state: &mut State, _stream: StreamType) -> Result<(), Status> {
    if state.effective == state.current {
        state.asked.close = true;
    } else if let Some(parked) = state.paused.get(&state.effective) {
        parked.inbox.post(Event::Close);
    }
    Ok(())
}

pub(crate) fn proxy_send_local_response(
    state: &mut State,
    status: u32,
    details: &[u8],
    body: &[u8],
    headers: Pairs<'_>,
    grpc_status: i32,
) -> Result<(), Status> {
    let status = u16::try_from(status).ok().filter(|s| (200..=599).contains(s)).ok_or(Status::BadArgument)?;
    super::headers::fits(state, headers)?;
    let headers = headers
        .iter()
        .filter(|(name, _)| name.first() != Some(&b':'))
        .map(|(name, value)| Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?)))
        .collect::<Option<Vec<_>>>()
        .ok_or(Status::BadArgument)?;
    let reply = Box::new(Reply {
        status,
        headers,
        body: Bytes::copy_from_slice(body),
        details: crate::plain::escape(details).into_owned(),
        grpc_status: u32::try_from(grpc_status).ok().filter(|s| *s <= 16),
        filter: state.identity.name.clone(),
    });
    if state.effective != state.current {
        match state.paused.get(&state.effective) {
            Some(parked) => parked.inbox.post(Event::Reply(reply)),
            None => super::log::write(
                state,
                LogLevel::Warn,
                b"proxy_send_local_response: the stream is not paused; ignored",
            ),
        }
    } else if !state.phase.is_stream() {
        super::log::write(state, LogLevel::Warn, b"proxy_send_local_response: no HTTP stream is open here; ignored");
    } else if state.asked.reply.is_some() {
        super::log::write(state, LogLevel::Warn, b"proxy_send_local_response: called twice; the second is ignored");
    } else {
        state.asked.reply = Some(reply);
    }
    Ok(())
}

pub(crate) fn proxy_get_status(state: &mut State) -> Result<(u32, Value), Status> {
    // Outside of a call's callback there is no status to tell: OK with no message, as Envoy answers.
    let (code, message) = state.answered.as_ref().map(|a| a.status.clone()).unwrap_or_default();
    Ok((code, if message.is_empty() { Value::Empty } else { Value::Shared(Bytes::from(message)) }))
}
