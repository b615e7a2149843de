//! End-to-end tests: the real `sluice` binary over real sockets, with real guests and real origins.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking, and its helpers are for tests"
)]

mod harness;

mod access_log;
mod admin;
mod behind_head;
mod bodies;
mod callouts;
mod caps;
mod chain;
mod conf;
mod errors;
mod grpc;
mod guests;
mod headers;
mod health;
mod hop;
mod hostile;
mod http2;
mod kept;
mod large;
mod local;
mod logs;
mod misbehave;
mod new;
mod otlp;
mod peers;
mod process;
mod routing;
mod services;
mod swap;
mod tcp;
mod tls;
mod traces;
mod upgrade;
mod waf;
mod wild;
