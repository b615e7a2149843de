//! What a filter's callbacks cost: counted for every call, by phase, in a part of its own for each thread.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use sluice_engine::MemoryTotal;

use crate::{Outcome, Phase, PhaseUsage, Token, Usage, share::Share, thread::thread_number};

/// Threads that count in a part of their own; all later ones share one more.
const OWN: usize = 16;
/// The last but one bucket ends at 2^17 us, about 131 ms.
pub(crate) const BUCKETS: usize = 19;

/// Counts of one version of a filter.
#[derive(Debug)]
pub(crate) struct Meter {
    parts: Box<[Part]>,
    pub(crate) share: Option<Share>,
    /// Of all its guests.
    pub(crate) memory: Arc<MemoryTotal>,
}

/// Adds to a count. An addition that no other thread can disturb needs no bus lock, which costs as much as the rest of it.
#[inline]
fn add(count: &AtomicU64, more: u64, alone: bool) {
    if alone {
        count.store(count.load(Relaxed).wrapping_add(more), Relaxed);
    } else {
        count.fetch_add(more, Relaxed);
    }
}

/// One thread's counts, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Part {
    exchanges: AtomicU64,
    phases: [Counts; Phase::ALL.len()],
    crashes: [AtomicU64; Token::ALL.len()],
    /// Those that began less those that ended here.
    guests: AtomicU64,
}

/// What nearly every call touches (its time, how it ended, the first buckets) shares one line of the cache.
#[derive(Debug, Default)]
#[repr(C, align(64))]
struct Counts {
    nanos: AtomicU64,
    outcomes: [AtomicU64; Outcome::ALL.len()],
    buckets: [AtomicU64; BUCKETS],
}

impl Meter {
    pub(crate) fn new(share: Option<Share>, memory: Arc<MemoryTotal>) -> Self {
        Self { parts: (0..=OWN).map(|_| Part::default()).collect(), share, memory }
    }

    /// Where the running thread counts, and whether no other one does.
    #[inline]
    fn part(&self) -> Option<(&Part, bool)> {
        let thread = thread_number();
        Some((self.parts.get(thread.min(OWN))?, thread < OWN))
    }

    #[inline]
    fn add(&self, more: u64, of: impl FnOnce(&Part) -> Option<&AtomicU64>) {
        if let Some((part, alone)) = self.part()
            && let Some(count) = of(part)
        {
            add(count, more, alone);
        }
    }

    /// One exchange more met the filter.
    pub(crate) fn exchange(&self) {
        self.add(1, |part| Some(&part.exchanges));
    }

    /// One callback took this CPU time and came to this.
    #[inline]
    pub(crate) fn ran(&self, phase: Phase, used: Duration, outcome: Outcome, now: impl FnOnce() -> Duration) {
        let Some((part, alone)) = self.part() else { return };
        let Some(counts) = part.phases.get(phase as usize) else { return };
        // In 64 bits, which are good for 500 years: `as_nanos` counts in 128.
        let nanos = used.as_secs().saturating_mul(1_000_000_000).saturating_add(used.subsec_nanos().into());
        add(&counts.nanos, nanos, alone);
        if let Some(bucket) = counts.buckets.get(bucket(nanos)) {
            add(bucket, 1, alone);
        }
        if let Some(count) = counts.outcomes.get(outcome as usize) {
            add(count, 1, alone);
        }
        if let Some(share) = &self.share {
            share.spend(now(), nanos);
        }
    }

    /// A guest begins to live.
    pub(crate) fn guest_begins(&self) {
        self.add(1, |part| Some(&part.guests));
    }

    /// A guest is gone.
    pub(crate) fn guest_ends(&self) {
        self.add(u64::MAX, |part| Some(&part.guests));
    }

    /// One guest died of this.
    pub(crate) fn crashed(&self, token: Token) {
        self.add(1, |part| part.crashes.get(token as usize));
    }

    /// Exchanges since the filter was loaded.
    pub(crate) fn exchanges(&self) -> u64 {
        self.parts.iter().map(|part| part.exchanges.load(Relaxed)).sum()
    }

