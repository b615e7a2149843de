//! The Proxy-Wasm contract as data: enums, wire codecs, the one table of hostcalls and the one table of callbacks.
//!
//! This crate knows neither a host nor a guest. Everything in it follows the specification of ABI 0.2.1
//! (`abi-versions/v0.2.1`) with the legacy calls of 0.1.0; where the specification and the hosts in the field differ,
//! the item says so.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod callbacks;
pub mod hostcalls;
pub mod pairs;
pub mod path;
mod types;
mod version;
pub mod wasi;

pub use types::{Action, BufferType, LogLevel, MapType, MetricType, PeerType, Status, StreamType};
pub use version::AbiVersion;
