//! The caps of a filter beside time and memory of one guest: what each is, and the word for having met it.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use sluice_engine::{Digest, MAX_TABLE};

use crate::{Outside, filter::Identity};

/// An embedder is told of a cap that a filter meets again and again once in this time.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What a filter may have the host keep, pass on or write. Everything is refused that would go beyond, never cut
/// silently; `docs/limits.md` says how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Bytes of linear memory of all its guests together, those of one load; 0 is no ceiling.
    pub memory_total: usize,
    /// Elements of one table of a guest, up to 100,000.
    pub table_elements: usize,
    /// Bytes of a body that may be held in one direction.
    pub body_buffer: usize,
    /// Bytes of names and values that it may make a head grow to; also those of a call's head and trailers, and of an
    /// answer.
    pub header_bytes: usize,
    /// Fields of the same, pseudo headers among them; up to 1024.
    pub header_fields: usize,
    /// Log lines of one callback.
    pub log_lines: usize,
    /// Bytes of log lines of one callback.
    pub log_bytes: usize,
    /// Log lines a second of all its guests.
    pub log_rate: usize,
    /// Log lines that may be written at once, ahead of that rate.
    pub log_burst: usize,
    /// Calls of one guest under way at one time.
    pub callouts_in_flight: usize,
    /// Bytes of shared data that it stored: keys, values, and 64 for each.
    pub shared_data: usize,
    /// Queues that it made.
    pub queues: usize,
    /// Items that it put into queues and nobody took yet.
    pub queue_items: usize,
    /// Bytes of those items, and of the names of its queues.
    pub queue_bytes: usize,
    /// Metrics that it defined.
    pub metrics: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            memory_total: 0,
            table_elements: MAX_TABLE,
            body_buffer: 1 << 20,
            header_bytes: 256 << 10,
            header_fields: sluice_abi::pairs::MAX_PAIRS,
            log_lines: 1000,
            log_bytes: 256 << 10,
            log_rate: 1000,
            log_burst: 5000,
            callouts_in_flight: 1024,
            shared_data: 16 << 20,
            queues: 64,
            queue_items: 10_000,
            queue_bytes: 16 << 20,
            metrics: 1024,
        }
    }
}

/// Room for what all filters of the process keep together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedCaps {
    /// Bytes of shared data.
    pub data: usize,
    /// Queues.
    pub queues: usize,
    /// Bytes of items in queues, and of names of queues.
    pub queue_bytes: usize,
    /// Metrics.
    pub metrics: usize,
}

impl Default for SharedCaps {
    fn default() -> Self {
        Self { data: 64 << 20, queues: 1024, queue_bytes: 64 << 20, metrics: 4096 }
    }
}

/// Each cap: its word, its setting, the setting of the process's own where there is one, and what it means to meet it.
macro_rules! caps {
    ($($(#[doc = $doc:literal])+ $cap:ident: $token:literal, $setting:literal $(and $shared:literal)?, $what:literal;)+) => {
        /// A cap that was met.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Cap {
            $($(#[doc = $doc])+ $cap,)+
        }

        impl Cap {
            /// Every cap.
            pub const ALL: &'static [Self] = &[$(Self::$cap),+];

            /// The word for having met it: in logs, and as a label of metrics.
            pub const fn token(self) -> &'static str {
                match self { $(Self::$cap => $token,)+ }
            }

            /// The setting of the filter that raises it.
            pub const fn setting(self) -> &'static str {
                match self { $(Self::$cap => concat!("limits.", $setting),)+ }
            }

            /// The setting of the process that bounds it for all filters together.
            pub(crate) const fn shared_setting(self) -> &'static str {
                match self {
                    $($(Self::$cap => concat!("server.shared.", $shared),)?)+
                    _ => self.setting(),
                }
            }

            /// What happened, in words.
            pub const fn what(self) -> &'static str {
                match self { $(Self::$cap => $what,)+ }
            }
        }
    };
}

