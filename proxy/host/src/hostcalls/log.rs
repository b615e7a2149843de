//! `log`: lines of a filter and the level that is written.

use sluice_abi::{LogLevel, Status};

use crate::{
    Cap,
    caps::{Bound, Full},
    outside::LogLine,
    plain::escape,
    state::State,
};

/// Longest line that is kept, bytes; the rest is cut and said so.
const MAX_LINE: usize = 16 << 10;

pub(crate) fn proxy_log(state: &mut State, level: LogLevel, message: &[u8]) -> Result<(), Status> {
    write(state, level, message);
    Ok(())
}

pub(crate) fn proxy_get_log_level(state: &mut State) -> Result<u32, Status> {
    Ok(state.services.outside.log_level(&state.identity.name).wire())
}

/// Writes one line in the filter's name. What a callback writes beyond its caps is dropped, and counted.
pub(crate) fn write(state: &mut State, level: LogLevel, message: &[u8]) {
    let wanted = level >= state.services.outside.log_level(&state.identity.name);
    let written = wanted && room(state, message.len().min(MAX_LINE));
    if !written && level < LogLevel::Warn {
        return;
    }
    let cut = message.len().min(MAX_LINE);
    let mut text = escape(&message[..cut]);
    if cut < message.len() {
        text.to_mut().push_str(&format!(" … (cut after {MAX_LINE} of {} bytes)", message.len()));
    }
    if written {
        state.services.outside.log(&LogLine {
            filter: &state.identity.name,
            level,
            message: &text,
            context: state.effective,
            trace: state.message.as_ref().and_then(|message| message.facts.trace),
        });
    }
    state.last_log.clear();
    state.last_log.push_str(&text);
}

/// Whether the running callback may write one more line of so many bytes.
fn room(state: &mut State, bytes: usize) -> bool {
    let caps = &state.identity.caps;
    let full = if state.logged.lines >= caps.log_lines {
        Full(Cap::LogLines, Bound::Own, caps.log_lines)
    } else if state.logged.bytes + bytes > caps.log_bytes {
        Full(Cap::LogBytes, Bound::Own, caps.log_bytes)
    } else if !state.identity.log_rate.takes(caps.log_rate, caps.log_burst, state.services.outside.monotonic()) {
        Full(Cap::LogRate, Bound::Own, caps.log_rate)
    } else {
        state.logged.lines += 1;
        state.logged.bytes += bytes;
        return true;
    };
    // Its last words stay the guest's own.
    state.identity.capped(&*state.services.outside, full);
    false
}
