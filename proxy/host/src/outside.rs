//! Everything that a filter may want from beyond the host's walls: clocks, randomness and somewhere to write.

use std::time::Duration;

use sluice_abi::LogLevel;
use sluice_engine::{Crash, Digest};

use crate::{
    CapReport, Phase, TracePlace,
    callout::{Callout, Done, GrpcCall, GrpcEvent, GrpcEvents, GrpcSink},
};

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

    /// Tells of a callback that took long.
    fn slow(&self, report: &SlowReport<'_>);

    /// Tells of a filter that met one of its caps: at most once a second for each load of a filter and each cap.
    fn capped(&self, report: &CapReport<'_>);

    /// Runs a job after some time, on a thread that serves no requests, never before this call returns. A job enters a
    /// guest, which is bounded by the filter's limits.
    fn later(&self, delay: Duration, job: Job);

    /// Whether a callout can be sent to this name at all.
    fn reaches(&self, upstream: &str) -> bool;

    /// Sends a callout and calls `done` once, never before this call returns.
    fn send(&self, callout: Callout, done: Done);

    /// Opens a gRPC call. What comes back goes to `events`, never before this call returns. An embedder that has no
    /// client for gRPC leaves it at this: every call ends in `UNIMPLEMENTED`.
    fn open(&self, call: GrpcCall, mut events: GrpcEvents) -> Box<dyn GrpcSink> {
        let message = format!("{} cannot be called: this host makes no gRPC calls", call.upstream);
        let closed = GrpcEvent::Closed { status: 12, message };
        self.later(
            Duration::ZERO,
            Box::new(move || {
                events(closed);
            }),
        );
        Box::new(Nowhere)
    }
}

/// The sending half of a call that goes nowhere.
struct Nowhere;

impl GrpcSink for Nowhere {
    fn send(&mut self, _message: bytes::Bytes, _end: bool) {}

    fn queued(&self) -> usize {
        0
    }

    fn close(self: Box<Self>) {}
}

/// A piece of the host's own work.
pub type Job = Box<dyn FnOnce() + Send>;

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
    /// Where its exchange stands in a trace.
    pub trace: Option<TracePlace>,
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
    /// How, with its budget and what it used.
    pub crash: &'a Crash,
    /// `x-request-id` of the request that it was treating.
    pub request_id: Option<&'a str>,
}

/// A callback that took long and was let end.
#[derive(Debug, Clone, Copy)]
pub struct SlowReport<'a> {
    /// The filter's name in the configuration.
    pub filter: &'a str,
    /// Which version of it.
    pub digest: Digest,
    /// Which callback.
    pub phase: Phase,
    /// CPU time that it took.
    pub used: Duration,
    /// CPU time that it was granted.
    pub budget: Duration,
    /// How many others since the last report were not told of: there is one a second at most.
    pub more: u64,
}
