//! The bodies of the hostcalls: plain Rust with no guest pointer in it, one file for each group of the table.
//!
//! A body takes the state and lifted arguments and returns lifted results or the status that the guest sees. It never
//! calls the guest: what it asks for (a reply, a resume, a close) is recorded and carried out when the callback is over.

mod buffers;
mod clock;
mod context;
mod foreign;
mod grpc_call;
mod headers;
mod http_call;
mod legacy;
mod log;
mod metrics;
mod properties;
mod queues;
mod shared_data;
mod stream;

pub use self::foreign::FOREIGN;
pub(crate) use self::log::write as write_log;
pub(crate) use self::{
    buffers::*, clock::*, context::*, foreign::*, grpc_call::*, headers::*, http_call::*, legacy::*, log::*,
    metrics::*, properties::*, queues::*, shared_data::*, stream::*,
};

use bytes::Bytes;
use sluice_abi::{LogLevel, Status, hostcalls::Hostcall};

use crate::{Phase, state::State};

/// A value on its way to the guest.
pub(crate) enum Value {
    /// Nothing: the guest sees a null pointer and length zero.
    Empty,
    /// What stands in the state's scratch buffer.
    Scratch,
    /// Bytes that need no copy on the host's side.
    Shared(Bytes),
}

/// Whether the guest may make this hostcall at this moment.
///
/// While a module starts and while its allocator runs there is no context to act on: only the calls that need none
/// are answered. A call that was not granted fails in a way that the SDKs survive where the ABI knows such a way.
#[inline]
pub(crate) fn allowed(state: &mut State, call: Hostcall) -> Result<(), Status> {
    state.hostcalls = state.hostcalls.wrapping_add(1);
    if state.identity.grants.hostcalls & call.bit() != 0 && state.phase != Phase::Instantiate && !state.allocating {
        return Ok(());
    }
    refuse(state, call)
}

#[cold]
fn refuse(state: &mut State, call: Hostcall) -> Result<(), Status> {
    let granted = state.identity.grants.hostcalls & call.bit() != 0;
    let early = matches!(call.group(), "log" | "clock") && call != Hostcall::proxy_set_tick_period_milliseconds;
    if granted && early {
        return Ok(());
    }
    if state.refused & call.bit() == 0 {
        state.refused |= call.bit();
        let why = if !granted {
            format!(
                "{0} was refused: the capability is not granted (capabilities.hostcalls of this filter)",
                call.name()
            )
        } else if state.allocating {
            format!("{} was refused: the allocator runs below another hostcall", call.name())
        } else {
            format!("{} was refused: the module is still starting and has no context", call.name())
        };
        log::write(state, LogLevel::Warn, why.as_bytes());
    }
    Err(survivable(call))
}

/// How a call fails that is not made: the SDKs end the guest on every status that they do not know of a call.
fn survivable(call: Hostcall) -> Status {
    use Hostcall as H;
    match call {
        H::proxy_get_header_map_value
        | H::proxy_get_buffer_bytes
        | H::proxy_get_property
        | H::proxy_get_shared_data
        | H::proxy_resolve_shared_queue
        | H::proxy_enqueue_shared_queue
        | H::proxy_dequeue_shared_queue
        | H::proxy_record_metric
        | H::proxy_increment_metric
        | H::proxy_get_metric
        | H::proxy_grpc_send
        | H::proxy_grpc_cancel
        | H::proxy_grpc_close => Status::NotFound,
        H::proxy_set_effective_context => Status::BadArgument,
        _ => Status::InternalFailure,
    }
}
