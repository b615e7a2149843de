//! The admin listener: what serves and what it costs, for people and for tools, and what can be asked for.
//!
//! It runs on a thread and a runtime of its own, so that workers which are busy cannot keep it from answering. It reads
//! what the thread that swaps has published, and never waits for that thread, save where it asks it for something.

mod answer;
mod client;
mod config;
mod counts;
mod door;
mod drain;
mod explain;
mod guard;
mod levels;
mod orders;
mod pages;
mod requests;
mod routes;
mod status;
mod stream;
mod upstreams;
mod view;
mod words;

use std::{net::TcpListener, path::Path, sync::Arc};

use sluice_config::plan;

pub(crate) use self::{status::Status, view::View};
pub use client::{Call, address, ask};

use crate::{
    load::RunError,
    serve::{no_thread, spawn},
};

/// Begins to answer; `/ready` says no until everything serves.
///
/// # Errors
/// [`RunError::Setup`] when the address cannot be listened on.
pub(crate) fn start(listener: &plan::Admin, file: &Path, status: Arc<Status>) -> Result<(), RunError> {
    let socket = TcpListener::bind(listener.address).and_then(|socket| {
        socket.set_nonblocking(true)?;
        Ok((socket.local_addr()?, socket))
    });
    let (address, socket) = socket.map_err(|e| RunError::address(file, listener.at, listener.address, &e))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| no_thread(file, &e))?;
    spawn(file, "sluice-admin", move || {
        if let Err(error) = runtime.block_on(door::serve(socket, status)) {
            tracing::error!("the admin listener has ended: {error}");
        }
    })?;
    tracing::info!("admin on http://{address}");
    if !address.ip().is_loopback() {
        tracing::warn!(
            "`admin.address` is not on loopback: whoever reaches {address} can bring filters back and disable them"
        );
    }
    Ok(())
}
