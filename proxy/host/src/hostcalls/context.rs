//! `context`: which context hostcalls act on, and when a root is done.

use sluice_abi::Status;

use crate::state::State;

pub(crate) fn proxy_set_effective_context(state: &mut State, context: u32) -> Result<(), Status> {
    if !state.contexts.contains_key(&context) {
        return Err(Status::BadArgument);
    }
    state.effective = context;
    Ok(())
}

pub(crate) fn proxy_done(state: &mut State) -> Result<(), Status> {
    let _ = state;
    // No root waits for this call: old guests end when their last exchange does.
    Err(Status::NotFound)
}
