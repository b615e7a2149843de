//! A small number for each thread, by which threads that run filters keep out of each other's way.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of the running thread, in the order in which threads first run a filter.
#[inline]
pub(crate) fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! { static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed); }
    NUMBER.with(|n| *n)
}
