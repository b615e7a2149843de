//! Visits: what each callback of an exchange was, for those who ask for it before the first one.

use std::time::Duration;

use super::{Exchange, Verdict};
use crate::{Note, Phase};

/// Most visits of one exchange that are written down: bodies come in any number of pieces.
const MOST: usize = 128;

/// One callback of one filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// Counts from 0 in its exchange; [`TracePlace::of_visit`](crate::TracePlace::of_visit) makes its span of it.
    pub number: u32,
    /// Which link of the chain.
    pub filter: usize,
    /// Which callback.
    pub phase: Phase,
    /// When it began and when it had ended: time since 1970-01-01 UTC.
    pub began: Duration,
    /// See `began`.
    pub ended: Duration,
    /// CPU time that it took.
    pub cpu: Duration,
    /// Hostcalls that it made.
    pub hostcalls: u32,
    /// `continued`, `paused`, `replied`, `closed`, or the token of what went wrong.
    pub outcome: &'static str,
    /// What the filter added.
    pub notes: Vec<Note>,
}

/// The visits of an exchange.
#[derive(Debug, Clone, Default)]
pub struct Visits {
    /// In the order in which they began.
    pub all: Vec<Visit>,
    /// How many more there were.
    pub more: usize,
    /// Visits that began, also those of filters that had nothing to do.
    begun: u32,
}

impl Exchange {
    /// Has its visits written down from now on; without this they cost one branch each.
    pub fn record(&mut self) {
        self.visits.get_or_insert_default();
    }

    /// What was written down.
    pub fn visits(&self) -> Option<&Visits> {
        self.visits.as_deref()
    }

    /// Takes what was written down out of the exchange, whose end is near.
    pub fn take_visits(&mut self) -> Visits {
        self.visits.take().map(|visits| *visits).unwrap_or_default()
    }

    /// Does something that may enter a filter, and writes it down if it did.
    pub(super) fn visit(&mut self, filter: usize, phase: Phase, enter: impl FnOnce(&mut Self) -> Verdict) -> Verdict {
        let Some(visits) = &mut self.visits else { return enter(self) };
        let number = visits.begun;
        visits.begun += 1;
        let Some(link) = self.chain.links().get(filter) else { return enter(self) };
        let outside = link.filter.blueprint.services.outside.clone();
        let before = self.slots.get(filter).map(|slot| (slot.used, slot.hostcalls)).unwrap_or_default();
        // One visit can begin in another, whose own callback is over by then.
        let outer = self.swap_place(Some(number), Vec::new());
        let began = outside.wall_clock();
        let verdict = enter(self);
        let (_, notes) = self.swap_place(outer.0, outer.1);
        let after = self.slots.get(filter).map(|slot| (slot.used, slot.hostcalls)).unwrap_or_default();
        let (cpu, hostcalls) = (after.0.saturating_sub(before.0), after.1.wrapping_sub(before.1));
        let outcome = match &verdict {
            Verdict::Continue => "continued",
            Verdict::Pause => "paused",
            Verdict::Reply(_) => "replied",
            Verdict::Close => "closed",
            Verdict::Fail(fault) => fault.token.name(),
        };
        // A filter without this callback took no time and did nothing.
        if (!cpu.is_zero() || outcome != "continued")
            && let Some(visits) = &mut self.visits
        {
            if visits.all.len() < MOST {
                let ended = outside.wall_clock();
                visits.all.push(Visit { number, filter, phase, began, ended, cpu, hostcalls, outcome, notes });
            } else {
                visits.more += 1;
            }
        }
        verdict
    }

    /// Makes this the visit that is under way, and gives what was.
    fn swap_place(&mut self, visit: Option<u32>, notes: Vec<Note>) -> (Option<u32>, Vec<Note>) {
        let message = self.message();
        let notes = std::mem::replace(&mut message.notes, notes);
        match &mut message.facts.trace {
            Some(place) => (std::mem::replace(&mut place.visit, visit), notes),
            None => (None, notes),
        }
    }
}
