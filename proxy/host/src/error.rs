//! Why a filter could not be loaded, in sentences for the person who wrote the configuration.

use std::collections::BTreeSet;

use sluice_engine::{CodeError, Crash, EngineError};

use crate::Phase;

/// Why the host could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// No engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The hostcall table does not link; a mistake in this program.
    #[error("the hostcall table does not link: {0:#}")]
    Linker(wasmtime::Error),
}

/// Why a module is no filter, or a filter does not start. Each text completes the sentence "filter NAME: the module …".
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The bytes are no usable module.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// No marker of a known ABI version.
    #[error("{0}")]
    Abi(String),
    /// It imports what does not exist here.
    #[error("imports what this host does not have: {}", .0.join(", "))]
    MissingImports(Vec<String>),
    /// It imports what exists and is not granted.
    #[error("{}", ungranted(.hostcalls, .wasi))]
    Ungranted {
        /// Hostcalls (`capabilities.hostcalls`).
        hostcalls: BTreeSet<String>,
        /// Functions of WASI (`capabilities.wasi`).
        wasi: BTreeSet<String>,
    },
    /// It exports a callback with a type that the ABI does not know.
    #[error("exports {name} with the type {found}, the ABI says {wanted}")]
    CallbackType {
        /// The export.
        name: &'static str,
        /// Its type.
        found: String,
        /// The type of the ABI.
        wanted: String,
    },
    /// Neither `memory` nor an allocator.
    #[error("does not export {0}")]
    MissingExport(&'static str),
    /// The guest died while it started.
    #[error("failed in {}: {crash}{}", .phase.name(), said(.last_log))]
    Crash {
        /// Where.
        phase: Phase,
        /// How.
        crash: Box<Crash>,
        /// The last line it logged.
        last_log: String,
    },
    /// `proxy_on_vm_start` or `proxy_on_configure` returned false.
    #[error("refused its configuration (its {} returned false){}", callback(*.phase), said(.last_log))]
    Refused {
        /// Which of the two.
        phase: Phase,
        /// The last line it logged.
        last_log: String,
    },
}

fn ungranted(hostcalls: &BTreeSet<String>, wasi: &BTreeSet<String>) -> String {
    let list = |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let mut text = "imports what this filter is not granted:".to_owned();
    for (key, names) in [("hostcalls", hostcalls), ("wasi", wasi)] {
        if !names.is_empty() {
            text.push_str(&format!(" capabilities.{key}: {};", list(names)));
        }
    }
    text.push_str(
        " `sluice inspect --policy` prints all that the module needs, and with `capabilities.ungranted: refuse_call` it is \
         loaded and these calls fail",
    );
    text
}

fn callback(phase: Phase) -> &'static str {
    if phase == Phase::Start { "proxy_on_vm_start" } else { "proxy_on_configure" }
}

fn said(last_log: &str) -> String {
    if last_log.is_empty() { String::new() } else { format!("; it said: {last_log}") }
}
