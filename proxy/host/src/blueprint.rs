//! What all guests of a filter are built from, and what is counted and told of all of them together.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use sluice_abi::LogLevel;
use sluice_engine::{Crash, Engine, Limits};

use crate::{
    Cap, CrashReport, LastError, LoadError, LogLine, Outcome, Phase, SlowReport, Token,
    caps::{Bound, Full},
    filter::Identity,
    health::Health,
    host::Services,
    image::Image,
    meter::Meter,
    plain::escape,
};

/// What all guests of a filter are built from.
pub(crate) struct Blueprint {
    pub(crate) engine: Engine,
    pub(crate) image: Image,
    pub(crate) identity: Arc<Identity>,
    pub(crate) services: Arc<Services>,
    pub(crate) limits: Limits,
    pub(crate) cpu_per_call: Duration,
    pub(crate) cpu_start: Duration,
    pub(crate) meter: Arc<Meter>,
    pub(crate) health: Health,
    pub(crate) slow: Slow,
}

/// Calls that took long, told of at most once a second.
pub(crate) struct Slow {
    above: Duration,
    /// The second in which one was told of last, from 1 on.
    told: AtomicU64,
    /// Others since.
    untold: AtomicU64,
}

impl Slow {
    pub(crate) fn new(above: Duration) -> Self {
        Self { above, told: AtomicU64::new(0), untold: AtomicU64::new(0) }
    }
}

impl Blueprint {
    /// Counts one call, and tells of it when it was slow.
    #[inline]
    pub(crate) fn ran(&self, phase: Phase, used: Duration, outcome: Outcome, budget: Duration) {
        self.meter.ran(phase, used, outcome, || self.services.outside.monotonic());
        if used > self.slow.above {
            self.tell_slow(phase, used, budget);
        }
    }

    #[cold]
    fn tell_slow(&self, phase: Phase, used: Duration, budget: Duration) {
        let second = self.services.outside.monotonic().as_secs() + 1;
        if self.slow.told.swap(second, Relaxed) == second {
            self.slow.untold.fetch_add(1, Relaxed);
            return;
        }
        let more = self.slow.untold.swap(0, Relaxed);
        let identity = &self.identity;
        let report = SlowReport { filter: &identity.name, digest: identity.digest, phase, used, budget, more };
        self.services.outside.slow(&report);
    }

    /// Whether the filter has used up its share of the processor for now.
    #[inline]
    pub(crate) fn is_over_share(&self) -> bool {
        self.meter.share.as_ref().is_some_and(|share| share.is_used_up(self.services.outside.monotonic()))
    }

    /// Tells of a guest of this filter that died.
    pub(crate) fn crashed(&self, phase: Phase, crash: &Crash, request_id: Option<&str>) {
        let identity = &self.identity;
        let report = CrashReport { filter: &identity.name, digest: identity.digest, phase, crash, request_id };
        self.services.outside.crashed(&report);
        self.count_crash(crash.kind.into(), Some(phase), &crash.message);
    }

    /// Tells of a body of this filter that is too large to be held.
    pub(crate) fn body_too_large(&self) {
        let full = Full(Cap::BodyBuffer, Bound::Own, self.identity.caps.body_buffer);
        self.identity.capped(&*self.services.outside, full);
    }

    /// Tells of a guest of this filter that could not be built.
    pub(crate) fn not_started(&self, error: &LoadError) {
        let message = format!("cannot start a new guest: the module {error}");
        self.log(LogLevel::Error, &message);
        self.count_crash(Token::StartFailed, None, &message);
    }

    fn count_crash(&self, token: Token, phase: Option<Phase>, message: &str) {
        self.meter.crashed(token);
        let (at, digest) = (self.services.outside.wall_clock(), self.identity.digest);
        self.identity.account.went_wrong(LastError::new(at, digest, phase, token, message));
        let now = self.services.outside.monotonic();
        if let Some(wait) = self.health.crashed(now, self.meter.exchanges()) {
            self.log(
                LogLevel::Error,
                &format!(
                    "out of service for {wait:.1?}: too many of its exchanges end in a crash (see `quarantine` of this \
                     filter); then one is let in as a probe"
                ),
            );
        }
    }

    /// A probe ended well.
    pub(crate) fn recovered(&self) {
        self.health.recovered();
        self.log(LogLevel::Info, "back in service: the probe ended well");
    }

    pub(crate) fn warn(&self, message: &str) {
        self.log(LogLevel::Warn, message);
    }

    fn log(&self, level: LogLevel, message: &str) {
        let message = &*escape(message.as_bytes());
        self.services.outside.log(&LogLine { filter: &self.identity.name, level, message, context: 0, trace: None });
    }
}
