//! Addresses to listen on: claimed before Pingora binds them, so that a taken one is an error and port 0 is known.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    os::fd::OwnedFd,
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rustix::net::{AddressFamily, SocketType, bind, connect, getsockname, ipproto, socket, sockopt};

/// How long Pingora may take from start to listening.
const START: Duration = Duration::from_secs(20);

/// An address that nobody else can take while this exists. It is bound and not listening: with `SO_REUSEADDR` on
/// both sides the kernel lets Pingora bind the same address and listen.
pub(crate) struct Claim {
    pub(crate) address: SocketAddr,
    _socket: OwnedFd,
}

impl Claim {
    /// Claims an address; port 0 becomes a free one.
    pub(crate) fn new(address: SocketAddr) -> std::io::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let fd = socket(family, SocketType::STREAM, Some(ipproto::TCP))?;
        sockopt::set_socket_reuseaddr(&fd, true)?;
        bind(&fd, &address)?;
        let address = SocketAddr::try_from(getsockname(&fd)?)?;
        Ok(Self { address, _socket: fd })
    }

    /// Waits until somebody listens there; false when nobody does in time.
    pub(crate) fn wait(&self) -> bool {
        let began = Instant::now();
        let mut target = self.address;
        if target.ip().is_unspecified() {
            target.set_ip(if target.is_ipv4() {
                std::net::Ipv4Addr::LOCALHOST.into()
            } else {
                std::net::Ipv6Addr::LOCALHOST.into()
            });
        }
        while began.elapsed() < START {
            if probe(target).is_ok() {
                return true;
            }
            thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

/// Addresses from which this process tries whether somebody listens.
static PROBES: Mutex<BTreeSet<SocketAddr>> = Mutex::new(BTreeSet::new());

/// Connects once, from an address that [`is_probe`] knows, so that it is not taken for a client.
fn probe(target: SocketAddr) -> std::io::Result<()> {
    let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = socket(family, SocketType::STREAM, Some(ipproto::TCP))?;
    let mut own = target;
    own.set_port(0);
    bind(&fd, &own)?;
    PROBES.lock().insert(SocketAddr::try_from(getsockname(&fd)?)?);
    Ok(connect(&fd, &target)?)
}

/// Whether a connection is this process's own probe; each is asked about once.
pub(crate) fn is_probe(source: SocketAddr) -> bool {
    PROBES.lock().remove(&source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_claimed_address_can_be_listened_on_once() {
        let claim = Claim::new("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        assert_ne!(claim.address.port(), 0);
        let _listener = TcpListener::bind(claim.address).expect("the claim lets one listener in");
        assert!(claim.wait());
        let error = Claim::new(claim.address).err().expect("somebody listens there");
        assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    }
}
