//! How long requests or attempts took, by what they were.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use http::Version;
use parking_lot::Mutex;

/// Upper bounds of what is counted together, microseconds: those that the conventions of OpenTelemetry recommend, and
/// finer ones below, where most answers of a proxy lie.
const BOUNDS: [u64; 18] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000, 1_000_000,
    2_500_000, 5_000_000, 7_500_000, 10_000_000,
];
/// Most different kinds of one route or upstream: an upstream may make up statuses.
const KINDS: usize = 128;

/// What a request or an attempt was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Empty for all those that would be too many.
    pub(crate) method: &'static str,
    /// 0 when there was no answer.
    pub(crate) status: u16,
    /// `1.0`, `1.1` or `2`; empty when there was no answer to an attempt.
    pub(crate) version: &'static str,
    /// `http` or `https`; empty for an attempt.
    pub(crate) scheme: &'static str,
    /// The token of what went wrong; empty when nothing did.
    pub(crate) error: &'static str,
}

impl Kind {
    const REST: Self = Self { method: "", status: 0, version: "", scheme: "", error: "" };
}

/// How long all of one route or upstream took.
#[derive(Debug)]
pub(crate) struct Times {
    kinds: ArcSwap<Vec<Arc<Counted>>>,
    growing: Mutex<()>,
    /// Those whose kind came when there were too many.
    rest: Counted,
}

/// How long those of one kind took; on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Counted {
    pub(crate) kind: Kind,
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Default for Times {
    fn default() -> Self {
        Self { kinds: ArcSwap::default(), growing: Mutex::default(), rest: Counted::new(Kind::REST) }
    }
}

impl Times {
    /// Counts one.
    pub(crate) fn count(&self, kind: Kind, took: Duration) {
        let kinds = self.kinds.load();
        match kinds.iter().find(|counted| counted.kind == kind) {
            Some(counted) => counted.add(took),
            None if kinds.len() >= KINDS => self.rest.add(took),
            None => self.first(kind, took),
        }
    }

    #[cold]
    fn first(&self, kind: Kind, took: Duration) {
        {
            let _growing = self.growing.lock();
            let kinds = self.kinds.load();
            if kinds.len() < KINDS && !kinds.iter().any(|counted| counted.kind == kind) {
                let new = Arc::new(Counted::new(kind));
                self.kinds.store(Arc::new(kinds.iter().cloned().chain([new]).collect()));
            }
        }
        self.count(kind, took);
    }

    /// Calls `f` with every kind that there was.
    pub(crate) fn each(&self, mut f: impl FnMut(&Counted)) {
        self.kinds.load().iter().for_each(|counted| f(counted));
        if self.rest.buckets.iter().any(|count| count.load(Relaxed) > 0) {
            f(&self.rest);
        }
    }
}

impl Counted {
    fn new(kind: Kind) -> Self {
        Self { kind, buckets: Default::default(), micros: AtomicU64::new(0) }
    }

    fn add(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = BOUNDS.partition_point(|bound| *bound < micros);
        if let Some(bucket) = self.buckets.get(at) {
            bucket.fetch_add(1, Relaxed);
        }
        self.micros.fetch_add(micros, Relaxed);
    }

    /// Seconds of all together.
    #[allow(clippy::cast_precision_loss, reason = "whoever reads it loses the same bits")]
    pub(crate) fn seconds(&self) -> f64 {
        self.micros.load(Relaxed) as f64 / 1e6
    }

    /// How many took at most so many seconds, and longer than the bound before; the last bound is infinite.
    #[allow(clippy::cast_precision_loss, reason = "bounds are small")]
    pub(crate) fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS.iter().map(|bound| *bound as f64 / 1e6).chain([f64::INFINITY]);
        bounds.zip(&self.buckets).map(|(bound, count)| (bound, count.load(Relaxed))).collect()
    }
}

/// Versions as metrics have them.
pub(crate) fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16) -> Kind {
        Kind { method: "GET", status, version: "1.1", scheme: "http", error: "" }
    }

    /// Statuses, how many there were of each bucket that is not empty, and seconds.
    fn read(times: &Times) -> Vec<(u16, Vec<(f64, u64)>, f64)> {
        let mut all = Vec::new();
        times.each(|counted| {
            let some = counted.buckets().into_iter().filter(|(_, count)| *count > 0).collect();
            all.push((counted.kind.status, some, counted.seconds()));
        });
        all
    }

    #[test]
    fn a_time_is_counted_at_its_bound_and_by_its_kind() {
        let times = Times::default();
        for micros in [0, 250, 251, 10_000_000, 10_000_001] {
            times.count(kind(200), Duration::from_micros(micros));
        }
        times.count(kind(503), Duration::from_secs(1));
        let ok = vec![(0.00025, 2), (0.0005, 1), (10.0, 1), (f64::INFINITY, 1)];
        assert_eq!(read(&times), [(200, ok, 20.000_502), (503, vec![(1.0, 1)], 1.0)]);
    }

    #[test]
    fn kinds_end_somewhere_and_nothing_is_lost() {
        let times = Times::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (1..=1000).for_each(|status| times.count(kind(status), Duration::ZERO)));
            }
        });
        let all = read(&times);
        assert_eq!(all.len(), KINDS + 1);
        assert_eq!(all.last().map(|(status, ..)| *status), Some(0), "the rest is not shown as something else");
        assert_eq!(all.iter().flat_map(|(_, buckets, _)| buckets).map(|(_, count)| count).sum::<u64>(), 4000);
    }
}
