//! `http_call`: HTTP callouts.

use sluice_abi::{LogLevel, Status, pairs::Pairs};

use crate::state::State;

pub(crate) fn proxy_http_call(
    state: &mut State,
    upstream: &[u8],
    headers: Pairs<'_>,
    _body: &[u8],
    _trailers: Pairs<'_>,
    _timeout: u32,
) -> Result<u32, Status> {
    for wanted in [&b":authority"[..], b":method", b":path"] {
        if !headers.iter().any(|(name, value)| name == wanted && !value.is_empty()) {
            return Err(Status::BadArgument);
        }
    }
    Err(refused(state, "proxy_http_call", upstream, Status::BadArgument))
}

/// No upstream can be granted to a filter yet, so every callout is refused, by name.
pub(super) fn refused(state: &mut State, call: &str, upstream: &[u8], status: Status) -> Status {
    let text = format!(
        "{call} to `{}` was refused: this filter is granted no callout to it (capabilities.callouts)",
        String::from_utf8_lossy(upstream)
    );
    super::log::write(state, LogLevel::Warn, text.as_bytes());
    status
}
