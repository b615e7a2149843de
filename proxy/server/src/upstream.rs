//! Upstreams: which endpoint is next, and how Pingora reaches it.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::RwLock;
use pingora_core::{
    protocols::tls::CaType,
    upstreams::peer::{HttpPeer, PeerOptions},
    utils::tls::WrappedX509,
};
use sluice_config::plan::{self, Balance, UpstreamHttp};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Streams in one upstream HTTP/2 connection; Pingora's own default is one.
const H2_STREAMS: usize = 100;
/// Pings keep an idle HTTP/2 connection from being forgotten on the way.
const H2_PING: Duration = Duration::from_secs(30);

/// One upstream.
pub(crate) struct Upstream {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

pub(crate) enum Kind {
    /// The embedded echo.
    Echo,
    /// Real servers.
    Servers(Box<Servers>),
}

/// Endpoints in the order in which they take turns.
pub(crate) struct Servers {
    endpoints: Vec<Endpoint>,
    /// Indices into `endpoints`: each as often as its weight says, spread evenly.
    turns: Vec<usize>,
    next: AtomicUsize,
    balance: Balance,
    options: PeerOptions,
    tls: bool,
    group: u64,
}

struct Endpoint {
    host: String,
    port: u16,
    sni: String,
    /// What the host's name meant when it was last looked up.
    addresses: RwLock<Vec<SocketAddr>>,
}

/// Why an upstream cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    #[error("the CA file {path}: {error}")]
    Ca { path: String, error: String },
}

impl Upstream {
    /// Looks up names and reads the CA file. `number` tells upstreams apart in the connection pool.
    pub(crate) fn build(plan: &plan::Upstream, number: u64) -> Result<Self, UpstreamError> {
        let kind = match &plan.kind {
            plan::UpstreamKind::Echo => Kind::Echo,
            plan::UpstreamKind::Servers(servers) => Kind::Servers(Box::new(Servers::build(servers, number)?)),
        };
        Ok(Self { name: plan.name.clone(), kind })
    }
}

impl Servers {
    fn build(plan: &plan::Servers, number: u64) -> Result<Self, UpstreamError> {
        let endpoints = plan.endpoints.iter().map(|e| Endpoint::build(e, plan)).collect();
        let weights: Vec<u32> = plan.endpoints.iter().map(|e| e.weight).collect();
        Ok(Self {
            turns: turns(&weights),
            endpoints,
            next: AtomicUsize::new(0),
            balance: plan.balance,
            options: options(plan)?,
            tls: plan.tls.is_some(),
            group: number,
        })
    }

    /// How many endpoints there are.
    pub(crate) fn len(&self) -> usize {
        self.endpoints.len()
    }

    /// The next endpoint, ready for Pingora. `None` when its name means nothing now.
    pub(crate) fn peer(&self) -> Option<Box<HttpPeer>> {
        let turn = match self.balance {
            Balance::RoundRobin => self.next.fetch_add(1, Ordering::Relaxed),
            Balance::Random => crate::outside::random_usize(),
        };
        let endpoint = self.endpoints.get(*self.turns.get(turn % self.turns.len().max(1))?)?;
        let address = *endpoint.addresses.read().first()?;
        let mut peer = HttpPeer::new(address, self.tls, endpoint.sni.clone());
        peer.options = self.options.clone();
        // Pingora's pool does not tell connections with different CAs apart by itself.
        peer.group_key = self.group;
        Some(Box::new(peer))
    }

    /// Looks every name up again; a name that cannot be resolved keeps its last addresses.
    pub(crate) fn resolve_again(&self) {
        for endpoint in &self.endpoints {
            if endpoint.host.parse::<std::net::IpAddr>().is_ok() {
                continue;
            }
            match (endpoint.host.as_str(), endpoint.port).to_socket_addrs() {
                Ok(found) => {
                    let found: Vec<_> = found.collect();
                    if !found.is_empty() && *endpoint.addresses.read() != found {
                        tracing::info!(host = %endpoint.host, addresses = ?found, "the name has new addresses");
                        *endpoint.addresses.write() = found;
                    }
                }
                Err(error) => {
                    tracing::warn!(host = %endpoint.host, %error, "the name cannot be looked up; its last addresses stay")
                }
            }
        }
    }
}

