//! Small numbers for threads, by which those that run filters keep out of each other's way.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of the running thread, in the order in which threads first count something.
#[inline]
pub(crate) fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! { static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed); }
    NUMBER.with(|n| *n)
}

/// The number of the running thread among those that serve exchanges, in the order in which they first did. Threads that
/// build filters have none, so each worker has a guest of its own however often filters are built.
#[inline]
pub(crate) fn worker_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! { static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed); }
    NUMBER.with(|n| *n)
}
