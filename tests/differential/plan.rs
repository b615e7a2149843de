//! What is played: chains of filters, each with the exchanges that go through it.

pub use crate::exchange::{Exchange, Reply, Silent};
use crate::harness::{fixture, go_fixture, root};

/// One filter, described so that both proxies can be given the same.
#[derive(Clone)]
pub struct Filter {
    pub name: &'static str,
    pub guest: String,
    pub module: String,
    pub config: String,
    pub vm_config: String,
    pub env: Vec<(&'static str, &'static str)>,
}

impl Filter {
    /// A guest by the name of its fixture; Go's begin with `go-`.
    pub fn new(name: &'static str, guest: &str) -> Self {
        let module = root().join(format!(".build/fixtures/{guest}.wasm")).display().to_string();
        Self { name, guest: guest.to_owned(), module, config: String::new(), vm_config: String::new(), env: Vec::new() }
    }

    /// Fails with the command that builds the guest, if it is not there.
    pub fn require(&self) {
        match self.guest.strip_prefix("go-") {
            Some(guest) => go_fixture(guest),
            None => fixture(&self.guest),
        };
    }

    /// Whether it needs Go, on a machine that has said that it has none.
    pub fn skipped(&self) -> bool {
        self.guest.starts_with("go-") && std::env::var_os("SLUICE_WITHOUT_GO").is_some()
    }

    pub fn config(mut self, text: impl Into<String>) -> Self {
        self.config = text.into();
        self
    }

    pub fn vm_config(mut self, text: &str) -> Self {
        self.vm_config = text.to_owned();
        self
    }

    pub fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.env.push((name, value));
        self
    }
}

/// One configuration of both proxies and all that is sent through it.
pub struct Chain {
    pub group: &'static str,
    pub name: String,
    pub filters: Vec<Filter>,
    pub exchanges: Vec<Exchange>,
    /// Both must refuse to start; what the guests said meanwhile is compared.
    pub refused: bool,
    pub world: World,
}

/// What stands around the proxy, where it is not plain HTTP/1.1 with an origin.
#[derive(Clone, Copy, Default)]
pub struct World {
    pub http2_clients: bool,
    pub http2_upstream: bool,
    /// Filters may call the clusters of `services.rs`.
    pub callouts: bool,
    /// Guests act by themselves, so what they say before the first request belongs to it.
    pub alive: bool,
}

impl Chain {
    pub fn new(group: &'static str, name: impl Into<String>, filters: Vec<Filter>, exchanges: Vec<Exchange>) -> Self {
        Self { group, name: name.into(), filters, exchanges, refused: false, world: World::default() }
    }

    pub fn refused(group: &'static str, name: impl Into<String>, filters: Vec<Filter>) -> Self {
        Self { group, name: name.into(), filters, exchanges: Vec::new(), refused: true, world: World::default() }
    }

    pub fn world(mut self, world: World) -> Self {
        self.world = world;
        self
    }
}
