//! What a filter did and cost, as JSON.

use std::collections::BTreeMap;

use serde::Serialize;
use sluice_host::Filter;

use super::view::FilterView;
use crate::reload::millis;

/// A filter with its counts.
#[derive(Serialize)]
pub(super) struct Now<'a> {
    #[serde(flatten)]
    pub(super) filter: &'a FilterView,
    #[serde(flatten)]
    pub(super) counts: Counts,
}

/// Counts of one filter since it was loaded; `capped` since a filter of its name was loaded first.
#[derive(Serialize)]
pub(super) struct Counts {
    quarantined: bool,
    /// Guests that live, and their linear memory together.
    guests: u64,
    memory_bytes: usize,
    exchanges: u64,
    phases: BTreeMap<&'static str, Phase>,
    traps: BTreeMap<&'static str, u64>,
    capped: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct Phase {
    calls: u64,
    cpu_ms: f64,
}

impl Counts {
    pub(super) fn of(filter: &Filter) -> Self {
        let usage = filter.usage();
        let phase = |phase: &sluice_host::PhaseUsage| Phase { calls: phase.calls(), cpu_ms: millis(phase.cpu) };
        Self {
            quarantined: filter.is_quarantined(),
            guests: usage.guests,
            memory_bytes: usage.memory,
            exchanges: usage.exchanges,
            phases: usage.phases.iter().map(|p| (p.phase.name(), phase(p))).collect(),
            traps: usage.crashes.iter().map(|(token, count)| (token.name(), *count)).collect(),
            capped: filter.capped().filter(|(_, hits)| *hits > 0).map(|(cap, hits)| (cap.token(), hits)).collect(),
        }
    }
}
