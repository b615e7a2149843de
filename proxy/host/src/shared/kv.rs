//! Shared data: values by `vm_id` and key, changed by compare-and-swap.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use parking_lot::RwLock;

use super::Account;
use crate::caps::{Bound, Cap, Full};

/// What an entry costs beside its bytes, or so.
const ENTRY: usize = 64;

/// Why a value was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The compare-and-swap number is not the current one.
    Mismatch,
    /// There is no room.
    Full(Full),
}

/// Every namespace.
#[derive(Debug)]
pub(crate) struct SharedData {
    inner: RwLock<Inner>,
    /// Most bytes of all namespaces together.
    max: usize,
}

#[derive(Debug, Default)]
struct Inner {
    spaces: HashMap<Box<str>, HashMap<Box<[u8]>, Entry>>,
    cas: u32,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    value: Bytes,
    cas: u32,
    /// Who stored it and answers for its room.
    owner: Arc<Account>,
}

impl SharedData {
    pub(crate) fn new(max: usize) -> Self {
        Self { inner: RwLock::default(), max }
    }

    /// The value and its compare-and-swap number, which is never 0.
    pub(crate) fn get(&self, vm_id: &str, key: &[u8]) -> Option<(Bytes, u32)> {
        let inner = self.inner.read();
        let entry = inner.spaces.get(vm_id)?.get(key)?;
        Some((entry.value.clone(), entry.cas))
    }

    /// Stores a value on the account of `owner`, who may keep `cap` bytes. `cas` 0 stores in any case, as does any
    /// number when the key is not there.
    pub(crate) fn set(
        &self,
        vm_id: &str,
        key: &[u8],
        value: &[u8],
        cas: u32,
        owner: &Arc<Account>,
        cap: usize,
    ) -> Result<(), Refused> {
        let mut inner = self.inner.write();
        let inner = &mut *inner;
        let old = inner.spaces.get(vm_id).and_then(|s| s.get(key));
        if cas != 0 && old.is_some_and(|old| old.cas != cas) {
            return Err(Refused::Mismatch);
        }
        let cost = |value: &[u8]| ENTRY + key.len() + value.len();
        let before = old.map_or(0, |old| cost(&old.value));
        let given_back = if old.is_some_and(|old| Arc::ptr_eq(&old.owner, owner)) { before } else { 0 };
        let more = cost(value);
        // Whoever is above a cap that was lowered may still store less.
        if more > given_back && owner.data.get() - given_back + more > cap {
            return Err(Refused::Full(Full(Cap::SharedData, Bound::Own, cap)));
        }
        let bytes = inner.bytes - before + more;
        if bytes > self.max {
            return Err(Refused::Full(Full(Cap::SharedData, Bound::Shared, self.max)));
        }
        if let Some(old) = old {
            old.owner.data.subtract(before);
        }
        owner.data.add(more);
        inner.bytes = bytes;
        inner.cas = inner.cas.checked_add(1).unwrap_or(1);
        let entry = Entry { value: Bytes::copy_from_slice(value), cas: inner.cas, owner: owner.clone() };
        inner.spaces.entry(vm_id.into()).or_default().insert(key.into(), entry);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAP: usize = 1000;

    #[test]
    fn compare_and_swap_follows_the_specification() {
        let data = SharedData::new(CAP);
        let owner = Arc::default();
        let set = |value: &[u8], cas| data.set("vm", b"k", value, cas, &owner, CAP);
        assert_eq!(data.get("vm", b"k"), None);
        assert_eq!(set(b"1", 77), Ok(()), "a missing key takes any number");
        let (value, cas) = data.get("vm", b"k").expect("stored");
        assert_eq!((&value[..], cas != 0), (&b"1"[..], true));
        assert_eq!(set(b"2", cas + 1), Err(Refused::Mismatch));
        assert_eq!(set(b"2", cas), Ok(()));
        assert_eq!(set(b"", 0), Ok(()), "0 stores in any case");
        assert_eq!(data.get("vm", b"k").expect("an empty value is one").0, "");
        assert_eq!(data.get("other", b"k"), None);
    }

    #[test]
    fn each_filter_has_its_room_and_all_have_one_together() {
        let data = SharedData::new(2 * CAP - 1);
        let (a, b) = (Arc::default(), Arc::default());
        let full = |bound, limit| Err(Refused::Full(Full(Cap::SharedData, bound, limit)));
        let big = vec![0; CAP - ENTRY - 1];
        assert_eq!(data.set("", b"k", &big, 0, &a, CAP), Ok(()), "exactly the cap");
        assert_eq!(data.set("", b"x", b"", 0, &a, CAP), full(Bound::Own, CAP), "one above");
        assert_eq!(data.set("", b"y", &big, 0, &b, CAP), full(Bound::Shared, 2 * CAP - 1));
        assert_eq!(data.set("", b"y", &big[1..], 0, &b, CAP), Ok(()), "another filter still stores");
        assert_eq!(data.set("", b"k", b"", 0, &a, 0), Ok(()), "less than before goes under a lowered cap too");
        assert_eq!(data.set("", b"x", b"", 0, &a, CAP), Ok(()));
        assert_eq!((a.data.get(), b.data.get()), (2 * (ENTRY + 1), CAP - 1));
        assert_eq!(data.set("", b"k", b"taken over", 0, &b, 2 * CAP), Ok(()), "who replaces a value answers for it");
        assert_eq!((a.data.get(), b.data.get()), (ENTRY + 1, CAP - 1 + ENTRY + 11));
    }
}
