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

/// Ends a root that asked for time in its `proxy_on_done`; there is nothing to end for anybody else.
pub(crate) fn proxy_done(state: &mut State) -> Result<(), Status> {
    let root = state.effective_root().filter(|root| root.ending).ok_or(Status::NotFound)?;
    root.ending = false;
    let id = root.id;
    state.done.push(id);
    Ok(())
}
