//! `log`: lines of a filter and the level that is written.

use sluice_abi::{LogLevel, Status};

use crate::{
    outside::{LogLine, escape},
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

/// Writes one line in the filter's name.
pub(crate) fn write(state: &mut State, level: LogLevel, message: &[u8]) {
    let outside = &state.services.outside;
    let written = level >= outside.log_level(&state.identity.name);
    if !written && level < LogLevel::Warn {
        return;
    }
    let cut = message.len().min(MAX_LINE);
    let mut text = escape(&message[..cut]);
    if cut < message.len() {
        text.to_mut().push_str(&format!(" … (cut after {MAX_LINE} of {} bytes)", message.len()));
    }
    if written {
        outside.log(&LogLine { filter: &state.identity.name, level, message: &text, context: state.effective });
    }
    state.last_log.clear();
    state.last_log.push_str(&text);
}
