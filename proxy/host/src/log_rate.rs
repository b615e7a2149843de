//! How many log lines a filter may write in a second, all its guests together.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// When the lines up to now would all have been written, one by one at the rate: nanoseconds of the embedder's clock.
#[derive(Debug, Default)]
pub(crate) struct LogRate(AtomicU64);

impl LogRate {
    /// Takes one more line at this time, unless more than `burst` would be ahead of `rate` lines a second.
    pub(crate) fn takes(&self, rate: usize, burst: usize, now: Duration) -> bool {
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let each = nanoseconds(Duration::from_secs(1)) / rate.max(1) as u64;
        let now = nanoseconds(now);
        let latest = now.saturating_add(each.saturating_mul(burst as u64));
        let next = |written: u64| Some(written.max(now).saturating_add(each)).filter(|next| *next <= latest);
        self.0.fetch_update(Relaxed, Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_at_once_and_then_as_many_as_the_time_brings() {
        let rate = LogRate::default();
        let taken = |ms, lines| {
            let now = Duration::from_millis(ms);
            (0..lines).filter(|_| rate.takes(10, 3, now)).count()
        };
        assert_eq!([taken(5000, 9), taken(5000, 9)], [3, 0]);
        assert_eq!([taken(5099, 9), taken(5100, 9), taken(5150, 9), taken(5300, 9)], [0, 1, 0, 2]);
        assert_eq!(taken(60_000, 9), 3, "time that nothing was written in is not saved up");
    }
}
