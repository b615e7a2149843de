//! What a filter did and cost, as JSON.

use std::{collections::BTreeMap, sync::Arc, time::UNIX_EPOCH};

use serde::Serialize;
use sluice_host::{Filter, LastError};

use super::view::FilterView;
use crate::reload::{OldGeneration, millis};

/// A filter with its counts.
#[derive(Serialize)]
pub(super) struct Now<'a> {
    #[serde(flatten)]
    pub(super) filter: &'a FilterView,
    #[serde(flatten)]
    pub(super) counts: Counts,
    /// Old generations in which another version still serves its last requests.
    pub(super) draining: Vec<OldVersion>,
}

/// Another version of a filter, on its way out.
#[derive(Serialize)]
pub(super) struct OldVersion {
    generation: u64,
    digest: String,
}

impl OldVersion {
    /// Those of this filter.
    pub(super) fn all(draining: &[Arc<OldGeneration>], serving: &Arc<Filter>) -> Vec<Self> {
        let old = |old: &Arc<OldGeneration>| {
            let digest = old.other_than(serving)?;
            Some(Self { generation: old.generation, digest: format!("sha256:{digest}") })
        };
        draining.iter().filter_map(old).collect()
    }
}

/// Counts of one filter since it was loaded; `capped` and `last_error` since a filter of its name was loaded first.
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
    last_error: Option<Wrong>,
}

/// What went wrong last.
#[derive(Serialize)]
struct Wrong {
    time: String,
    digest: String,
    phase: Option<&'static str>,
    kind: &'static str,
    message: String,
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
            last_error: filter.last_error().map(wrong),
        }
    }
}

fn wrong(error: LastError) -> Wrong {
    Wrong {
        time: humantime::format_rfc3339_millis(UNIX_EPOCH + error.at).to_string(),
        digest: format!("sha256:{}", error.digest),
        phase: error.phase.map(sluice_host::Phase::name),
        kind: error.kind.name(),
        message: error.message,
    }
}
