//! What the benchmarks share: a proxy, a backend and a load as they are in real life, and figures with their spread.
//!
//! Two things that share a machine are only ever compared by rounds that take turns. A figure comes with the least and
//! the most of its rounds, so that a noisy neighbour shows.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a benchmark that cannot go on ends there, and nobody depends on it"
)]

mod backend;
mod figures;
mod guest;
mod load;
mod machine;
mod process;
mod proxy;
mod report;

pub use self::{
    backend::Backend,
    figures::{Figures, ratio},
    guest::{Hello, Version},
    load::{Load, Mark, Style, Tally},
    machine::machine,
    process::{Memory, Process},
    proxy::Proxy,
    report::Report,
};

use std::path::{Path, PathBuf};

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}
