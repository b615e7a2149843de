//! What each filter keeps in the shared state, how often it met its caps, and what its versions did and cost, by its name:
//! it outlives a reload.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;

use super::LastError;
use crate::{Cap, Usage, meter::Meter};

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
    versions: Mutex<Versions>,
    last_error: Mutex<Option<LastError>>,
}

/// Counts of all versions of a filter.
#[derive(Debug, Default)]
struct Versions {
    /// Of those that still can count.
    living: Vec<Arc<Meter>>,
    /// Of those that are gone, together.
    gone: Usage,
}

impl Versions {
    /// Who is the last to hold a meter here takes its last counts over.
    fn settle(&mut self) {
        for meter in std::mem::take(&mut self.living) {
            match Arc::try_unwrap(meter) {
                Ok(meter) => self.gone.add(meter.usage()),
                Err(meter) => self.living.push(meter),
            }
        }
    }
}

/// What a filter did and cost since the process began.
#[derive(Debug, Clone)]
pub struct Total {
    /// Its name in the configuration.
    pub filter: Box<str>,
    /// Counts of all its versions.
    pub usage: Usage,
    /// How often it met each cap.
    pub capped: Vec<(Cap, u64)>,
}

impl Account {
    /// Counts one more meeting of a cap; says how many there were.
    pub(crate) fn hit(&self, cap: Cap) -> u64 {
        self.hits[cap as usize].fetch_add(1, Ordering::Relaxed) + 1
    }

    /// There is a version more.
    pub(crate) fn opened(&self, meter: Arc<Meter>) {
        let mut versions = self.versions.lock();
        versions.settle();
        versions.living.push(meter);
    }

    /// Keeps what went wrong now in the place of what did before.
    pub(crate) fn went_wrong(&self, error: LastError) {
        *self.last_error.lock() = Some(error);
    }

    pub(crate) fn last_error(&self) -> Option<LastError> {
        self.last_error.lock().clone()
    }

    fn usage(&self) -> Usage {
        let mut versions = self.versions.lock();
        versions.settle();
        let mut sum = versions.gone.clone();
        versions.living.iter().for_each(|meter| sum.add(meter.usage()));
        sum
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

/// Names with an account, beyond which those are forgotten that nothing has any more: no version of such a filter, and
/// nothing that it stored.
const KEPT: usize = 1024;

/// Every filter's account.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    inner: Mutex<HashMap<Box<str>, Arc<Account>>>,
}

impl Accounts {
    /// The account of a filter.
    pub(crate) fn of(&self, filter: &str) -> Arc<Account> {
        let mut inner = self.inner.lock();
        if inner.len() >= KEPT && !inner.contains_key(filter) {
            inner.retain(|_, account| Arc::strong_count(account) > 1);
        }
        inner.entry(filter.into()).or_default().clone()
    }

    /// Everything that filters did, sorted by name.
    pub(crate) fn totals(&self) -> Vec<Total> {
        let accounts: Vec<_> =
            self.inner.lock().iter().map(|(name, account)| (name.clone(), account.clone())).collect();
        let total = |(filter, account): (Box<str>, Arc<Account>)| {
            let hits = Cap::ALL.iter().map(|cap| (*cap, account.hits(*cap))).filter(|(_, hits)| *hits > 0);
            Total { filter, usage: account.usage(), capped: hits.collect() }
        };
        let mut totals: Vec<_> = accounts.into_iter().map(total).collect();
        totals.sort_by(|a, b| a.filter.cmp(&b.filter));
        totals
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sluice_engine::MemoryTotal;

    use super::*;
    use crate::{Outcome, Phase, Token};

    #[test]
    fn an_account_is_of_a_name_and_comes_back_with_it() {
        let accounts = Accounts::default();
        let first = accounts.of("a");
        assert_eq!((first.hit(Cap::Queues), first.hit(Cap::Queues), first.hits(Cap::Memory)), (1, 2, 0));
        assert_eq!((accounts.of("a").hits(Cap::Queues), accounts.of("b").hits(Cap::Queues)), (2, 0));
        drop(first);
        assert_eq!(accounts.of("a").hits(Cap::Queues), 2);
        let held = accounts.of("held");
        held.hit(Cap::Queues);
        for n in 0..10 * KEPT {
            accounts.of(&n.to_string());
            assert!(accounts.inner.lock().len() <= KEPT, "those that nobody holds are forgotten");
        }
        assert_eq!((accounts.of("held").hits(Cap::Queues), accounts.of("a").hits(Cap::Queues)), (1, 0));
    }

    #[test]
    fn counts_of_versions_never_go_back() {
        let (accounts, memory) = (Accounts::default(), Arc::new(MemoryTotal::new(usize::MAX)));
        let account = accounts.of("a");
        let version = || {
            let meter = Arc::new(Meter::new(None, memory.clone()));
            account.opened(meter.clone());
            meter
        };
        let count = |meter: &Meter| {
            meter.exchange();
            meter.ran(Phase::Log, Duration::from_micros(2), Outcome::Continued, || Duration::ZERO);
            meter.crashed(Token::Trap);
        };
        let mut old = version();
        for swaps in 1..=100_u64 {
            count(&old);
            let new = version();
            // It still has an exchange, and ends later.
            old.guest_begins();
            count(&old);
            old.guest_ends();
            old = new;
            let [total] = &accounts.totals()[..] else { panic!("one filter") };
            let (usage, phase) = (&total.usage, &total.usage.phases[0]);
            assert_eq!(
                (usage.exchanges, &usage.crashes, usage.guests),
                (2 * swaps, &vec![(Token::Trap, 2 * swaps)], 0)
            );
            assert_eq!((phase.calls(), &phase.outcomes), (2 * swaps, &vec![(Outcome::Continued, 2 * swaps)]));
            assert_eq!(phase.cpu, Duration::from_micros(4 * swaps));
        }
        assert_eq!(account.versions.lock().living.len(), 1);
    }
}
