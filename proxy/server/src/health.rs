//! Whether an endpoint gets requests: one of which no answer comes several times in a row is passed over for a while. Then one
//! request is let through to see; with the first answer the endpoint is back. One that says by itself that it is not well is
//! passed over until it says otherwise.

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

/// For how long endpoints are passed over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Attempts in a row without an answer that take one out; 0 never does.
    pub(crate) failures: u32,
    /// Questions in a row without a good answer that do; `None` when nobody asks.
    pub(crate) misses: Option<u32>,
    pub(crate) period: Duration,
    pub(crate) max_period: Duration,
}

/// It says that it is not well: no time ends that.
const SICK: u64 = u64::MAX;

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
    /// Questions in a row without a good answer.
    misses: AtomicU32,
}

impl Health {
    /// Whether a request may go there. Where the time is over, the one that hears it first may, and has as long again to show
    /// how things are before the next one may.
    #[inline]
    pub(crate) fn admits(&self, now: Instant, rules: &Rules) -> bool {
        let until = self.until.load(Acquire);
        until == 0 || self.admits_one(until, now, rules)
    }

    #[cold]
    fn admits_one(&self, until: u64, now: Instant, rules: &Rules) -> bool {
        // It went out by rules that do not hold any more: those of a configuration before.
        if (until == SICK && rules.misses.is_none()) || (until != SICK && rules.failures == 0) {
            let _ = self.until.compare_exchange(until, 0, AcqRel, Relaxed);
            return true;
        }
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
        let until = self.until.load(Acquire);
        // One that says itself that it is not well may answer requests all the same.
        until != 0 && until != SICK && self.until.compare_exchange(until, 0, AcqRel, Relaxed).is_ok()
    }

    /// It was asked how it is. Whether it is passed over from now on, when that changes.
    pub(crate) fn asked(&self, well: bool, rules: &Rules) -> Option<bool> {
        if !well {
            let misses = self.misses.fetch_add(1, Relaxed).saturating_add(1);
            let enough = rules.misses.is_some_and(|most| misses >= most);
            return (enough && self.until.swap(SICK, AcqRel) != SICK).then_some(true);
        }
        self.misses.store(0, Relaxed);
        let was_sick = self.until.compare_exchange(SICK, 0, AcqRel, Relaxed).is_ok();
        (self.recovers() || was_sick).then_some(false)
    }

    /// No answer came. For how long it is passed over, when that begins or is prolonged by this one.
    pub(crate) fn failed(&self, now: Instant, rules: &Rules) -> Option<Duration> {
        let failures = self.failures.fetch_add(1, Relaxed).saturating_add(1);
        if rules.failures == 0 || failures < rules.failures {
            return None;
        }
        let (until, now) = (self.until.load(Acquire), moment(now));
        let lasts = if until == 0 {
            lasts(rules, 0)
        } else if until != SICK && self.trying.swap(false, AcqRel) {
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
fn lasts(rules: &Rules, rounds: u32) -> u64 {
    let period = rules.period.saturating_mul(1 << rounds.min(16)).min(rules.max_period);
    u64::try_from(period.as_millis()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        failures: 3,
        misses: Some(2),
        period: Duration::from_millis(100),
        max_period: Duration::from_millis(300),
    };

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
    fn what_it_says_itself_counts_more_than_what_it_answers() {
        let (health, began) = (Health::default(), Instant::now());
        assert_eq!((health.asked(true, &RULES), health.asked(false, &RULES)), (None, None));
        assert_eq!((health.asked(false, &RULES), health.asked(false, &RULES)), (Some(true), None));
        assert!(health.is_out() && !health.admits(at(began, 1 << 40), &RULES));
        assert!((0..5).all(|_| health.failed(began, &RULES).is_none()));
        assert!(!health.answered() && health.is_out(), "an answer to a request says nothing");
        assert_eq!((health.asked(true, &RULES), health.asked(true, &RULES)), (Some(false), None));
        assert!(health.admits(began, &RULES));
        // A good answer brings one back of which no answers came.
        assert!((0..3).filter_map(|_| health.failed(began, &RULES)).count() == 1 && health.is_out());
        assert_eq!(health.asked(true, &RULES), Some(false));
        assert!(!health.is_out());
    }

    #[test]
    fn rules_that_hold_no_more_keep_nobody_out() {
        let (health, began) = (Health::default(), Instant::now());
        assert!((0..2).filter_map(|_| health.asked(false, &RULES)).eq([true]) && !health.admits(began, &RULES));
        assert!(health.admits(began, &Rules { misses: None, ..RULES }) && !health.is_out());
        assert!((0..3).filter_map(|_| health.failed(began, &RULES)).count() == 1 && !health.admits(began, &RULES));
        assert!(health.admits(began, &Rules { failures: 0, ..RULES }) && !health.is_out());
    }

    #[test]
    fn nothing_takes_it_out_where_the_rules_say_so() {
        let (health, rules) = (Health::default(), Rules { failures: 0, ..RULES });
        assert!((0..100).all(|_| health.failed(Instant::now(), &rules).is_none()));
        assert!(health.admits(Instant::now(), &rules));
    }
}
