//! Where an exchange stands in a trace, and what its filters add to their spans.
//!
//! The host only carries numbers: what a trace is, and who reads it, is the embedder's business.

use std::time::Duration;

/// Most that a filter may add to the span of one callback.
pub(crate) const MAX_NOTES: usize = 32;
/// Longest value of them that is kept, bytes.
pub(crate) const MAX_NOTE: usize = 1024;

/// Where an exchange stands in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TracePlace {
    /// The trace.
    pub trace: u128,
    /// The span of the exchange.
    pub span: u64,
    /// Somebody will read it.
    pub sampled: bool,
    /// Which visit is under way, where visits are written down.
    pub(crate) visit: Option<u32>,
}

impl TracePlace {
    /// The place of an exchange.
    pub fn new(trace: u128, span: u64, sampled: bool) -> Self {
        Self { trace, span, sampled, visit: None }
    }

    /// The span that is under way: that of the visit, or else that of the exchange.
    pub fn current(&self) -> u64 {
        self.visit.map_or(self.span, |visit| self.of_visit(visit))
    }

    /// The span of a visit: known before it ends, and to everybody who knows the exchange's. Mixed as in SplitMix64, so that
    /// ids of different exchanges meet as rarely as random ones do.
    pub fn of_visit(&self, number: u32) -> u64 {
        let mut id = self.span.wrapping_add(u64::from(number).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        id = (id ^ (id >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        id = (id ^ (id >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // Zero is no span.
        (id ^ (id >> 31)).max(1)
    }
}

/// What a filter added to the span of its callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A name and a value.
    Attribute(String, String),
    /// Something happened at this time since 1970-01-01 UTC.
    Event(String, Duration),
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_visit_has_its_own_span() {
        let place = TracePlace::new(1, 2, true);
        let ids: BTreeSet<_> = (0..1000).map(|number| place.of_visit(number)).collect();
        assert_eq!(ids.len(), 1000);
        assert!(!ids.contains(&0) && !ids.contains(&2));
        assert_eq!(place.current(), 2);
        assert_eq!(TracePlace { visit: Some(3), ..place }.current(), place.of_visit(3));
    }
}
