//! What went wrong last with a filter, for whoever looks later than it was logged.

use std::time::Duration;

use sluice_engine::Digest;

use crate::{Phase, Token, plain::escape};

/// Longest message that is kept, characters.
const MOST: usize = 1000;

/// What went wrong last with a filter.
#[derive(Debug, Clone)]
pub struct LastError {
    /// When: time since 1970-01-01 UTC.
    pub at: Duration,
    /// With which version.
    pub digest: Digest,
    /// In which callback, where it was in one.
    pub phase: Option<Phase>,
    /// What it was.
    pub kind: Token,
    /// One line, at most 1000 characters, with nothing in it that a terminal obeys.
    pub message: String,
}

impl LastError {
    pub(crate) fn new(at: Duration, digest: Digest, phase: Option<Phase>, kind: Token, message: &str) -> Self {
        let message = escape(message.as_bytes()).chars().take(MOST).collect();
        Self { at, digest, phase, kind, message }
    }
}
