//! Upstreams: which endpoint is next, and how Pingora reaches it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use quanta::Instant;
use sluice_config::plan::{self, Balance, UpstreamHttp};

use crate::{
    endpoint::{Endpoint, Settings},
    reload::Files,
    traffic::{Reached, Traffic},
};

/// One upstream.
pub(crate) struct Upstream {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// What was asked of it, counted; before a swap too.
    pub(crate) reached: Arc<Reached>,
}

pub(crate) enum Kind {
    /// The embedded echo.
    Echo,
    /// Real servers.
    Servers(Box<Servers>),
}

/// Endpoints in the order in which they take turns.
pub(crate) struct Servers {
    endpoints: Vec<Arc<Endpoint>>,
    /// Indices into `endpoints`: each as often as its weight says, spread evenly.
    turns: Vec<usize>,
    next: AtomicUsize,
    balance: Balance,
    http1: bool,
}

/// Why an upstream cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    #[error("the CA file {path}: {error}")]
    Ca { path: String, error: String },
}

impl Upstream {
    /// Looks up names and reads the CA file. `number` tells upstreams apart in the connection pool.
    pub(crate) fn build(
        plan: &plan::Upstream,
        number: u64,
        files: &Files,
        traffic: &Traffic,
    ) -> Result<Self, UpstreamError> {
        let reached = traffic.upstreams.of(&plan.name);
        let kind = match &plan.kind {
            plan::UpstreamKind::Echo => Kind::Echo,
            plan::UpstreamKind::Servers(servers) => {
                Kind::Servers(Box::new(Servers::build(servers, number, files, &reached)?))
            }
        };
        Ok(Self { name: plan.name.clone(), kind, reached })
    }

    /// Its servers; `None` for the echo.
    pub(crate) fn servers(&self) -> Option<&Servers> {
        match &self.kind {
            Kind::Servers(servers) => Some(servers),
            Kind::Echo => None,
        }
    }
}

impl Servers {
    fn build(plan: &plan::Servers, number: u64, files: &Files, reached: &Reached) -> Result<Self, UpstreamError> {
        let settings = Arc::new(Settings::build(plan, number, files)?);
        let endpoint = |e| Arc::new(Endpoint::build(e, plan, settings.clone(), reached));
        let endpoints = plan.endpoints.iter().map(endpoint).collect();
        let weights: Vec<u32> = plan.endpoints.iter().map(|e| e.weight).collect();
        // What TLS settles on is known behind its handshake only.
        let http1 = plan.http == UpstreamHttp::H1 || (plan.http == UpstreamHttp::Auto && plan.tls.is_none());
        Ok(Self { turns: turns(&weights), endpoints, next: AtomicUsize::new(0), balance: plan.balance, http1 })
    }

    /// Whether all of them are spoken to in HTTP/1.1.
    pub(crate) fn speak_http1(&self) -> bool {
        self.http1
    }

    /// How many endpoints there are.
    pub(crate) fn len(&self) -> usize {
        self.endpoints.len()
    }

    /// All of them, in the order of the configuration.
    pub(crate) fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// The endpoint whose turn it is, and its address. Those that are passed over, and the one that was tried already, come
    /// only where there is no other; `None` when no name means anything now.
    #[inline]
    pub(crate) fn next(&self, now: Instant, tried: Option<SocketAddr>) -> Option<(&Arc<Endpoint>, SocketAddr)> {
        let turn = match self.balance {
            Balance::RoundRobin => self.next.fetch_add(1, Ordering::Relaxed),
            Balance::Random => crate::outside::random_usize(),
        };
        let turn = turn % self.turns.len().max(1);
        match self.at(turn) {
            Some((endpoint, address)) if Some(address) != tried && endpoint.admits(now) => Some((endpoint, address)),
            _ => self.another(turn, now, tried),
        }
    }

    /// The same for those who look a name up themselves when it meant nothing before.
    pub(crate) fn next_named(&self, now: Instant, tried: Option<SocketAddr>) -> Option<&Arc<Endpoint>> {
        self.next(now, tried).map(|(endpoint, _)| endpoint).or_else(|| self.endpoints.first())
    }

    fn at(&self, turn: usize) -> Option<(&Arc<Endpoint>, SocketAddr)> {
        let endpoint = self.endpoints.get(*self.turns.get(turn)?)?;
        Some((endpoint, endpoint.address()?))
    }

    #[cold]
    fn another(&self, turn: usize, now: Instant, tried: Option<SocketAddr>) -> Option<(&Arc<Endpoint>, SocketAddr)> {
        // That of this turn was asked.
        let others = || (1..=self.turns.len()).filter_map(|step| self.at((turn + step) % self.turns.len()));
        let is_new = |(_, address): &(_, SocketAddr)| Some(*address) != tried;
        let asked = self.at(turn).map(|(endpoint, _)| endpoint);
        let admitted = |(endpoint, _): &(&Arc<Endpoint>, _)| {
            !asked.is_some_and(|asked| Arc::ptr_eq(asked, endpoint)) && endpoint.admits(now)
        };
        others().filter(is_new).find(admitted).or_else(|| others().find(is_new)).or_else(|| others().next())
    }
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