caps! {
    /// A guest's memory would have grown above its ceiling.
    Memory: "memory_refused", "memory", "a guest asked for more memory and did not get it";
    /// The memory of all guests would have.
    MemoryTotal: "memory_total_refused", "memory_total", "all guests together have their memory, and one asked for more";
    /// A table would have.
    TableElements: "table_refused", "table_elements", "a guest asked for a larger table and did not get it";
    /// A body is larger than what may be held, or was made so.
    BodyBuffer: "body_too_large", "body_buffer", "a body is larger than the filter may hold";
    /// A head would have been.
    HeaderBytes: "header_too_large", "header_bytes", "a head was not changed or sent: it would be too large";
    /// A head would have had too many fields.
    HeaderFields: "header_fields", "header_fields", "a head was not changed or sent: it would have too many fields";
    /// The rest of a callback's lines was dropped.
    LogLines: "log_flood", "log_lines", "log lines were dropped: the callback wrote too many";
    /// The same, by their bytes.
    LogBytes: "log_bytes", "log_bytes", "log lines were dropped: the callback wrote too much";
    /// The filter's lines of the last moments were too many.
    LogRate: "log_rate", "log_rate", "log lines were dropped: the filter writes too many a second";
    /// A call was not made.
    Callouts: "callouts_in_flight", "callouts_in_flight", "a call was not made: too many are under way";
    /// A value was not stored.
    SharedData: "shared_data_full", "shared_data" and "data", "a value was not stored: the shared data is full";
    /// A queue was not made.
    Queues: "queues_full", "queues" and "queues", "a queue was not made: there are too many";
    /// An item was not put into a queue.
    QueueItems: "queue_full", "queue_items", "an item was not queued: too many wait";
    /// The same, or a queue was not made, by their bytes.
    QueueBytes: "queue_bytes", "queue_bytes" and "queue_bytes", "an item or a queue's name found no room";
    /// A metric is counted with others, or not at all.
    Metrics: "metrics_full", "metrics" and "metrics", "a metric is counted with others or not at all: there are too many";
}

impl Cap {
    /// How many there are.
    pub(crate) const COUNT: usize = Self::ALL.len();
}

/// Whose cap was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// The filter's own.
    Own,
    /// That of all filters together.
    Shared,
}

/// No room: which cap, whose, and what it is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full(pub(crate) Cap, pub(crate) Bound, pub(crate) usize);

/// When the embedder was told of each cap last, in milliseconds of its clock; 0 is never.
#[derive(Debug, Default)]
pub(crate) struct Told([AtomicU64; Cap::COUNT]);

impl Told {
    /// Whether it is to be told now; of several threads that ask, one is answered yes.
    fn due(&self, cap: Cap, now: Duration) -> bool {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (now, last) = (milliseconds(now).max(1), &self.0[cap as usize]);
        let before = last.load(Ordering::Relaxed);
        (before == 0 || now.saturating_sub(before) >= milliseconds(TELL_EVERY))
            && last.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl Identity {
    /// Counts that a cap was met, and tells the embedder, unless it was told just before.
    #[cold]
    pub(crate) fn capped(&self, outside: &dyn Outside, Full(cap, bound, limit): Full) -> CapReport<'_> {
        let setting = if bound == Bound::Own { cap.setting() } else { cap.shared_setting() };
        let hits = self.account.hit(cap);
        let report = CapReport { filter: &self.name, digest: self.digest, cap, setting, limit, hits };
        if self.told.due(cap, outside.monotonic()) {
            outside.capped(&report);
        }
        report
    }
}

/// A filter that met a cap.
#[derive(Debug, Clone, Copy)]
pub struct CapReport<'a> {
    /// The filter's name in the configuration.
    pub filter: &'a str,
    /// Which version of it.
    pub digest: Digest,
    /// Which cap.
    pub cap: Cap,
    /// The setting that raises it.
    pub setting: &'static str,
    /// What it is set to.
    pub limit: usize,
    /// How often the filter met it up to now, this time included.
    pub hits: u64,
}

impl fmt::Display for CapReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (cap={}, {} is {})", self.cap.what(), self.cap.token(), self.setting, self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_cap_that_is_met_all_the_time_is_told_once_a_second() {
        let told = Told::default();
        let due = |ms| told.due(Cap::Queues, Duration::from_millis(ms));
        assert_eq!([0, 500, 999, 1000, 1001, 2001].map(due), [true, false, false, false, true, true]);
        assert!(told.due(Cap::Metrics, Duration::from_millis(2001)), "each for itself");
    }

    #[test]
    fn tokens_are_words_and_differ() {
        let tokens: std::collections::HashSet<_> = Cap::ALL.iter().map(|cap| cap.token()).collect();
        assert_eq!(tokens.len(), Cap::COUNT);
        assert!(tokens.iter().all(|t| t.chars().all(|c| c.is_ascii_lowercase() || c == '_')), "{tokens:?}");
    }
}
