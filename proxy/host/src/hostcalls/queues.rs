//! `queues`: queues that guests share by name.

use sluice_abi::{LogLevel, Status};

use super::Value;
use crate::{
    caps::Full,
    state::{Outgoing, State},
};

pub(crate) fn proxy_register_shared_queue(state: &mut State, name: &[u8]) -> Result<u32, Status> {
    if !state.identity.grants.shared_data(state.identity.vm_id.as_bytes()) {
        let why = b"proxy_register_shared_queue was refused: capabilities.shared_data does not name this vm_id";
        super::log::write(state, LogLevel::Warn, why);
        return Err(Status::InternalFailure);
    }
    let identity = &state.identity;
    let registered = state.services.queues.register(&identity.vm_id, name, &identity.account, &identity.caps);
    let queue = registered.map_err(|why| full(state, why))?;
    let root = state.effective_root().map_or(0, |r| r.id);
    state.registered.push((queue, root));
    state.announce();
    Ok(queue)
}

pub(crate) fn proxy_resolve_shared_queue(state: &mut State, vm_id: &[u8], name: &[u8]) -> Result<u32, Status> {
    let vm_id = if vm_id.is_empty() { state.identity.vm_id.as_bytes() } else { vm_id };
    if !state.identity.grants.shared_data(vm_id) {
        return Err(Status::NotFound);
    }
    state.services.queues.resolve(vm_id, name).ok_or(Status::NotFound)
}

pub(crate) fn proxy_enqueue_shared_queue(state: &mut State, queue: u32, value: &[u8]) -> Result<(), Status> {
    let identity = &state.identity;
    let granted = |vm_id: &[u8]| identity.grants.shared_data(vm_id);
    let pushed = state.services.queues.push(queue, value, &identity.account, &identity.caps, granted);
    pushed.ok_or(Status::NotFound)?.map_err(|why| full(state, why))?;
    state.outgoing.push(Outgoing::Queue(queue));
    Ok(())
}

pub(crate) fn proxy_dequeue_shared_queue(state: &mut State, queue: u32) -> Result<Value, Status> {
    let granted = |vm_id: &[u8]| state.identity.grants.shared_data(vm_id);
    let value = state.services.queues.pop(queue, granted).ok_or(Status::NotFound)?.ok_or(Status::Empty)?;
    Ok(if value.is_empty() { Value::Empty } else { Value::Shared(value) })
}

fn full(state: &mut State, why: Full) -> Status {
    state.capped(why);
    Status::InternalFailure
}
