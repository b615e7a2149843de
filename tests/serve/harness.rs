//! What every test uses: a proxy process, an origin that records, a client that controls each byte.

mod client;
mod grpc;
mod origin;
mod proxy;
pub mod wire;

pub use client::Client;
pub use grpc::GrpcServer;
pub use origin::{Origin, Reply};
pub use proxy::{Proxy, chain_yaml, fixture, go_fixture, root};
pub use wire::{Framing, Message};
