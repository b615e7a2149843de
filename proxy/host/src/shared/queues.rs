//! Shared queues: found by `vm_id` and name, used by number.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::Account;
use crate::{
    caps::{Bound, Cap, Caps, Full, SharedCaps},
    errands::Address,
};

/// Every queue.
#[derive(Debug)]
pub(crate) struct Queues {
    inner: Mutex<Inner>,
    shared: SharedCaps,
}

#[derive(Debug, Default)]
struct Inner {
    names: HashMap<(Box<[u8]>, Box<[u8]>), u32>,
    queues: Vec<Queue>,
    /// Of items and of names.
    bytes: usize,
}

#[derive(Debug, Default)]
struct Queue {
    /// The namespace that it belongs to.
    vm_id: Box<[u8]>,
    /// Each with who put it in and answers for its room.
    items: VecDeque<(Bytes, Arc<Account>)>,
    /// Items of which no guest has begun to hear.
    untold: usize,
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

    /// Takes room for bytes of `owner`.
    fn take(&mut self, bytes: usize, owner: &Account, cap: usize, shared: usize) -> Result<(), Full> {
        if owner.queue_bytes.get() + bytes > cap {
            return Err(Full(Cap::QueueBytes, Bound::Own, cap));
        }
        if self.bytes + bytes > shared {
            return Err(Full(Cap::QueueBytes, Bound::Shared, shared));
        }
        self.bytes += bytes;
        owner.queue_bytes.add(bytes);
        Ok(())
    }
}

impl Queues {
    pub(crate) fn new(shared: SharedCaps) -> Self {
        Self { inner: Mutex::default(), shared }
    }

    /// Names the root that is told of new items; the last one that registers is. Says how many items wait that nobody
    /// will be told of, because the guest that was registered before is gone.
    pub(crate) fn registered(&self, id: u32, registrant: Registrant) -> usize {
        let mut inner = self.inner.lock();
        let Some(queue) = inner.queue(id) else { return 0 };
        let before = queue.registrant.replace(registrant.clone());
        if before.is_some_and(|before| before.address.is_gone(&registrant.address)) {
            queue.untold.min(queue.items.len())
        } else {
            0
        }
    }

    /// A guest is told of an item now. If it dies of that, it is not told again: the item may be what kills it.
    pub(crate) fn told(&self, id: u32) {
        if let Some(queue) = self.inner.lock().queue(id) {
            queue.untold = queue.untold.saturating_sub(1);
        }
    }

    /// Who is told of new items.
    pub(crate) fn registrant(&self, id: u32) -> Option<Registrant> {
        self.inner.lock().queue(id)?.registrant.clone()
    }

    /// The queue's number, made now on the account of `owner` if it is new.
    pub(crate) fn register(&self, vm_id: &str, name: &[u8], owner: &Account, caps: &Caps) -> Result<u32, Full> {
        let mut inner = self.inner.lock();
        let key = (vm_id.as_bytes().into(), name.into());
        if let Some(id) = inner.names.get(&key) {
            return Ok(*id);
        }
        let shared = Full(Cap::Queues, Bound::Shared, self.shared.queues);
        if owner.queues.get() >= caps.queues {
            return Err(Full(Cap::Queues, Bound::Own, caps.queues));
        }
        if inner.queues.len() >= self.shared.queues {
            return Err(shared);
        }
        let id = u32::try_from(inner.queues.len() + 1).map_err(|_| shared)?;
        inner.take(name.len(), owner, caps.queue_bytes, self.shared.queue_bytes)?;
        inner.queues.push(Queue { vm_id: vm_id.as_bytes().into(), ..Queue::default() });
        inner.names.insert(key, id);
        owner.queues.add(1);
        Ok(id)
    }

    /// The number of a queue that somebody registered.
    pub(crate) fn resolve(&self, vm_id: &[u8], name: &[u8]) -> Option<u32> {
        self.inner.lock().names.get(&(vm_id.into(), name.into())).copied()
    }

