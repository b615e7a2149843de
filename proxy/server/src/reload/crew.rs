//! Threads that build filters: beside the workers, as many as there are cores, and behind everybody else in the queue for
//! the processor.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use rustix::{process::setpriority_process, thread::gettid};

/// Of 0 to 19: a tenth of a core when requests want all of it, and all of a core when they do not.
const NICE: i32 = 10;

/// Has modules compiled by threads that come after those that serve. For the whole process, before anything is compiled.
pub(crate) fn compile_behind() {
    let pool = rayon::ThreadPoolBuilder::new().thread_name(|n| format!("sluice-compile-{n}"));
    // It is there already when one process serves twice, as tests do.
    let _ = pool.start_handler(|_| step_back()).build_global();
}

/// The running thread comes after those that serve.
pub(crate) fn step_back() {
    let _ = setpriority_process(Some(gettid()), NICE);
}

/// Does `work` for each item on threads of its own; the results come in the order of the items.
///
/// # Panics
/// When `work` does.
pub(crate) fn each<T: Sync, R: Send + Sync>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let most = thread::available_parallelism().map_or(1, usize::from);
    if items.len() < 2 || most < 2 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let results: Vec<OnceLock<R>> = items.iter().map(|_| OnceLock::new()).collect();
    thread::scope(|scope| {
        for _ in 0..most.min(items.len()) {
            scope.spawn(|| {
                step_back();
                while let Some((item, result)) = {
                    let at = next.fetch_add(1, Relaxed);
                    items.get(at).zip(results.get(at))
                } {
                    let _ = result.set(work(item));
                }
            });
        }
    });
    results.into_iter().filter_map(OnceLock::into_inner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_where_their_items_do() {
        let items: Vec<usize> = (0..100).collect();
        assert_eq!(each(&items, |n| n * n), items.iter().map(|n| n * n).collect::<Vec<_>>());
        assert_eq!(each(&items[..1], |n| n + 1), [1]);
        assert!(each(&items[..0], |n| n + 1).is_empty());
    }
}
