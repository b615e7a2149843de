//! One proxy of the two, as much as the comparison needs of it: an address, a barrier, the log of its guests.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::{
    plan::{Filter, Silent, World},
    seen::Messages,
};

/// A barrier: a proxy with one worker that has answered here has treated all that came before.
#[derive(Clone)]
pub struct Sync {
    pub address: SocketAddr,
    pub path: &'static str,
}

impl Sync {
    /// Several times: what came together with the first one may have been treated after it, and a request that waits
    /// for a connection to its upstream goes on meanwhile.
    pub fn wait(&self) {
        for _ in 0..4 {
            let mut stream = TcpStream::connect(self.address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            write!(stream, "GET {} HTTP/1.1\r\nHost: sync\r\nConnection: close\r\n\r\n", self.path).unwrap();
            let answer = Messages::new(stream).next(false);
            assert!(answer.as_ref().is_some_and(|a| a.status() == 204), "{answer:?}");
        }
    }
}

/// What a proxy is started with.
pub struct Setup<'a> {
    pub filters: &'a [Filter],
    pub upstream: SocketAddr,
    pub world: World,
    /// What filters may call, by name.
    pub clusters: Vec<(&'static str, SocketAddr)>,
}

/// A running proxy.
pub trait Side: Sized {
    /// How an exchange says that this one keeps it.
    const SILENT: Silent;

    fn start(setup: &Setup<'_>) -> Self;
    fn address(&self) -> SocketAddr;
    fn sync(&self) -> Sync;
    fn alive(&mut self) -> bool;
    /// All that guests have logged so far, as `<filter> <level> <text>`.
    fn guest_log(&self) -> Vec<String>;
    /// The value of a metric that a filter defined, for an operator; `None` where there is no such page.
    fn metric(&self, name: &str) -> Option<String>;
    /// The proxy's own log.
    fn log(&self) -> String;
}