    /// Guests that live.
    pub(crate) fn guests(&self) -> u64 {
        // Wrapping, as one may end on another thread than it began on.
        self.parts.iter().map(|part| part.guests.load(Relaxed)).fold(0, u64::wrapping_add)
    }

    /// All counts, as they are now.
    pub(crate) fn usage(&self) -> Usage {
        let sum = |of: &dyn Fn(&Part) -> u64| self.parts.iter().map(of).sum();
        let phases = Phase::ALL.into_iter().enumerate().map(|(at, phase)| {
            let counts = |part: &Part, of: &dyn Fn(&Counts) -> u64| part.phases.get(at).map_or(0, of);
            let nanos = sum(&|part| counts(part, &|c| c.nanos.load(Relaxed)));
            let bucket = |b: usize| sum(&|part| counts(part, &|c| c.buckets.get(b).map_or(0, |n| n.load(Relaxed))));
            let outcome =
                |o: Outcome| sum(&|part| counts(part, &|c| c.outcomes.get(o as usize).map_or(0, |n| n.load(Relaxed))));
            let outcomes = Outcome::ALL.into_iter().map(|o| (o, outcome(o))).filter(|(_, count)| *count > 0);
            PhaseUsage {
                phase,
                cpu: Duration::from_nanos(nanos),
                buckets: (0..BUCKETS).map(bucket).collect(),
                outcomes: outcomes.collect(),
            }
        });
        let crashes = Token::ALL.into_iter().enumerate();
        Usage {
            exchanges: self.exchanges(),
            phases: phases.filter(|phase| phase.calls() > 0).collect(),
            crashes: crashes
                .map(|(at, token)| (token, sum(&|part| part.crashes.get(at).map_or(0, |n| n.load(Relaxed)))))
                .filter(|(_, count)| *count > 0)
                .collect(),
            guests: self.guests(),
            memory: self.memory.used(),
        }
    }
}

/// Bucket 0 ends at 1 us, each other one at twice the end of the one before, the last never.
fn bucket(nanos: u64) -> usize {
    let micros = nanos.div_ceil(1000);
    let doublings = u64::BITS - micros.saturating_sub(1).leading_zeros();
    (doublings as usize).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_is_at_most_its_bound() {
        for (nanos, expected) in [(0, 0), (1000, 0), (1001, 1), (2000, 1), (2001, 2), (4000, 2), (u64::MAX, 18)] {
            assert_eq!(bucket(nanos), expected, "{nanos} ns");
        }
        for b in 0..BUCKETS - 1 {
            let bound = PhaseUsage::bound(b).expect("a bound");
            let nanos = u64::try_from(bound.as_nanos()).expect("small");
            assert_eq!((bucket(nanos), bucket(nanos + 1)), (b, b + 1));
        }
        assert_eq!(PhaseUsage::bound(BUCKETS - 1), None);
    }

    #[test]
    fn counts_of_all_threads_are_one_sum() {
        let meter = Meter::new(None, Arc::new(MemoryTotal::new(usize::MAX)));
        meter.guest_begins();
        meter.guest_begins();
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| {
                    meter.exchange();
                    let used = Duration::from_micros(3);
                    meter.ran(Phase::RequestHeaders, used, Outcome::Paused, || Duration::ZERO);
                    meter.crashed(Token::Trap);
                });
            }
        });
        std::thread::scope(|scope| _ = scope.spawn(|| meter.guest_ends()));
        let usage = meter.usage();
        assert_eq!(usage.guests, 1, "wherever it ends");
        assert_eq!((usage.exchanges, usage.crashes), (40, vec![(Token::Trap, 40)]));
        let [phase] = &usage.phases[..] else { panic!("{:?}", usage.phases) };
        assert_eq!((phase.phase, phase.calls(), phase.cpu), (Phase::RequestHeaders, 40, Duration::from_micros(120)));
        assert_eq!((phase.buckets[2], &phase.outcomes), (40, &vec![(Outcome::Paused, 40)]));
    }
}
