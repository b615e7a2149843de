//! How changes of files are picked up, and what becomes of what served before.

use std::{path::PathBuf, time::Duration};

/// How changes are picked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reload {
    /// Watch the files.
    pub watch: bool,
    /// Quiet time before a change is taken up.
    pub debounce: Duration,
    /// How often files are looked at where the system tells nothing of changes.
    pub poll: Duration,
    /// How long an old generation may serve its last requests.
    pub drain: Duration,
    /// What becomes of exchanges that are left then.
    pub after_drain: AfterDrain,
    /// Earlier versions of each filter that can be brought back.
    pub keep: usize,
    /// When a filter that was just replaced goes back by itself.
    pub rollback: Rollback,
    /// Files with exchanges that have to come out as written before a new configuration serves.
    pub probe: Vec<PathBuf>,
}

/// What becomes of exchanges that an old generation still serves when its time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AfterDrain {
    /// They go on to their end.
    #[default]
    Finish,
    /// They are cut off.
    Cut,
}

/// When a new version of a filter goes back by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rollback {
    /// So many crashes and overruns within `window` after the swap are the least; 0 never goes back.
    pub crashes: u64,
    /// Of the exchanges since the swap so many in a hundred must have met one.
    pub percent: u32,
    /// How long after a swap a filter is watched.
    pub window: Duration,
}
