//! The differences that are meant to be: each has a name, a reason, and takes away itself and nothing else.

use crate::compare::Case;

/// One known difference.
pub struct Known {
    pub name: &'static str,
    pub reason: &'static str,
    /// Makes both records equal where they differ in exactly this way.
    pub level: fn(&mut Case<'_>),
}

/// All of them; docs/host-differences.md has a row for each.
pub const KNOWN: &[Known] = &[];
