//! `clock`: wall time and ticks.

use std::time::Duration;

use sluice_abi::Status;

use crate::state::{Outgoing, State};

pub(crate) fn proxy_get_current_time_nanoseconds(state: &mut State) -> Result<u64, Status> {
    Ok(u64::try_from(state.services.outside.wall_clock().as_nanos()).unwrap_or(u64::MAX))
}

pub(crate) fn proxy_set_tick_period_milliseconds(state: &mut State, period: u32) -> Result<(), Status> {
    let Some(root) = state.effective_root() else { return Ok(()) };
    root.tick_period = period;
    root.ticks_set = root.ticks_set.wrapping_add(1);
    let (root, set) = (root.id, root.ticks_set);
    if period > 0 {
        let period = Duration::from_millis(period.into());
        state.outgoing.push(Outgoing::Tick { root, set, period });
    }
    Ok(())
}
