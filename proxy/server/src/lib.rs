//! The Pingora embedder: listeners, routing, upstreams and answers around the host's exchanges.
//!
//! The only crate that names Pingora. [`run`] serves a configuration, [`check`] loads it without serving.

mod access_log;
mod admin;
mod answer;
mod build;
mod callout;
mod cause;
mod certificates;
mod check;
mod context;
mod dial;
mod echo;
mod endpoint;
mod framing;
mod grants;
mod grpc;
mod heads;
mod held;
mod hop;
mod instead;
mod limits;
mod lines;
mod listen;
mod live;
mod load;
mod logging;
mod normalize;
mod outside;
mod precompile;
mod probe;
mod proxy;
mod pump;
mod relay;
mod relay_response;
mod reload;
mod request;
mod request_body;
mod response;
mod route;
mod serve;
mod site;
mod spec;
mod tcp;
mod tls_facts;
mod upstream;
mod upstream_times;
mod watch;

pub use admin::{Call, address as admin_address, ask};
pub use check::{CheckReport, CheckedFilter, check};
pub use load::{FilterProblem, RunError};
pub use precompile::{Precompiled, precompile};
pub use probe::{Differs, Probe, ProbeFailure};
pub use serve::run;
