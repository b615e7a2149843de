//! What is fuzzed: functions from any bytes to nothing, which panic when something does not hold.
//!
//! `tools/fuzz.sh` lets libFuzzer choose the bytes; `tests/random.rs` draws some by chance, and plays again what once
//! went wrong.

#![allow(clippy::expect_used, clippy::panic, reason = "a test")]

mod codecs;
mod exchange;
mod flow;
mod module;
mod smith;
mod world;

pub use codecs::{codecs, config};
pub use exchange::exchange;
pub use module::{module, modules_so_far};
