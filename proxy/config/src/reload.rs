//! `reload:`: how changes of files are picked up, and what becomes of what served before.

use crate::{
    declare::{choice, section},
    plan::{self, AfterDrain},
    scalar::{FilePath, Int},
    shape::List,
    units::{HOUR, SECOND, Time},
};

section! {
    /// How changes of files are picked up
    Reload {
        /// Watch the configuration, the modules, certificates, keys and secrets.
        watch: bool = "true",
        /// Quiet time before a change is taken up.
        debounce: Time<0, HOUR> = "100ms",
        /// How often files are looked at where the system tells nothing of changes, as on network file systems.
        poll: Time<10, HOUR> = "2s",
        /// How long an old generation may serve its last requests.
        drain: Time<0, { 24 * HOUR }> = "30s",
        /// What becomes of requests that are left then.
        after_drain: AfterDrain = "finish",
        /// Earlier versions of each filter that can be brought back.
        keep: Int<0, 100> = "5",
        /// When a filter that was just replaced goes back by itself.
        rollback: Rollback = "{}",
        /// Files with written exchanges: all of them have to come out as they say before a new configuration serves.
        probe: List<FilePath> = "[]",
    }
}

section! {
    /// When a filter that was just replaced goes back by itself
    Rollback {
        /// So many crashes and overruns within `window` of the swap are the least that brings the version before it back;
        /// 0 never does.
        crashes: Int<0, 1_000_000> = "0",
        /// Of the requests since the swap, so many in a hundred must have met one.
        percent: Int<1, 100> = "1",
        /// How long after a swap a filter is watched.
        window: Time<SECOND, { 24 * HOUR }> = "60s",
    }
}

choice!(AfterDrain {
    "finish" => AfterDrain::Finish, "They go on to their end.";
    "cut" => AfterDrain::Cut, "They are cut off.";
});

impl Reload {
    pub(crate) fn plan(self) -> plan::Reload {
        plan::Reload {
            watch: self.watch,
            debounce: self.debounce.0,
            poll: self.poll.0,
            drain: self.drain.0,
            after_drain: self.after_drain,
            keep: usize::try_from(self.keep.0).unwrap_or(usize::MAX),
            rollback: plan::Rollback {
                crashes: self.rollback.crashes.0,
                percent: u32::try_from(self.rollback.percent.0).unwrap_or(100),
                window: self.rollback.window.0,
            },
            probe: self.probe.0.into_iter().map(|file| file.0).collect(),
        }
    }
}
