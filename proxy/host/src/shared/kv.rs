//! Shared data: values by `vm_id` and key, changed by compare-and-swap.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::RwLock;

/// Most bytes of keys and values of all namespaces together.
const MAX_BYTES: usize = 64 << 20;

/// Why a value was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The compare-and-swap number is not the current one.
    Mismatch,
    /// [`MAX_BYTES`] are reached.
    Full,
}

/// Every namespace.
#[derive(Debug, Default)]
pub(crate) struct SharedData {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    spaces: HashMap<Box<str>, HashMap<Box<[u8]>, (Bytes, u32)>>,
    cas: u32,
    bytes: usize,
}

impl SharedData {
    /// The value and its compare-and-swap number, which is never 0.
    pub(crate) fn get(&self, vm_id: &str, key: &[u8]) -> Option<(Bytes, u32)> {
        self.inner.read().spaces.get(vm_id)?.get(key).cloned()
    }

    /// Stores a value. `cas` 0 stores in any case, as does any number when the key is not there.
    pub(crate) fn set(&self, vm_id: &str, key: &[u8], value: &[u8], cas: u32) -> Result<(), Refused> {
        let mut inner = self.inner.write();
        let inner = &mut *inner;
        let old = inner.spaces.get(vm_id).and_then(|s| s.get(key));
        if cas != 0 && old.is_some_and(|(_, now)| *now != cas) {
            return Err(Refused::Mismatch);
        }
        let before = old.map_or(0, |(value, _)| key.len() + value.len());
        let bytes = inner.bytes - before + key.len() + value.len();
        if bytes > MAX_BYTES {
            return Err(Refused::Full);
        }
        inner.bytes = bytes;
        inner.cas = inner.cas.checked_add(1).unwrap_or(1);
        let entry = (Bytes::copy_from_slice(value), inner.cas);
        inner.spaces.entry(vm_id.into()).or_default().insert(key.into(), entry);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compare_and_swap_follows_the_specification() {
        let data = SharedData::default();
        assert_eq!(data.get("vm", b"k"), None);
        assert_eq!(data.set("vm", b"k", b"1", 77), Ok(()), "a missing key takes any number");
        let (value, cas) = data.get("vm", b"k").expect("stored");
        assert_eq!((&value[..], cas != 0), (&b"1"[..], true));
        assert_eq!(data.set("vm", b"k", b"2", cas + 1), Err(Refused::Mismatch));
        assert_eq!(data.set("vm", b"k", b"2", cas), Ok(()));
        assert_eq!(data.set("vm", b"k", b"", 0), Ok(()), "0 stores in any case");
        assert_eq!(data.get("vm", b"k").expect("an empty value is one").0, "");
        assert_eq!(data.get("other", b"k"), None);
    }

    #[test]
    fn the_total_is_capped_and_replacing_gives_room_back() {
        let data = SharedData::default();
        let big = vec![0; MAX_BYTES - 1];
        assert_eq!(data.set("", b"k", &big, 0), Ok(()));
        assert_eq!(data.set("", b"x", b"y", 0), Err(Refused::Full));
        assert_eq!(data.set("", b"k", b"", 0), Ok(()));
        assert_eq!(data.set("", b"x", b"y", 0), Ok(()));
    }
}
