//! Visits: what each callback of an exchange was, for those who ask for it before the first one.

use std::time::Duration;

use sluice_engine::Moment;

use super::{Exchange, Verdict};
use crate::{Note, Phase};

/// Most visits of one exchange that are written down: bodies come in any number of pieces.
const MOST: usize = 128;

/// A visit that has begun.
struct Begun {
    number: u32,
    /// What the filter had used by then.
    before: (Duration, u32),
    /// The visit around it, what was added to that, and when that one's callbacks were.
    outer: (Option<u32>, Vec<Note>),
    met: Option<(Moment, Moment)>,
}

/// One callback of one filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// Counts from 0 in its exchange; [`TracePlace::of_visit`](crate::TracePlace::of_visit) makes its span of it.
    pub number: u32,
    /// Which link of the chain.
    pub filter: usize,
    /// Which callback.
    pub phase: Phase,
    /// When its callback began and when it had ended: time since 1970-01-01 UTC.
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
    /// One moment by both clocks: what times calls anyway tells of all others.
    anchor: Option<(Moment, Duration)>,
}

impl Visits {
    /// The time since 1970 that a moment behind the anchor was.
    fn time(&self, moment: Moment) -> Duration {
        let anchor = self.anchor.map(|(at, time)| time + moment.saturating_duration_since(at));
        anchor.unwrap_or_default()
    }
}

impl Exchange {
    /// Has its visits written down from now on; without this they cost one branch each.
    pub fn record(&mut self) {
        if !self.chain.is_empty() {
            self.visits.get_or_insert_default();
        }
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
        let begun = if self.visits.is_some() { self.begin_visit(filter) } else { None };
        let verdict = enter(self);
        if let Some(begun) = begun {
            self.end_visit(filter, phase, begun, &verdict);
        }
        verdict
    }

    /// `None` when nobody asked for visits.
    #[inline(never)]
    fn begin_visit(&mut self, filter: usize) -> Option<Begun> {
        let visits = self.visits.as_mut()?;
        let blueprint = &self.chain.links().get(filter)?.filter.blueprint;
        visits.anchor.get_or_insert_with(|| (blueprint.engine.now(), blueprint.services.outside.wall_clock()));
        let number = visits.begun;
        visits.begun += 1;
        let slot = self.slots.get_mut(filter)?;
        let (before, met) = ((slot.used, slot.hostcalls), slot.met.take());
        // One visit can begin in another, whose own callback is over by then.
        Some(Begun { number, before, outer: self.swap_place(Some(number), Vec::new()), met })
    }

    #[inline(never)]
    fn end_visit(&mut self, filter: usize, phase: Phase, begun: Begun, verdict: &Verdict) {
        let (_, notes) = self.swap_place(begun.outer.0, begun.outer.1);
        let (Some(visits), Some(slot), Some(link)) =
            (&mut self.visits, self.slots.get_mut(filter), self.chain.links().get(filter))
        else {
            return;
        };
        let outcome = match verdict {
            Verdict::Continue => "continued",
            Verdict::Pause => "paused",
            Verdict::Reply(_) => "replied",
            Verdict::Close => "closed",
            Verdict::Fail(fault) => fault.token.name(),
        };
        // A filter without this callback did nothing.
        let (began, ended) = match std::mem::replace(&mut slot.met, begun.met) {
            Some(met) => met,
            None if outcome == "continued" => return,
            None => {
                let now = link.filter.blueprint.engine.now();
                (now, now)
            }
        };
        if visits.all.len() >= MOST {
            visits.more += 1;
            return;
        }
        let cpu = slot.used.saturating_sub(begun.before.0);
        let hostcalls = slot.hostcalls.wrapping_sub(begun.before.1);
        let (began, ended) = (visits.time(began), visits.time(ended));
        visits.all.push(Visit { number: begun.number, filter, phase, began, ended, cpu, hostcalls, outcome, notes });
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
