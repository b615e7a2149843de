//! Everything that a filter may want from beyond the host's walls: clocks, randomness and somewhere to write.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use sluice_abi::LogLevel;
use sluice_engine::{Crash, Digest};

use crate::Phase;

/// What an embedder gives the host. Calls come from whichever thread runs a guest and must not block.
pub trait Outside: Send + Sync + 'static {
    /// Wall clock: time since 1970-01-01 UTC.
    fn wall_clock(&self) -> Duration;

    /// A clock that never goes back, from any fixed point; never zero, which Go's runtime takes for a broken clock.
    fn monotonic(&self) -> Duration;

    /// Fills the buffer with randomness fit for keys.
    fn random(&self, buffer: &mut [u8]);

    /// The lowest level that is written for this filter.
    fn log_level(&self, filter: &str) -> LogLevel;

    /// Writes one line of a filter. Control characters are already escaped.
    fn log(&self, line: &LogLine<'_>);

    /// Tells of a guest that died.
    fn crashed(&self, report: &CrashReport<'_>);

    /// Runs a job after some time, on a thread that serves no requests, never before this call returns. A job enters a
    /// guest, which is bounded by the filter's limits.
    fn later(&self, delay: Duration, job: Job);

    /// Whether a callout can be sent to this name at all.
    fn reaches(&self, upstream: &str) -> bool;

    /// Sends a callout and calls `done` once, never before this call returns.
    fn send(&self, callout: Callout, done: Done);
}

/// A piece of the host's own work.
pub type Job = Box<dyn FnOnce() + Send>;

/// What is called with the outcome of a callout.
pub type Done = Box<dyn FnOnce(CalloutOutcome) + Send>;

/// A request that a filter makes by itself.
#[derive(Debug, Clone)]
pub struct Callout {
    /// Which filter.
    pub filter: Arc<str>,
    /// The name of an upstream, or `host:port`.
    pub upstream: String,
    /// `:method`.
    pub method: http::Method,
    /// `:path`.
    pub path: Vec<u8>,
    /// `:authority`.
    pub authority: HeaderValue,
    /// Fields in order, without pseudo headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The whole body.
    pub body: Bytes,
    /// How long the whole call may take.
    pub timeout: Duration,
}

/// What came of a callout; the text of a failure is what `proxy_get_status` tells.
pub type CalloutOutcome = Result<CalloutResponse, String>;

/// A callout's response.
#[derive(Debug, Clone, Default)]
pub struct CalloutResponse {
    /// 100 to 999.
    pub status: u16,
    /// Its fields.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// Its trailers.
    pub trailers: HeaderMap,
}

/// One log line of a filter.
#[derive(Debug, Clone, Copy)]
pub struct LogLine<'a> {
    /// The filter's name in the configuration.
    pub filter: &'a str,
    /// Its severity.
    pub level: LogLevel,
    /// The text, one line, control characters escaped.
    pub message: &'a str,
    /// The context that spoke; 0 while the module starts.
    pub context: u32,
}

/// A guest that died.
#[derive(Debug, Clone, Copy)]
pub struct CrashReport<'a> {
    /// The filter's name in the configuration.
    pub filter: &'a str,
    /// Which version of it.
    pub digest: Digest,
    /// In which callback.
    pub phase: Phase,
    /// How.
    pub crash: &'a Crash,
}

/// Escapes control characters, so that no guest writes a line that looks like another's.
pub(crate) fn escape(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    let text = String::from_utf8_lossy(bytes);
    if !text.chars().any(char::is_control) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c == '\t' || !c.is_control() { out.push(c) } else { out.extend(c.escape_default()) }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(super::escape(b"plain \xc3\xa4"), "plain ä");
        assert_eq!(super::escape(b"a\r\nINFO forged\x1b[31m"), "a\\r\\nINFO forged\\u{1b}[31m");
        assert_eq!(super::escape(b"\xff\x00"), "\u{fffd}\\u{0}");
    }
}
