//! Everything that happened to what serves: the last events, for whoever asks, and each one for those who listen.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};

use opentelemetry::trace::SpanContext;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::broadcast;

use super::{Stages, Times, draining::Draining};
use crate::telemetry::{self, Tracing};

/// Events that are kept. Small as they are they hold pages of the heap: 1,000 made 2 MiB, as much as all that 10,000 swaps leave.
const KEPT: usize = 256;
/// Events that a slow listener may be behind before it misses some.
const BEHIND: usize = 256;

/// One event.
#[derive(Debug, Serialize)]
pub(crate) struct Event {
    /// Counts from 1 in this process.
    pub(crate) id: u64,
    /// RFC 3339, UTC.
    pub(crate) time: String,
    #[serde(flatten)]
    pub(crate) what: What,
}

/// What happened.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum What {
    /// A generation serves from now on.
    Swapped {
        generation: u64,
        cause: Cause,
        /// Filters that are not as they were.
        filters: Vec<FilterChange>,
        stages: Stages,
        /// Requests that end on the generation before.
        in_flight: usize,
    },
    /// Files or somebody asked for a generation that cannot serve: this one goes on.
    Refused { generation: u64, cause: Cause, error: String, total_ms: f64 },
    /// The last request of an old generation has ended; its guests and its code are given back.
    Drained { generation: u64, after_ms: f64, requests: usize },
    /// Somebody wants other levels of the log.
    Logging { generation: u64, client: String, level: Option<&'static str>, filters: Levels, modules: Levels },
    /// Somebody wants no more traffic to be sent here, or wants it again.
    Drain { generation: u64, client: String, on: bool },
    /// The time of an old generation is over.
    DrainOver { generation: u64, requests: usize, cut: bool },
}

/// Levels by the names of those who have one.
pub(crate) type Levels = BTreeMap<String, &'static str>;

/// Who or what wanted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Cause {
    /// The process began.
    Start,
    /// These files changed.
    Files { files: Vec<String> },
    /// SIGHUP.
    Signal,
    /// The admin API, and who called it.
    Admin { client: String },
    /// Somebody wants fresh guests of a filter.
    Anew { filter: String, client: String },
    /// Somebody brought a version back.
    Rollback { filter: String, client: String },
    /// Somebody took a filter out of every chain.
    Disable { filter: String, client: String },
    /// Somebody put it back.
    Enable { filter: String, client: String },
    /// A filter crashed too often after it was replaced.
    Crashes { filter: String, crashes: u64, requests: u64 },
}

/// A filter that is not as it was.
#[derive(Debug, Serialize)]
pub(crate) struct FilterChange {
    pub(crate) filter: String,
    /// Digest before; `None` for a new filter.
    pub(crate) before: Option<String>,
    /// Digest now; `None` for one that is not there any more. The same as before when only its settings changed.
    pub(crate) after: Option<String>,
    pub(crate) compile_ms: f64,
    pub(crate) start_ms: f64,
}

/// How often things happened since the process began to serve.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) swapped: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) rolled_back: AtomicU64,
    /// Generations that still serve their last requests.
    pub(crate) draining: Draining,
    /// How long the steps to each swap took.
    pub(crate) times: Mutex<Times>,
}

/// The events of this process.
pub(crate) struct Events {
    kept: Mutex<Kept>,
    listeners: broadcast::Sender<Arc<Event>>,
    pub(crate) counts: Counts,
    tracing: OnceLock<Tracing>,
    /// Spans of the swaps whose old generations still serve, by the generation that went.
    swaps: Mutex<HashMap<u64, SpanContext>>,
}

#[derive(Default)]
struct Kept {
    last: u64,
    events: VecDeque<Arc<Event>>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            listeners: broadcast::channel(BEHIND).0,
            counts: Counts::default(),
            tracing: OnceLock::new(),
            swaps: Mutex::default(),
        }
    }
}

impl Events {
    /// From now on events are spans too.
    pub(crate) fn trace_with(&self, tracing: Tracing) {
        let _ = self.tracing.set(tracing);
    }

