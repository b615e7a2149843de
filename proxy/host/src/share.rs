//! The share of one core that a filter may use over the last second, in all its guests together.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// The window slides by this step.
const STEP: Duration = Duration::from_millis(50);
const STEPS: usize = 20;
/// A slot holds the number of its step above these bits, and the CPU time of the step, ns, in them: up to 18 minutes.
const TIME_BITS: u32 = 40;
const TIME: u64 = (1 << TIME_BITS) - 1;
const NUMBERS: u64 = u64::MAX >> TIME_BITS;

/// CPU time of the last second against what is granted.
#[derive(Debug)]
pub(crate) struct Share {
    granted: u64,
    slots: [AtomicU64; STEPS],
}

impl Share {
    /// Grants this much CPU time a second.
    pub(crate) fn new(granted: Duration) -> Self {
        Self {
            granted: u64::try_from(granted.as_nanos()).unwrap_or(u64::MAX),
            slots: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Counts CPU time of a call that ended now.
    pub(crate) fn spend(&self, now: Duration, nanos: u64) {
        let step = step(now);
        let Some(slot) = self.slots.get(step as usize % STEPS) else { return };
        let add = |old: u64| {
            let used = if old >> TIME_BITS == step { old & TIME } else { 0 };
            Some(step << TIME_BITS | used.saturating_add(nanos).min(TIME))
        };
        // Never `None`, so it never fails.
        let _ = slot.fetch_update(Relaxed, Relaxed, add);
    }

    /// Whether the share of the last second is used up.
    pub(crate) fn is_used_up(&self, now: Duration) -> bool {
        self.used(now) >= self.granted
    }

    fn used(&self, now: Duration) -> u64 {
        let recent = |slot: u64| step(now).wrapping_sub(slot >> TIME_BITS) & NUMBERS < STEPS as u64;
        self.slots.iter().map(|slot| slot.load(Relaxed)).filter(|slot| recent(*slot)).map(|slot| slot & TIME).sum()
    }
}

/// The number of the step at this time, as far as a slot has room for it: it begins anew every nine days.
fn step(now: Duration) -> u64 {
    (now.as_millis() / STEP.as_millis()) as u64 & NUMBERS
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn at(step: u32) -> Duration {
        STEP * step
    }

    #[test]
    fn what_is_older_than_a_second_does_not_count() {
        let share = Share::new(Duration::from_millis(100));
        share.spend(at(7), 60 * MS);
        share.spend(at(7), 10 * MS);
        share.spend(at(20), 20 * MS);
        assert_eq!(share.used(at(20)), 90 * MS);
        assert_eq!(share.used(at(26)), 90 * MS, "still within the last 20 steps");
        assert_eq!(share.used(at(27)), 20 * MS);
        share.spend(at(27), 5 * MS);
        assert_eq!(share.used(at(27)), 25 * MS, "the slot of step 7 begins anew");
        assert_eq!(share.used(at(1000)), 0);
    }

    #[test]
    fn the_numbers_of_steps_begin_anew_without_a_gap() {
        let share = Share::new(Duration::from_millis(100));
        let last = STEP * u32::try_from(NUMBERS).expect("small");
        share.spend(last, 40 * MS);
        share.spend(last + STEP, 50 * MS);
        assert_eq!(share.used(last + STEP), 90 * MS);
    }

    #[test]
    fn it_is_used_up_at_exactly_what_is_granted() {
        let share = Share::new(Duration::from_millis(100));
        share.spend(at(3), 100 * MS - 1);
        assert!(!share.is_used_up(at(3)));
        share.spend(at(3), 1);
        assert!(share.is_used_up(at(3)));
    }
}
