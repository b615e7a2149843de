//! Whether an endpoint gets requests: one of which no answer comes several times in a row is passed over for a while. Then one
//! request is let through to see; with the first answer the endpoint is back.

use std::{
    sync::{
        LazyLock,
        atomic::{
            AtomicBool, AtomicU32, AtomicU64,
            Ordering::{AcqRel, Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

use quanta::Instant;
use sluice_config::plan::UpstreamHealth;

/// Moments are counted from here.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// How an endpoint has fared lately.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Attempts in a row without an answer.
    failures: AtomicU32,
    /// Until when it is passed over; 0 when it is not.
    until: AtomicU64,
    /// How often in a row that was prolonged.
    rounds: AtomicU32,
    /// A request was let through to see.
    trying: AtomicBool,
}

impl Health {
    /// Whether a request may go there. Where the time is over, the one that hears it first may, and has as long again to show
    /// how things are before the next one may.
    #[inline]
    pub(crate) fn admits(&self, now: Instant, rules: &UpstreamHealth) -> bool {
        let until = self.until.load(Acquire);
        until == 0 || self.admits_one(until, now, rules)
    }

    #[cold]
    fn admits_one(&self, until: u64, now: Instant, rules: &UpstreamHealth) -> bool {
        let (now, longer) = (moment(now), lasts(rules, self.rounds.load(Relaxed)));
        let is_first = || self.until.compare_exchange(until, now + longer, AcqRel, Relaxed).is_ok();
        let let_through = now >= until && is_first();
        if let_through {
            self.trying.store(true, Release);
        }
        let_through
    }

    /// Whether it is passed over.
    pub(crate) fn is_out(&self) -> bool {
        self.until.load(Acquire) != 0
    }

    /// It answered. True when it was out, and is not any more.
    #[inline]
    pub(crate) fn answered(&self) -> bool {
        self.failures.load(Relaxed) != 0 && self.recovers()
    }

    #[cold]
    fn recovers(&self) -> bool {
        self.failures.store(0, Relaxed);
        self.rounds.store(0, Relaxed);
        self.trying.store(false, Relaxed);
        self.until.swap(0, AcqRel) != 0
    }

    /// No answer came. For how long it is passed over, when that begins or is prolonged by this one.
    pub(crate) fn failed(&self, now: Instant, rules: &UpstreamHealth) -> Option<Duration> {
        let failures = self.failures.fetch_add(1, Relaxed).saturating_add(1);
        if rules.failures == 0 || failures < rules.failures {
            return None;
        }
        let (until, now) = (self.until.load(Acquire), moment(now));
        let lasts = if until == 0 {
            lasts(rules, 0)
        } else if self.trying.swap(false, AcqRel) {
            lasts(rules, self.rounds.fetch_add(1, Relaxed) + 1)
        } else {
            // It was on its way before, or had nowhere else to go: that says nothing new.
            return None;
        };
        let changed = self.until.compare_exchange(until, now + lasts, AcqRel, Relaxed).is_ok();
        changed.then(|| Duration::from_millis(lasts))
    }
}

/// Milliseconds, from 1.
fn moment(now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(*BEGAN).as_millis()).unwrap_or(u64::MAX / 2) + 1
}

/// How long it is passed over after it was prolonged so often, milliseconds.
fn lasts(rules: &UpstreamHealth, rounds: u32) -> u64 {
    let period = rules.period.saturating_mul(1 << rounds.min(16)).min(rules.max_period);
    u64::try_from(period.as_millis()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: UpstreamHealth =
        UpstreamHealth { failures: 3, period: Duration::from_millis(100), max_period: Duration::from_millis(300) };

    fn at(began: Instant, ms: u64) -> Instant {
        began + Duration::from_millis(ms)
    }

    #[test]
    fn an_endpoint_goes_out_is_tried_and_comes_back() {
        let (health, began) = (Health::default(), Instant::now());
        let ms = Duration::from_millis;
        assert!(health.admits(began, &RULES) && !health.answered());
        assert_eq!((health.failed(began, &RULES), health.failed(began, &RULES)), (None, None));
        assert!(!health.answered(), "it was not out");
        assert_eq!((health.failed(began, &RULES), health.failed(began, &RULES)), (None, None), "the count begins anew");
        assert_eq!(health.failed(began, &RULES), Some(ms(100)));
        assert_eq!(health.failed(began, &RULES), None, "one that was on its way");
        assert!(health.is_out() && !health.admits(at(began, 99), &RULES));

        assert!(health.admits(at(began, 101), &RULES), "one is let through");
        assert!(!health.admits(at(began, 101), &RULES), "and no other");
        assert_eq!(health.failed(at(began, 110), &RULES), Some(ms(200)));
        assert!(!health.admits(at(began, 309), &RULES) && health.admits(at(began, 311), &RULES));
        assert_eq!(health.failed(at(began, 311), &RULES), Some(ms(300)), "not longer than the longest");
        assert!(health.admits(at(began, 612), &RULES));
        // The one that was let through never comes to an end: the next one may go.
        assert!(!health.admits(at(began, 900), &RULES) && health.admits(at(began, 913), &RULES));
        assert!(health.answered() && !health.is_out() && health.admits(at(began, 914), &RULES));
        assert!(!health.answered());
    }

    #[test]
    fn nothing_takes_it_out_where_the_rules_say_so() {
        let (health, rules) = (Health::default(), UpstreamHealth { failures: 0, ..RULES });
        assert!((0..100).all(|_| health.failed(Instant::now(), &rules).is_none()));
        assert!(health.admits(Instant::now(), &rules));
    }
}
