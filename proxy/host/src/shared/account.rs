//! What each filter keeps in the shared state and how often it met its caps, by its name: it outlives a reload.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;

use crate::caps::Cap;

/// One filter's.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Bytes of shared data.
    pub(crate) data: Used,
    /// Queues.
    pub(crate) queues: Used,
    /// Items in queues.
    pub(crate) items: Used,
    /// Bytes of those, and of names of queues.
    pub(crate) queue_bytes: Used,
    /// Metrics.
    pub(crate) metrics: Used,
    hits: [AtomicU64; Cap::COUNT],
}

impl Account {
    /// Counts one more meeting of a cap; says how many there were.
    pub(crate) fn hit(&self, cap: Cap) -> u64 {
        self.hits[cap as usize].fetch_add(1, Ordering::Relaxed) + 1
    }

    /// How often a cap was met.
    pub(crate) fn hits(&self, cap: Cap) -> u64 {
        self.hits[cap as usize].load(Ordering::Relaxed)
    }
}

/// An amount that is only changed under the lock of what it counts.
#[derive(Debug, Default)]
pub(crate) struct Used(AtomicUsize);

impl Used {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, amount: usize) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, amount: usize) {
        self.0.fetch_sub(amount, Ordering::Relaxed);
    }
}

/// Every filter's account. One is kept as long as the filter is loaded, or something that it stored is there.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    inner: Mutex<HashMap<Box<str>, Weak<Account>>>,
}

impl Accounts {
    /// The account of a filter.
    pub(crate) fn of(&self, filter: &str) -> Arc<Account> {
        let mut inner = self.inner.lock();
        if let Some(account) = inner.get(filter).and_then(Weak::upgrade) {
            return account;
        }
        inner.retain(|_, account| account.strong_count() > 0);
        let account = Arc::new(Account::default());
        inner.insert(filter.into(), Arc::downgrade(&account));
        account
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_of_a_name_and_goes_with_its_last_holder() {
        let accounts = Accounts::default();
        let first = accounts.of("a");
        assert_eq!((first.hit(Cap::Queues), first.hit(Cap::Queues), first.hits(Cap::Memory)), (1, 2, 0));
        assert_eq!((accounts.of("a").hits(Cap::Queues), accounts.of("b").hits(Cap::Queues)), (2, 0));
        drop(first);
        assert_eq!(accounts.of("a").hits(Cap::Queues), 0);
        assert_eq!(accounts.inner.lock().len(), 1, "those that nobody holds are forgotten");
    }
}
