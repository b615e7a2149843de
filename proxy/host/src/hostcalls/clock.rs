//! `clock`: wall time and ticks.

use sluice_abi::Status;

use crate::state::State;

pub(crate) fn proxy_get_current_time_nanoseconds(state: &mut State) -> Result<u64, Status> {
    Ok(u64::try_from(state.services.outside.wall_clock().as_nanos()).unwrap_or(u64::MAX))
}

pub(crate) fn proxy_set_tick_period_milliseconds(state: &mut State, period: u32) -> Result<(), Status> {
    if let Some(root) = state.effective_root() {
        root.tick_period = period;
    }
    Ok(())
}
