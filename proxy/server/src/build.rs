//! From a plan and its filters to a site: chains, routes and the table that finds them.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use sluice_config::plan::{self, Plan};
use sluice_host::{Chain, Link, RouteFacts};

use crate::{
    load::RunError,
    reload::{Disabled, Version},
    route::Table,
    site::{Action, Direct, Limits, Route, Site, TcpRoute},
    traffic::Traffic,
    upstream::{Kind, Servers, Upstream},
};

/// Puts a site together from loaded filters; those that are disabled stand in no chain of it.
///
/// # Errors
/// [`RunError::Setup`] for routes that cannot be used.
pub(crate) fn site(
    plan: &Plan,
    file: &Path,
    filters: &[Arc<Version>],
    disabled: &Disabled,
    upstreams: Vec<Arc<Upstream>>,
    traffic: &Traffic,
    generation: u64,
) -> Result<Site, RunError> {
    let chains = Chains { filters, disabled };
    let routes = plan
        .routes
        .iter()
        .map(|r| {
            route(r, &chains, &upstreams, traffic)
                .map(Arc::new)
                .ok_or_else(|| RunError::setup(file, r.at, "the route cannot be built"))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let table = Table::new(plan.routes.iter().map(|r| &r.matcher))
        .map(Arc::new)
        .map_err(|e| RunError::setup(file, sluice_config::Position::default(), e.to_string()))?;
    let limits = Limits {
        keepalive: plan.server.keepalive,
        max_header_bytes: plan.server.max_header_bytes,
        max_headers: plan.server.max_headers,
        read_timeout: plan.server.read_timeout,
    };
    let tcp = plan
        .listeners
        .iter()
        .filter_map(|l| Some((l, l.tcp.as_ref()?)))
        .map(|(l, tcp)| {
            tcp_route(l.address, tcp, &chains, &upstreams).map(Arc::new).ok_or_else(|| {
                RunError::setup(file, l.at, "a TCP listener needs an upstream with endpoints, not a builtin one")
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let filters = filters.iter().map(|version| version.filter.clone()).collect();
    let only_http1 = routes.iter().all(|route| match &route.action {
        Action::Upstream(upstream) => upstream.servers().is_none_or(Servers::speak_http1),
        Action::Respond(_) => true,
    });
    Ok(Site { generation, table, routes, only_http1, tcp, upstreams, filters, limits, cut: Arc::default() })
}

fn route(route: &plan::Route, chains: &Chains<'_>, upstreams: &[Arc<Upstream>], traffic: &Traffic) -> Option<Route> {
    let chain = chains.chain(&route.filters)?;
    let (action, upstream) = match &route.action {
        plan::Action::Upstream(index) => {
            let upstream = upstreams.get(*index)?.clone();
            let name = upstream.name.clone();
            (Action::Upstream(upstream), name)
        }
        plan::Action::Respond(direct) => (Action::Respond(respond(direct)?), String::new()),
    };
    let facts = RouteFacts { name: route.name.clone(), upstream, properties: pairs(&route.properties) };
    let times = traffic.routes.of(&route.shown_name());
    Some(Route { chain, action, facts: Arc::new(facts), times })
}

fn pairs(properties: &std::collections::BTreeMap<String, String>) -> Vec<(String, String)> {
    properties.iter().map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn tcp_route(
    listener: std::net::SocketAddr,
    tcp: &plan::Tcp,
    chains: &Chains<'_>,
    upstreams: &[Arc<Upstream>],
) -> Option<TcpRoute> {
    let upstream = upstreams.get(tcp.upstream)?.clone();
    if matches!(upstream.kind, Kind::Echo) {
        return None;
    }
    let facts = RouteFacts {
        name: format!("tcp {listener}"),
        upstream: upstream.name.clone(),
        properties: pairs(&tcp.properties),
    };
    let chain = chains.chain(&tcp.filters)?;
    Some(TcpRoute { listener, chain, upstream, facts: Arc::new(facts), idle: tcp.idle })
}

/// What chains are made of.
struct Chains<'a> {
    filters: &'a [Arc<Version>],
    disabled: &'a Disabled,
}

impl Chains<'_> {
    /// `None` for a filter that is not there, or not with this configuration.
    fn chain(&self, links: &[plan::UseFilter]) -> Option<Chain> {
        let links = links.iter().map(|link| {
            let version = self.filters.get(link.filter)?;
            let configuration = version.configuration(link.config.as_ref())?;
            Some((version, Link { filter: version.filter.clone(), configuration }))
        });
        let links = links.collect::<Option<Vec<_>>>()?;
        let met = links.into_iter().filter(|(version, _)| !self.disabled.holds(version.name()));
        Some(Chain::new(met.map(|(_, link)| link).collect()))
    }
}

fn respond(direct: &plan::DirectResponse) -> Option<Direct> {
    let headers = direct
        .headers
        .iter()
        .map(|(n, v)| Some((HeaderName::from_bytes(n.as_bytes()).ok()?, HeaderValue::from_bytes(v.as_bytes()).ok()?)))
        .collect::<Option<Vec<_>>>()?;
    Some(Direct { status: direct.status, headers, body: Bytes::from(direct.body.clone()) })
}
