//! What every test uses: a proxy process, an origin that records, a client that controls each byte.

mod client;
mod collector;
mod grpc;
mod origin;
mod proxy;
mod rotel;
pub mod wire;

pub use client::Client;
pub use collector::{Collector, attribute, text, value};
pub use grpc::GrpcServer;
pub use origin::{Origin, Reply};
pub use proxy::{Proxy, chain_yaml, fixture, go_fixture, root};
pub use rotel::Rotel;
pub use wire::{Framing, Message};
