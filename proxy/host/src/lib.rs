//! Proxy-Wasm semantics without I/O: filters, chains and exchanges for any embedder.
//!
//! The host knows no socket, no clock, no runtime and no proxy. An embedder gives it an [`Outside`], its own header
//! types through [`RequestFields`] and [`ResponseFields`], and drives an [`Exchange`]: it says what came in and reads
//! what to do next as a [`Step`].
//!
//! Three ideas: hostcalls never wait (they record what the filter asks for); the exchange is a state machine without
//! I/O; the message is lent to the guest for one callback, never shared.

mod answered;
mod blueprint;
mod body;
mod callbacks;
mod callout;
mod calls;
mod caps;
mod chain;
mod envoy;
mod errands;
mod error;
mod exchange;
mod filter;
mod foreign;
mod gate;
mod guest;
mod head;
mod head_size;
mod health;
mod host;
mod hostcalls;
mod image;
mod inbox;
mod linker;
mod log_rate;
mod memory;
mod message;
mod meter;
mod outside;
mod parts;
mod place;
mod plain;
mod pool;
mod share;
mod shared;
mod state;
mod step;
mod thread;
mod trace;
mod usage;
mod wasi;

pub use body::Body;
pub use callout::{
    Answer, Callout, CalloutOutcome, CalloutResponse, Done, FieldList, GrpcCall, GrpcEvent, GrpcEvents, GrpcSink,
};
pub use caps::{Cap, CapReport, Caps, SharedCaps};
pub use chain::{Chain, Link};
pub use error::{HostError, LoadError};
pub use exchange::{Exchange, Outcome, Ran, Visit, Visits};
pub use filter::{Exports, Filter, FilterSpec, Grants, Isolation};
pub use head::{
    Fields, Head, InvalidHeader, RequestFields, RequestHead, ResponseFields, ResponseHead, Sent, TrailersHead,
};
pub use health::Quarantine;
pub use host::{Host, HostOptions};
pub use hostcalls::FOREIGN;
pub use inbox::{Event, Inbox};
pub use message::{Direction, ExchangeFacts, Message, RouteFacts, TlsFacts};
pub use outside::{CrashReport, Job, LogLine, Outside, SlowReport};
pub use parts::{RequestParts, ResponseParts};
pub use plain::is_obeyed;
pub use shared::{LastError, MetricSample, Total};
pub use step::{Fault, Phase, Reply, Step, Token};
pub use trace::{Note, TracePlace};
pub use usage::{PhaseUsage, Usage};

pub use sluice_abi::{
    AbiVersion, LogLevel, MetricType, PeerType,
    callbacks::ALLOCATORS,
    hostcalls::{EMSCRIPTEN, Hostcall},
    wasi as wasi_names,
};
pub use sluice_engine::{
    Cache, CacheError, Code, CodeError, Crash, CrashKind, Digest, EngineOptions, Facts, Import, ImportKind,
};
