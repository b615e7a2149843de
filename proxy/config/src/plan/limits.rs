//! What a filter, and what the proxy itself, may cost and keep.

use std::{path::PathBuf, time::Duration};

/// Limits and sizes of the proxy itself (`server:`).
#[derive(Debug, Clone)]
pub struct Server {
    /// Worker threads; 0 in the file means one for each core and is resolved by the server.
    pub workers: usize,
    /// Idle client connections are closed after this (default 60s).
    pub keepalive: Duration,
    /// Most bytes of request headers; more is answered 431 (default 64KiB).
    pub max_header_bytes: usize,
    /// Most request header fields; more is answered 431 (default 128).
    pub max_headers: usize,
    /// How long a stop waits for requests in flight (default 10s).
    pub shutdown_grace: Duration,
    /// How long a client may take to send its next bytes (default 30s).
    pub read_timeout: Duration,
    /// Sizes of guests that are fixed when the process starts.
    pub guests: Guests,
    /// Room for what all filters keep together, fixed when the process starts.
    pub shared: Shared,
    /// Where compiled modules are kept; `None` when the file says `cache: off`.
    pub cache: Option<Cache>,
}

/// Where compiled modules are kept between starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// A folder; `None` is the user's folder for such things.
    pub path: Option<PathBuf>,
    /// The key that they are sealed with; `None` is a file in the folder.
    pub key: Option<PathBuf>,
    /// Most bytes of all of them (default 1GiB).
    pub max: u64,
}

/// Sizes of guests that are fixed when the process starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guests {
    /// Most guests of all filters alive at one time (default 512).
    pub max: u32,
    /// Stack of a guest, bytes (default 512KiB).
    pub stack: usize,
}

/// Room for what all filters keep together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shared {
    /// Bytes of shared data (default 64MiB).
    pub data: usize,
    /// Shared queues (default 1024).
    pub queues: usize,
    /// Bytes of items in queues and of their names (default 64MiB).
    pub queue_bytes: usize,
    /// Metrics (default 4096).
    pub metrics: usize,
}

/// Budgets and caps of one filter; all are enforced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// CPU time of one callback (default 10ms).
    pub cpu_per_call: Duration,
    /// CPU time of all callbacks of one exchange (default 50ms).
    pub cpu_per_request: Duration,
    /// CPU time of start and configure together (default 1s).
    pub cpu_start: Duration,
    /// CPU time a second of all its guests together; `None` sets no limit.
    pub cpu_share: Option<Duration>,
    /// A callback that takes more CPU time is told of (default: half of `cpu_per_call`).
    pub cpu_warn: Duration,
    /// Linear memory of one guest, bytes (default 64MiB).
    pub memory: usize,
    /// Linear memory of all guests together, bytes; 0, the default, is no ceiling.
    pub memory_total: usize,
    /// Elements of one table (default 100,000).
    pub table_elements: usize,
    /// Bytes of a body that may be held for this filter in one direction (default 1MiB).
    pub body_buffer: usize,
    /// Bytes of names and values that a head may be made to grow to (default 256KiB).
    pub header_bytes: usize,
    /// Fields of the same (default 1024).
    pub header_fields: usize,
    /// Log lines of one callback (default 1000).
    pub log_lines: usize,
    /// Bytes of log lines of one callback (default 256KiB).
    pub log_bytes: usize,
    /// Log lines a second of all its guests (default 1000).
    pub log_rate: usize,
    /// Log lines at once, ahead of that rate (default 5000).
    pub log_burst: usize,
    /// Callouts of one guest under way (default 1024).
    pub callouts_in_flight: usize,
    /// Bytes of shared data (default 16MiB).
    pub shared_data: usize,
    /// Shared queues (default 64).
    pub queues: usize,
    /// Items in shared queues (default 10,000).
    pub queue_items: usize,
    /// Bytes of those and of the names of queues (default 16MiB).
    pub queue_bytes: usize,
    /// Metrics (default 1024).
    pub metrics: usize,
}
