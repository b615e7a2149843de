//! Shared queues: found by `vm_id` and name, used by number.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::errands::Address;

/// Most queues, and most items and bytes in one.
const MAX_QUEUES: usize = 1024;
const MAX_ITEMS: usize = 10_000;
const MAX_BYTES: usize = 16 << 20;

/// Every queue.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    names: HashMap<(Box<[u8]>, Box<[u8]>), u32>,
    queues: Vec<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Bytes>,
    bytes: usize,
    registrant: Option<Registrant>,
}

/// The root that is told of new items: the last that registered.
#[derive(Debug, Clone)]
pub(crate) struct Registrant {
    pub(crate) address: Address,
    pub(crate) root: u32,
}

impl Inner {
    /// Numbers begin at 1: 0 means none to guests.
    fn queue(&mut self, id: u32) -> Option<&mut Queue> {
        self.queues.get_mut((id as usize).checked_sub(1)?)
    }
}

impl Queues {
    /// Names the root that is told of new items; the last one that registers is.
    pub(crate) fn registered(&self, id: u32, registrant: Registrant) {
        if let Some(queue) = self.inner.lock().queue(id) {
            queue.registrant = Some(registrant);
        }
    }

    /// Who is told of new items.
    pub(crate) fn registrant(&self, id: u32) -> Option<Registrant> {
        self.inner.lock().queue(id)?.registrant.clone()
    }

    /// The queue's number, made now if it is new; `None` when there are too many.
    pub(crate) fn register(&self, vm_id: &str, name: &[u8]) -> Option<u32> {
        let mut inner = self.inner.lock();
        let key = (vm_id.as_bytes().into(), name.into());
        if let Some(id) = inner.names.get(&key) {
            return Some(*id);
        }
        if inner.queues.len() >= MAX_QUEUES {
            return None;
        }
        inner.queues.push(Queue::default());
        let id = u32::try_from(inner.queues.len()).ok()?;
        inner.names.insert(key, id);
        Some(id)
    }

    /// The number of a queue that somebody registered.
    pub(crate) fn resolve(&self, vm_id: &[u8], name: &[u8]) -> Option<u32> {
        self.inner.lock().names.get(&(vm_id.into(), name.into())).copied()
    }

    /// Adds an item: `None` for an unknown queue, `Some(false)` for a full one.
    pub(crate) fn push(&self, id: u32, value: &[u8]) -> Option<bool> {
        let mut inner = self.inner.lock();
        let queue = inner.queue(id)?;
        if queue.items.len() >= MAX_ITEMS || queue.bytes + value.len() > MAX_BYTES {
            return Some(false);
        }
        queue.bytes += value.len();
        queue.items.push_back(Bytes::copy_from_slice(value));
        Some(true)
    }

    /// Takes the oldest item: `None` for an unknown queue, `Some(None)` for an empty one.
    pub(crate) fn pop(&self, id: u32) -> Option<Option<Bytes>> {
        let mut inner = self.inner.lock();
        let queue = inner.queue(id)?;
        let item = queue.items.pop_front();
        queue.bytes -= item.as_ref().map_or(0, Bytes::len);
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registering_twice_keeps_number_and_data() {
        let queues = Queues::default();
        let id = queues.register("vm", b"q").expect("room");
        assert_eq!(queues.push(id, b"a"), Some(true));
        assert_eq!(queues.register("vm", b"q"), Some(id));
        assert_eq!(queues.resolve(b"vm", b"q"), Some(id));
        assert_eq!(queues.resolve(b"", b"q"), None);
        assert_eq!(queues.pop(id), Some(Some(Bytes::from_static(b"a"))));
        assert_eq!(queues.pop(id), Some(None));
        assert_eq!(queues.pop(0), None);
        assert_eq!(queues.push(id + 1, b"a"), None);
    }

    #[test]
    fn a_full_queue_says_so() {
        let queues = Queues::default();
        let id = queues.register("", b"q").expect("room");
        assert!((0..MAX_ITEMS).all(|_| queues.push(id, b"x") == Some(true)));
        assert_eq!(queues.push(id, b"x"), Some(false));
    }
}