impl Endpoint {
    fn build(plan: &plan::Endpoint, servers: &plan::Servers) -> Self {
        // A name that means nothing now may mean something soon: it is asked for again, and answers 502 until then.
        let addresses = (plan.host.as_str(), plan.port).to_socket_addrs().map(Iterator::collect).unwrap_or_else(|error| {
            tracing::warn!(host = %plan.host, %error, "the name of an upstream cannot be looked up; it is tried again");
            Vec::new()
        });
        // An empty name would switch verification off in Pingora, so the host stands in for a name that is not given.
        let sni =
            servers.tls.as_ref().map_or_else(String::new, |tls| tls.sni.clone().unwrap_or_else(|| plan.host.clone()));
        Self { host: plan.host.clone(), port: plan.port, sni, addresses: RwLock::new(addresses) }
    }
}

fn options(plan: &plan::Servers) -> Result<PeerOptions, UpstreamError> {
    let mut o = PeerOptions::new();
    // Every wait is bounded: all of these are unlimited when they are not set.
    o.connection_timeout = Some(plan.timeouts.connect);
    o.total_connection_timeout = Some(plan.timeouts.connect);
    o.read_timeout = Some(plan.timeouts.read);
    o.write_timeout = Some(plan.timeouts.write);
    o.idle_timeout = Some(plan.timeouts.idle);
    o.max_h2_streams = H2_STREAMS;
    o.h2_ping_interval = Some(H2_PING);
    match (plan.http, plan.tls.is_some()) {
        (UpstreamHttp::H1, _) | (UpstreamHttp::Auto, false) => o.set_http_version(1, 1),
        (UpstreamHttp::H2, _) => o.set_http_version(2, 2),
        (UpstreamHttp::Auto, true) => o.set_http_version(2, 1),
    }
    if let Some(tls) = &plan.tls {
        o.verify_cert = tls.verify;
        o.verify_hostname = tls.verify;
        if let Some(path) = &tls.ca {
            let fail = |error: String| UpstreamError::Ca { path: path.display().to_string(), error };
            let pem = std::fs::read(path).map_err(|e| fail(e.to_string()))?;
            let certificates: Vec<_> = pem_certificates(&pem).map_err(fail)?;
            o.ca = Some(Arc::from(certificates.into_boxed_slice()) as Arc<CaType>);
        }
    }
    Ok(o)
}

fn pem_certificates(pem: &[u8]) -> Result<Vec<WrappedX509>, String> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .map(|c| c.map_err(|e| e.to_string()))
        .map(|c| c.and_then(|der| wrapped(der.to_vec())))
        .collect::<Result<_, _>>()?;
    if found.is_empty() { Err("holds no certificate in PEM form".to_owned()) } else { Ok(found) }
}

fn wrapped(der: Vec<u8>) -> Result<WrappedX509, String> {
    WrappedX509::try_new(der, |raw| X509Certificate::from_der(raw).map(|(_, certificate)| certificate))
        .map_err(|e| format!("a certificate in it cannot be read: {e}"))
}

/// Round robin by weight: endpoint `i` takes `weights[i]` turns, spread as evenly as the classic smooth scheme does.
fn turns(weights: &[u32]) -> Vec<usize> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let weights: Vec<i64> = weights.iter().map(|w| i64::from(w / divisor)).collect();
    let total: i64 = weights.iter().sum();
    let mut credit = vec![0i64; weights.len()];
    (0..total)
        .filter_map(|_| {
            credit.iter_mut().zip(&weights).for_each(|(c, w)| *c += w);
            let best = (0..credit.len()).rev().max_by_key(|i| credit[*i])?;
            credit[best] -= total;
            Some(best)
        })
        .collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_follow_the_weights_and_are_spread() {
        assert_eq!(turns(&[1]), [0]);
        assert_eq!(turns(&[1, 1]), [0, 1]);
        assert_eq!(turns(&[10, 20]), turns(&[1, 2]));
        let turns = turns(&[5, 1, 1]);
        assert_eq!(turns.len(), 7);
        assert_eq!(turns.iter().filter(|i| **i == 0).count(), 5);
        assert!(!turns.windows(4).any(|w| w.iter().all(|i| *i == 0)), "{turns:?}");
    }
}
