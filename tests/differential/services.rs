//! What filters call: a service that answers, one that refuses connections, and one that never says anything.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use rustix::{
    fd::OwnedFd,
    net::{AddressFamily, SocketType, bind, getsockname, socket},
};

use crate::origin::Origin;

pub struct Services {
    pub answering: Origin,
    refusing: (OwnedFd, SocketAddr),
    silent: TcpListener,
}

impl Services {
    pub fn start() -> Self {
        // Bound, so that nobody else gets the port, but nobody listens.
        let bound = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&bound, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = getsockname(&bound).unwrap().try_into().unwrap();
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { answering: Origin::start(false), refusing: (bound, address), silent }
    }

    /// By the names that the exchanges use; `nowhere` is in no configuration.
    pub fn clusters(&self) -> Vec<(&'static str, SocketAddr)> {
        vec![
            ("auth", self.answering.address),
            ("refused", self.refusing.1),
            ("silent", self.silent.local_addr().unwrap()),
        ]
    }
}
