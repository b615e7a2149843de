//! Whether a filter may run: too many crashes among its exchanges take it out of service, and a probe brings it back.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use parking_lot::Mutex;

/// When a filter is taken out of service, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quarantine {
    /// So many crashes within `window` are the least that takes it out; 0 never does.
    pub crashes: usize,
    /// Time in which crashes count together.
    pub window: Duration,
    /// Of the exchanges in that time so many in a hundred must have met one.
    pub percent: u32,
    /// How long it stays out the first time; each failed probe doubles that, up to `max_period`.
    pub period: Duration,
    /// The longest time between two probes.
    pub max_period: Duration,
}

impl Default for Quarantine {
    /// Ten crashes in thirty seconds that half of the exchanges met; one second, up to a minute.
    fn default() -> Self {
        Self {
            crashes: 10,
            window: Duration::from_secs(30),
            percent: 50,
            period: Duration::from_secs(1),
            max_period: Duration::from_secs(60),
        }
    }
}

/// What an exchange may do with the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Meet it.
    Granted,
    /// Meet it; how that ends decides whether the filter is back.
    Probe,
    /// Not meet it.
    Refused,
}

/// The state of one filter.
pub(crate) struct Health {
    policy: Quarantine,
    /// Read by every exchange: the lock is taken only while the filter is out, and for crashes.
    out: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// The last crashes: when, and how many exchanges there had been.
    crashes: VecDeque<(Duration, u64)>,
    waits: Option<ExponentialBackoff>,
    /// No exchange is let in before this.
    until: Duration,
    /// A probe was let in, and nothing is known of it yet.
    probing: bool,
}

impl Inner {
    /// Notes a crash; whether the last ones were too many for the exchanges and the time between them.
    fn too_many(&mut self, policy: &Quarantine, now: Duration, exchanges: u64) -> bool {
        self.crashes.push_back((now, exchanges));
        if self.crashes.len() < policy.crashes {
            return false;
        }
        let Some((since, before)) = self.crashes.pop_front() else { return false };
        let met = exchanges.saturating_sub(before).saturating_add(1);
        let percent = (policy.crashes as u64).saturating_mul(100) / met;
        now.saturating_sub(since) <= policy.window && percent >= u64::from(policy.percent)
    }
}

impl Health {
    pub(crate) fn new(policy: Quarantine) -> Self {
        Self { policy, out: AtomicBool::new(false), inner: Mutex::default() }
    }

    /// Whether the filter is in quarantine, probes included.
    pub(crate) fn is_out(&self) -> bool {
        self.out.load(Relaxed)
    }

    /// Asked by every new exchange.
    #[inline]
    pub(crate) fn admit(&self, now: impl FnOnce() -> Duration) -> Admission {
        if self.is_out() { self.admit_probe(now()) } else { Admission::Granted }
    }

    #[cold]
    fn admit_probe(&self, now: Duration) -> Admission {
        let mut inner = self.inner.lock();
        if now < inner.until {
            return Admission::Refused;
        }
        // One at a time; another one when this one does not end.
        inner.until = now + self.policy.period;
        inner.probing = true;
        Admission::Probe
    }

    /// A guest died. Says for how long the filter is taken out of service, if it is now.
    pub(crate) fn crashed(&self, now: Duration, exchanges: u64) -> Option<Duration> {
        let policy = &self.policy;
        let mut inner = self.inner.lock();
        if self.is_out() {
            // Only a probe says something; what else dies now had met the filter before.
            if !std::mem::take(&mut inner.probing) {
                return None;
            }
        } else if policy.crashes == 0 || !inner.too_many(policy, now, exchanges) {
            return None;
        }
        inner.crashes.clear();
        let waits = inner.waits.get_or_insert_with(|| waits(policy.period, policy.max_period));
        let wait = waits.next().unwrap_or(policy.max_period);
        inner.until = now + wait;
        self.out.store(true, Relaxed);
        Some(wait)
    }

    /// A probe ended well.
    pub(crate) fn recovered(&self) {
        *self.inner.lock() = Inner::default();
        self.out.store(false, Relaxed);
    }
}

/// Times that double, each with up to as much again by chance, so that many proxies do not act at once.
pub(crate) fn waits(first: Duration, longest: Duration) -> ExponentialBackoff {
    let waits = ExponentialBuilder::new().with_min_delay(first).with_max_delay(longest).with_factor(2.0);
    waits.with_jitter().without_max_times().build()
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Quarantine = Quarantine {
        crashes: 3,
        window: Duration::from_secs(10),
        percent: 50,
        period: Duration::from_secs(1),
        max_period: Duration::from_secs(4),
    };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(100 + seconds)
    }

    #[test]
    fn crashes_of_most_exchanges_take_a_filter_out_and_a_probe_brings_it_back() {
        let health = Health::new(POLICY);
        assert_eq!(health.crashed(at(0), 1), None);
        assert_eq!(health.crashed(at(1), 2), None);
        assert_eq!(health.admit(|| at(1)), Admission::Granted);
        let wait = health.crashed(at(2), 3).expect("out of service");
        assert!((1..=2).contains(&wait.as_secs()), "{wait:?}");
        assert_eq!(health.admit(|| at(2)), Admission::Refused);
        assert_eq!(health.admit(|| at(2) + wait), Admission::Probe);
        assert_eq!(health.admit(|| at(2) + wait), Admission::Refused, "one at a time");
        let longer = health.crashed(at(3) + wait, 4).expect("the probe failed");
        assert!(longer >= Duration::from_secs(2), "{longer:?}");
        assert_eq!(health.admit(|| at(3) + wait + longer), Admission::Probe);
        health.recovered();
        assert_eq!(health.admit(|| at(9)), Admission::Granted);
        assert_eq!(health.crashed(at(9), 9), None, "the count begins anew");
    }

    #[test]
    fn few_crashes_among_many_exchanges_or_long_apart_are_lived_with() {
        let (few, rare) = (Health::new(POLICY), Health::new(POLICY));
        for n in 0..100 {
            assert_eq!(few.crashed(at(0), n * 4), None);
            assert_eq!(rare.crashed(at(n * 6), n), None);
        }
        let never = Health::new(Quarantine { crashes: 0, ..POLICY });
        for n in 0..100 {
            assert_eq!(never.crashed(at(0), n), None);
        }
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let waits: Vec<u128> =
            waits(Duration::from_millis(10), Duration::from_millis(80)).take(6).map(|w| w.as_millis()).collect();
        for (wait, least) in waits.iter().zip([10, 20, 40, 80, 80, 80]) {
            assert!((least..=2 * least).contains(wait), "{waits:?}");
        }
    }
}
