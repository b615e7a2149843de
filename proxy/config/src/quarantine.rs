//! `quarantine:` of a filter: when one that crashes is taken out of service.

use crate::{
    declare::section,
    plan,
    scalar::Int,
    units::{HOUR, Time},
};

section! {
    /// When a filter that crashes is taken out of service
    Quarantine {
        /// So many crashes within `window` are the least that takes it out; 0 never does.
        crashes: Int<0, 10_000> = "10",
        /// Time in which crashes count together.
        window: Time<1, HOUR> = "30s",
        /// Of the exchanges in that time, so many in a hundred must have met a crash.
        percent: Int<1, 100> = "50",
        /// How long it stays out before an exchange is let in as a probe. Each failed probe doubles it.
        period: Time<1, HOUR> = "1s",
        /// The longest time between two probes.
        max_period: Time<1, HOUR> = "60s",
    }
}

impl Quarantine {
    pub(crate) fn plan(self) -> plan::Quarantine {
        plan::Quarantine {
            crashes: usize::try_from(self.crashes.0).unwrap_or(usize::MAX),
            window: self.window.0,
            percent: u32::try_from(self.percent.0).unwrap_or(100),
            period: self.period.0,
            max_period: self.max_period.0.max(self.period.0),
        }
    }
}
