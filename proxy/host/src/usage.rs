//! What a filter did and cost, as whoever shows it reads it.

use std::time::Duration;

use crate::{Outcome, Phase, Token, meter::BUCKETS};

/// What a filter did and cost since it was loaded, and what it holds now.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    /// Exchanges and connections that met it.
    pub exchanges: u64,
    /// Phases in which it ran.
    pub phases: Vec<PhaseUsage>,
    /// Deaths of its guests by kind.
    pub crashes: Vec<(Token, u64)>,
    /// Guests that live now.
    pub guests: u64,
    /// Bytes of linear memory of those together.
    pub memory: usize,
}

/// What the callbacks of one phase cost.
#[derive(Debug, Clone)]
pub struct PhaseUsage {
    /// Which callbacks.
    pub phase: Phase,
    /// CPU time of all of them.
    pub cpu: Duration,
    /// How many took how long: at most 1 us, 2 us, 4 us and so on up to 131 ms, and more.
    pub buckets: Vec<u64>,
    /// How many came to what; those of a callback that asks for nothing continued.
    pub outcomes: Vec<(Outcome, u64)>,
}

impl Usage {
    /// Both together.
    pub(crate) fn add(&mut self, other: Self) {
        self.exchanges += other.exchanges;
        self.guests = self.guests.wrapping_add(other.guests);
        self.memory += other.memory;
        for phase in other.phases {
            match self.phases.iter_mut().find(|known| known.phase == phase.phase) {
                Some(known) => known.add(&phase),
                None => self.phases.push(phase),
            }
        }
        add_each(&mut self.crashes, &other.crashes);
    }
}

impl PhaseUsage {
    /// How many there were.
    pub fn calls(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The longest time that this bucket counts; `None` for the last, which has no end.
    pub fn bound(bucket: usize) -> Option<Duration> {
        (bucket + 1 < BUCKETS).then(|| Duration::from_micros(1 << bucket))
    }

    fn add(&mut self, other: &Self) {
        self.cpu += other.cpu;
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(bucket, more)| *bucket += more);
        add_each(&mut self.outcomes, &other.outcomes);
    }
}

fn add_each<T: Copy + PartialEq>(counts: &mut Vec<(T, u64)>, more: &[(T, u64)]) {
    for (of, more) in more {
        match counts.iter_mut().find(|(known, _)| known == of) {
            Some((_, count)) => *count += more,
            None => counts.push((*of, *more)),
        }
    }
}