    /// Spans that were made; `None` when none are.
    pub(crate) fn spans(&self) -> Option<[(&'static str, u64); 3]> {
        self.tracing.get().and_then(Tracing::counts).map(telemetry::Counts::all)
    }

    /// What becomes of a generation is linked to the swap that took its place.
    fn span(&self, what: &What) {
        let Some(tracing) = self.tracing.get() else { return };
        let mut swaps = self.swaps.lock();
        let swap = match what {
            What::Drained { generation, .. } => swaps.remove(generation),
            What::DrainOver { generation, .. } => swaps.get(generation).cloned(),
            What::Swapped { .. } | What::Refused { .. } | What::Logging { .. } | What::Drain { .. } => None,
        };
        if let (Some(context), What::Swapped { generation, .. }) = (tracing.event(what, swap), what)
            && let Some(before) = generation.checked_sub(1).filter(|before| *before > 0)
        {
            swaps.insert(before, context);
        }
    }

    /// Keeps an event, counts it, writes it to the log and tells those who listen.
    pub(crate) fn record(&self, what: What) {
        what.log();
        self.span(&what);
        match &what {
            What::Swapped { cause: Cause::Start, .. } => {}
            What::Swapped { cause, stages, .. } => {
                self.counts.swapped.fetch_add(1, Relaxed);
                self.counts.times.lock().add(stages);
                if matches!(cause, Cause::Rollback { .. } | Cause::Crashes { .. }) {
                    self.counts.rolled_back.fetch_add(1, Relaxed);
                }
            }
            What::Refused { .. } => {
                self.counts.refused.fetch_add(1, Relaxed);
            }
            What::Drained { .. } | What::DrainOver { .. } | What::Logging { .. } | What::Drain { .. } => {}
        }
        let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let mut kept = self.kept.lock();
        kept.last += 1;
        let event = Arc::new(Event { id: kept.last, time, what });
        if kept.events.len() == KEPT {
            kept.events.pop_front();
        }
        kept.events.push_back(event.clone());
        // Under the lock, so that nobody who asks for both misses one in between. Nobody listening is no error.
        let _ = self.listeners.send(event);
    }

    /// The events after this one that are kept, and those that come from now on. An event that is still to come was one
    /// of another process: then it is all of them.
    pub(crate) fn since(&self, id: u64) -> (Vec<Arc<Event>>, broadcast::Receiver<Arc<Event>>) {
        let kept = self.kept.lock();
        let id = if id > kept.last { 0 } else { id };
        let events = kept.events.iter().filter(|event| event.id > id).cloned().collect();
        (events, self.listeners.subscribe())
    }
}

impl What {
    fn log(&self) {
        match self {
            Self::Swapped { cause: Cause::Start, .. } => {}
            Self::Swapped { generation, cause, filters, stages, in_flight } => {
                let changed: Vec<_> = filters.iter().map(|change| change.filter.as_str()).collect();
                tracing::info!(
                    generation,
                    cause = cause.name(),
                    filters = changed.join(","),
                    in_flight,
                    ms = stages.total_ms,
                    "the new configuration serves"
                );
            }
            Self::Refused { generation, cause, error, .. } => tracing::error!(
                generation,
                cause = cause.name(),
                "the new configuration is refused, the old one goes on serving:\n{error}"
            ),
            Self::Drained { generation, after_ms, requests } => {
                tracing::debug!(generation, ms = after_ms, requests, "the last request of an old generation has ended");
            }
            Self::Logging { client, level, filters, modules, .. } => {
                tracing::info!(
                    client,
                    level,
                    ?filters,
                    ?modules,
                    "the levels of the log are others until the next reload"
                );
            }
            Self::Drain { client, on: true, .. } => {
                tracing::info!(client, "draining: `/ready` says no and clients are told to go; requests are served");
            }
            Self::Drain { client, .. } => tracing::info!(client, "the drain is over: traffic may come again"),
            Self::DrainOver { generation, requests, cut } => tracing::warn!(
                generation,
                requests,
                "`reload.drain` is over: the requests that an old generation still serves {}",
                if *cut { "are cut off" } else { "go on" }
            ),
        }
    }
}

impl Cause {
    /// The word for logs and metrics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Files { .. } => "files",
            Self::Signal => "signal",
            Self::Admin { .. } => "admin",
            Self::Anew { .. } => "anew",
            Self::Rollback { .. } => "rollback",
            Self::Disable { .. } => "disable",
            Self::Enable { .. } => "enable",
            Self::Crashes { .. } => "crashes",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(n: u64) -> What {
        What::Refused { generation: n, cause: Cause::Signal, error: "nonsense".into(), total_ms: 1.5 }
    }

    #[test]
    fn the_last_events_are_kept_and_new_ones_are_told_without_a_gap() {
        let events = Events::default();
        for n in 0..KEPT as u64 + 5 {
            events.record(refused(n));
        }
        let (kept, mut listener) = events.since(0);
        assert_eq!((kept.len(), kept[0].id, kept[KEPT - 1].id), (KEPT, 6, KEPT as u64 + 5));
        events.record(refused(0));
        assert_eq!(listener.try_recv().expect("it is told").id, KEPT as u64 + 6);
        assert_eq!(events.since(KEPT as u64 + 5).0.len(), 1);
        assert_eq!((events.since(KEPT as u64 + 6).0.len(), events.since(u64::MAX).0.len()), (0, KEPT));
        assert_eq!(events.counts.refused.load(Relaxed), KEPT as u64 + 6);
    }

    #[test]
    fn an_event_is_one_flat_object() {
        let events = Events::default();
        events.record(refused(3));
        let mut json = serde_json::to_value(&*events.since(0).0[0]).expect("it is JSON");
        assert!(json["time"].take().as_str().is_some_and(|time| time.ends_with('Z')));
        let wanted = serde_json::json!({
            "id": 1, "time": null, "event": "refused", "generation": 3, "cause": { "kind": "signal" }, "error": "nonsense",
            "total_ms": 1.5
        });
        assert_eq!(json, wanted);
    }
}
