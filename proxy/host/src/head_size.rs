//! How large a head is, and whether a filter may make it so large.

use sluice_abi::pairs::Pairs;

use crate::{
    Cap, Caps, Head,
    caps::{Bound, Full},
};

/// Fields of a head and bytes of their names and values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    fields: usize,
    bytes: usize,
}

impl Size {
    pub(crate) const NOTHING: Self = Self { fields: 0, bytes: 0 };

    /// All of a head, and those of its pairs that do not stay.
    pub(crate) fn of(head: &dyn Head, stays: impl Fn(&[u8]) -> bool) -> (Self, Self) {
        let (mut all, mut goes) = (Self::NOTHING, Self::NOTHING);
        head.visit(&mut |name, value| {
            all = all.with(name, value);
            if !stays(name) {
                goes = goes.with(name, value);
            }
        });
        (all, goes)
    }

    pub(crate) fn sum(pairs: Pairs<'_>) -> Self {
        pairs.iter().fold(Self::NOTHING, |size, (name, value)| size.with(name, value))
    }

    pub(crate) fn with(self, name: &[u8], value: &[u8]) -> Self {
        Self { fields: self.fields + 1, bytes: self.bytes + name.len() + value.len() }
    }

    pub(crate) fn without(self, part: Self) -> Self {
        Self { fields: self.fields - part.fields, bytes: self.bytes - part.bytes }
    }

    /// Whether a head of this size may become one of that size. One that came too large may be made smaller.
    pub(crate) fn may_become(self, then: Self, caps: &Caps) -> Result<(), Full> {
        if then.fields > caps.header_fields && then.fields > self.fields {
            return Err(Full(Cap::HeaderFields, Bound::Own, caps.header_fields));
        }
        if then.bytes > caps.header_bytes && then.bytes > self.bytes {
            return Err(Full(Cap::HeaderBytes, Bound::Own, caps.header_bytes));
        }
        Ok(())
    }
}
