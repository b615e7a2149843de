//! Names of the contract that `inspect` reads beside the hostcall table, and a word for each callback.
//!
//! A test holds the words here against the table of the contract itself.

use sluice_host::wasi_names;

pub(crate) use sluice_host::{ALLOCATORS, EMSCRIPTEN};

/// Whether this import is a function of WASI preview 1.
pub(crate) fn is_wasi(module: &str, name: &str) -> bool {
    wasi_names::MODULES.contains(&module) && wasi_names::FUNCTIONS.contains(&name)
}

/// A callback that a module exports.
#[derive(Clone, Copy)]
pub(crate) struct Callback {
    /// The export.
    pub(crate) name: &'static str,
    /// To which part of a filter's life it belongs.
    pub(crate) group: &'static str,
    /// What the filter learns by it.
    pub(crate) sees: &'static str,
}

/// Every callback in the order in which a filter meets it.
#[rustfmt::skip] // One line each, so that it reads as the table it is.
const CALLBACKS: &[(&str, &str, &str)] = &[
    ("start", "proxy_on_vm_start", "start"),
    ("start", "proxy_on_configure", "configuration"),
    ("http", "proxy_on_request_headers", "request headers"),
    ("http", "proxy_on_request_body", "request body"),
    ("http", "proxy_on_request_trailers", "request trailers"),
    ("http", "proxy_on_response_headers", "response headers"),
    ("http", "proxy_on_response_body", "response body"),
    ("http", "proxy_on_response_trailers", "response trailers"),
    ("tcp", "proxy_on_new_connection", "new connection"),
    ("tcp", "proxy_on_downstream_data", "client data"),
    ("tcp", "proxy_on_downstream_connection_close", "client close"),
    ("tcp", "proxy_on_upstream_data", "server data"),
    ("tcp", "proxy_on_upstream_connection_close", "server close"),
    ("callouts", "proxy_on_http_call_response", "HTTP answer"),
    ("callouts", "proxy_on_grpc_receive_initial_metadata", "gRPC headers"),
    ("callouts", "proxy_on_grpc_receive", "gRPC message"),
    ("callouts", "proxy_on_grpc_receive_trailing_metadata", "gRPC trailers"),
    ("callouts", "proxy_on_grpc_close", "gRPC end"),
    ("root", "proxy_on_tick", "timer"),
    ("root", "proxy_on_queue_ready", "queue"),
    ("root", "proxy_on_foreign_function", "foreign call"),
    ("contexts", "proxy_on_context_create", "begin"),
    ("contexts", "proxy_on_done", "done"),
    ("contexts", "proxy_on_log", "log"),
    ("contexts", "proxy_on_delete", "end"),
];

/// Those callbacks that stand among these exports.
pub(crate) fn callbacks(exports: &[String]) -> Vec<Callback> {
    CALLBACKS
        .iter()
        .filter(|(_, name, _)| exports.iter().any(|export| export == name))
        .map(|&(group, name, sees)| Callback { name, group, sees })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_callback_of_the_contract_has_its_words() {
        let here: BTreeSet<&str> = CALLBACKS.iter().map(|(_, name, _)| *name).collect();
        let contract: BTreeSet<&str> = sluice_abi::callbacks::CALLBACKS.iter().copied().collect();
        assert_eq!(here, contract);
        assert_eq!(here.len(), CALLBACKS.len(), "one of them stands here twice");
    }
}