    /// Adds an item on the account of `owner`; `None` for a queue that is unknown or in a namespace that is not granted:
    /// a number is easily guessed.
    pub(crate) fn push(
        &self,
        id: u32,
        value: &[u8],
        owner: &Arc<Account>,
        caps: &Caps,
        granted: impl Fn(&[u8]) -> bool,
    ) -> Option<Result<(), Full>> {
        let mut inner = self.inner.lock();
        inner.queue(id).filter(|queue| granted(&queue.vm_id))?;
        if owner.items.get() >= caps.queue_items {
            return Some(Err(Full(Cap::QueueItems, Bound::Own, caps.queue_items)));
        }
        if let Err(full) = inner.take(value.len(), owner, caps.queue_bytes, self.shared.queue_bytes) {
            return Some(Err(full));
        }
        owner.items.add(1);
        let queue = inner.queue(id)?;
        queue.items.push_back((Bytes::copy_from_slice(value), owner.clone()));
        queue.untold += 1;
        Some(Ok(()))
    }

    /// Takes the oldest item: `None` for a queue that is unknown or not granted, `Some(None)` for an empty one.
    pub(crate) fn pop(&self, id: u32, granted: impl Fn(&[u8]) -> bool) -> Option<Option<Bytes>> {
        let mut inner = self.inner.lock();
        let queue = inner.queue(id).filter(|queue| granted(&queue.vm_id))?;
        let Some((item, owner)) = queue.items.pop_front() else { return Some(None) };
        owner.items.subtract(1);
        owner.queue_bytes.subtract(item.len());
        inner.bytes -= item.len();
        Some(Some(item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(_: &[u8]) -> bool {
        true
    }

    #[test]
    fn registering_twice_keeps_number_and_data() {
        let queues = Queues::new(SharedCaps::default());
        let (owner, caps) = (Arc::default(), Caps::default());
        let id = queues.register("vm", b"q", &owner, &caps).expect("room");
        assert_eq!(queues.push(id, b"a", &owner, &caps, any), Some(Ok(())));
        assert_eq!(queues.register("vm", b"q", &owner, &caps), Ok(id));
        assert_eq!(queues.resolve(b"vm", b"q"), Some(id));
        assert_eq!(queues.resolve(b"", b"q"), None);
        assert_eq!(queues.pop(id, any), Some(Some(Bytes::from_static(b"a"))));
        assert_eq!(queues.pop(id, any), Some(None));
        assert_eq!(queues.pop(0, any), None);
        assert_eq!(queues.push(id + 1, b"a", &owner, &caps, any), None);
    }

    #[test]
    fn a_filter_that_fills_its_room_leaves_that_of_others() {
        let queues = Queues::new(SharedCaps { queues: 3, queue_bytes: 12, ..SharedCaps::default() });
        let (a, b) = (Arc::default(), Arc::default());
        let caps = Caps { queues: 2, queue_items: 3, queue_bytes: 8, ..Caps::default() };
        let q = queues.register("", b"q", &a, &caps).expect("room");
        assert_eq!(queues.register("", b"", &a, &caps), Ok(q + 1));
        assert_eq!(queues.register("", b"r", &a, &caps), Err(Full(Cap::Queues, Bound::Own, 2)));
        assert_eq!(queues.register("", b"r", &b, &caps), Ok(q + 2));
        assert_eq!(queues.register("", b"s", &b, &caps), Err(Full(Cap::Queues, Bound::Shared, 3)));
        // Items of both in one queue: each has its own number and bytes.
        assert!((0..3).all(|_| queues.push(q, b"", &a, &caps, any) == Some(Ok(()))));
        assert_eq!(queues.push(q, b"", &a, &caps, any), Some(Err(Full(Cap::QueueItems, Bound::Own, 3))));
        assert_eq!(queues.push(q, b"12345678", &b, &caps, any), Some(Err(Full(Cap::QueueBytes, Bound::Own, 8))));
        assert_eq!(queues.push(q, b"1234567", &b, &caps, any), Some(Ok(())));
        assert_eq!(queues.pop(q, any), Some(Some(Bytes::new())), "room for an item of the first again");
        assert_eq!(queues.push(q, b"1234", &a, &caps, any), Some(Err(Full(Cap::QueueBytes, Bound::Shared, 12))));
        assert_eq!(queues.push(q, b"123", &a, &caps, any), Some(Ok(())));
        while queues.pop(q, any).flatten().is_some() {}
        assert_eq!((a.items.get(), a.queue_bytes.get(), b.items.get(), b.queue_bytes.get()), (0, 1, 0, 1));
    }
}
