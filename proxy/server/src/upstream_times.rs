//! When the upstream of a request was asked, and when it answered.

use std::time::Duration;

use quanta::Instant;

/// The moments of one request; those that did not come are `None`.
#[derive(Debug, Default)]
pub(crate) struct UpstreamTimes {
    asked: Option<Instant>,
    head: Option<Instant>,
    ended: Option<Instant>,
}

impl UpstreamTimes {
    /// An attempt begins now; the first one counts.
    pub(crate) fn ask(&mut self, now: Instant) {
        self.asked.get_or_insert(now);
    }

    /// The head of its answer is there.
    pub(crate) fn head(&mut self) {
        self.head = Some(Instant::now());
    }

    /// Nothing more comes of it, or it failed.
    pub(crate) fn end(&mut self) {
        self.ended.get_or_insert_with(Instant::now);
    }

    /// From the first attempt to the answer's head.
    pub(crate) fn first_byte(&self) -> Option<Duration> {
        Some(self.head?.saturating_duration_since(self.asked?))
    }

    /// From the first attempt to the answer's end.
    pub(crate) fn whole(&self) -> Option<Duration> {
        Some(self.ended.or(self.head)?.saturating_duration_since(self.asked?))
    }
}
