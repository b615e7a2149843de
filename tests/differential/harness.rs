//! The parts of the harness of tests/serve that are used here: the proxy process, and messages as they come over the wire.

#[path = "../serve/harness/client.rs"]
mod client;
#[path = "../serve/harness/proxy.rs"]
mod proxy;
#[path = "../serve/harness/wire.rs"]
pub mod wire;

pub use client::Client;
pub use proxy::{Proxy, fixture, go_fixture, root};
