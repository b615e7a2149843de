//! From a plan to a site: modules read and compiled, filters started, chains and routes put together.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use sluice_config::plan::{self, Plan};
use sluice_host::{Chain, Code, Digest, Filter, FilterSpec, Host, Isolation, Link, Quarantine, RouteFacts};

use crate::{
    grants::grants,
    limits,
    load::{FilterProblem, Place, RunError},
    route::Table,
    site::{Action, Direct, Limits, Route, Site, TcpRoute},
    upstream::{Kind, Upstream},
};

/// One filter of the plan with what became of it.
pub(crate) struct Loaded {
    pub(crate) filter: Arc<Filter>,
    pub(crate) size: usize,
    pub(crate) took: std::time::Duration,
}

/// Loads every filter of a plan. Goes on after a failure, so that all of them are told at once.
pub(crate) fn filters(host: &Host, plan: &Plan, file: &Path, shards: usize) -> Vec<Result<Loaded, FilterProblem>> {
    let uses = configurations(plan);
    let mut compiled: HashMap<(Digest, Isolation), Code> = HashMap::new();
    plan.filters
        .iter()
        .zip(uses)
        .map(|(filter, configs)| {
            let began = std::time::Instant::now();
            let path = module_path(&filter.source);
            let problem = |message: String| FilterProblem {
                name: filter.name.clone(),
                at: Place::new(file, filter.at),
                module: path.display().to_string(),
                message,
            };
            let bytes = std::fs::read(&path).map_err(|e| problem(unreadable(&filter.source, &e)))?;
            let code = compile(host, filter, &bytes, &mut compiled).map_err(problem)?;
            let loaded = host.load(&spec(filter, code, configs), shards).map_err(|e| problem(e.to_string()))?;
            Ok(Loaded { filter: loaded, size: bytes.len(), took: began.elapsed() })
        })
        .collect()
}

/// Builds every upstream of a plan: before the filters, which may call one while they are configured.
///
/// # Errors
/// [`RunError::Setup`] for a CA file that cannot be used.
pub(crate) fn upstreams(plan: &Plan, file: &Path, generation: u64) -> Result<Vec<Arc<Upstream>>, RunError> {
    plan.upstreams
        .iter()
        .enumerate()
        .map(|(i, u)| {
            // Connections of one generation are never taken for those of another with other settings.
            let number = generation << 16 | i as u64;
            Upstream::build(u, number).map(Arc::new).map_err(|e| RunError::upstream(file, u, &e))
        })
        .collect()
}

/// Puts a site together from loaded filters.
///
/// # Errors
/// [`RunError::Setup`] for routes that cannot be used.
pub(crate) fn site(
    plan: &Plan,
    file: &Path,
    filters: &[Arc<Filter>],
    upstreams: Vec<Arc<Upstream>>,
    generation: u64,
) -> Result<Site, RunError> {
    let uses = configurations(plan);
    let routes = plan
        .routes
        .iter()
        .map(|r| {
            route(plan, r, filters, &uses, &upstreams)
                .map(Arc::new)
                .ok_or_else(|| RunError::setup(file, r.at, "the route cannot be built"))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let table = Table::new(plan.routes.iter().map(|r| &r.matcher))
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
            tcp_route(plan, l.address, tcp, filters, &uses, &upstreams).map(Arc::new).ok_or_else(|| {
                RunError::setup(file, l.at, "a TCP listener needs an upstream with endpoints, not a builtin one")
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Site { generation, table, routes, tcp, upstreams, limits })
}

/// The configurations that each filter is used with, each once: one root context for each.
fn configurations(plan: &Plan) -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> = vec![Vec::new(); plan.filters.len()];
    let tcp = plan.listeners.iter().filter_map(|l| l.tcp.as_ref()).flat_map(|tcp| &tcp.filters);
    let uses = plan.routes.iter().flat_map(|r| &r.filters).chain(tcp).map(|u| (u.filter, u.config.as_ref()));
    for (index, own) in uses.chain(plan.services.iter().map(|i| (*i, None))) {
        if let (Some(configs), Some(filter)) = (all.get_mut(index), plan.filters.get(index)) {
            let config = own.unwrap_or(&filter.config);
            if !configs.contains(config) {
                configs.push(config.clone());
            }
        }
    }
    // A filter that no route uses is started with its own configuration, so that `check` sees it.
    for (configs, filter) in all.iter_mut().zip(&plan.filters) {
        if configs.is_empty() {
            configs.push(filter.config.clone());
        }
    }
    all
}

fn module_path(source: &plan::Source) -> PathBuf {
    match source {
        plan::Source::Path(path) => path.clone(),
        plan::Source::Build(folder) => {
            let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            folder.join(format!("{name}.wasm"))
        }
    }
}

fn unreadable(source: &plan::Source, error: &std::io::Error) -> String {
    match source {
        plan::Source::Build(folder) if error.kind() == std::io::ErrorKind::NotFound => {
            format!("is not there; build it first (its source is {})", folder.display())
        }
        _ => format!("cannot be read: {error}"),
    }
}

fn compile(
    host: &Host,
    filter: &plan::Filter,
    bytes: &[u8],
    compiled: &mut HashMap<(Digest, Isolation), Code>,
) -> Result<Code, String> {
    let isolation = isolation(filter);
    let digest = Digest::of(bytes);
    if let Some(wanted) = &filter.digest
        && *wanted != digest.to_string()
    {
        return Err(format!("has the digest sha256:{digest}, the configuration wants sha256:{wanted}"));
    }
    if let Some(code) = compiled.get(&(digest, isolation)) {
        return Ok(code.clone());
    }
    let code = host.compile(bytes, isolation).map_err(|e| e.to_string())?;
    compiled.insert((digest, isolation), code.clone());
    Ok(code)
}

fn isolation(filter: &plan::Filter) -> Isolation {
    match filter.isolation {
        plan::Isolation::Shared => Isolation::Shared,
        plan::Isolation::Request => Isolation::Request,
    }
}

fn spec(filter: &plan::Filter, code: Code, configs: Vec<String>) -> FilterSpec {
    FilterSpec {
        name: filter.name.clone(),
        code,
        root_id: filter.root_id.clone(),
        vm_id: filter.vm_id.clone(),
        vm_config: filter.vm_config.clone(),
        configs,
        env: filter.env.clone(),
        isolation: isolation(filter),
        fail_open: filter.on_error == plan::OnError::FailOpen,
        stop_iteration: filter.on_headers_stop_iteration,
        cpu_per_call: filter.limits.cpu_per_call,
        cpu_per_request: filter.limits.cpu_per_request,
        cpu_start: filter.limits.cpu_start,
        cpu_share: filter.limits.cpu_share,
        cpu_warn: filter.limits.cpu_warn,
        quarantine: quarantine(&filter.quarantine),
        memory: filter.limits.memory,
        caps: limits::caps(&filter.limits),
        grants: grants(&filter.capabilities),
    }
}

fn quarantine(planned: &plan::Quarantine) -> Quarantine {
    let plan::Quarantine { crashes, window, percent, period, max_period } = *planned;
    Quarantine { crashes, window, percent, period, max_period }
}

fn route(
    plan: &Plan,
    route: &plan::Route,
    filters: &[Arc<Filter>],
    uses: &[Vec<String>],
    upstreams: &[Arc<Upstream>],
) -> Option<Route> {
    let chain = chain(plan, &route.filters, filters, uses)?;
    let (action, upstream) = match &route.action {
        plan::Action::Upstream(index) => {
            let upstream = upstreams.get(*index)?.clone();
            let name = upstream.name.clone();
            (Action::Upstream(upstream), name)
        }
        plan::Action::Respond(direct) => (Action::Respond(respond(direct)?), String::new()),
    };
    let facts = RouteFacts { name: route.name.clone(), upstream, properties: pairs(&route.properties) };
    Some(Route { chain, action, facts: Arc::new(facts) })
}

fn pairs(properties: &std::collections::BTreeMap<String, String>) -> Vec<(String, String)> {
    properties.iter().map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn tcp_route(
    plan: &Plan,
    listener: std::net::SocketAddr,
    tcp: &plan::Tcp,
    filters: &[Arc<Filter>],
    uses: &[Vec<String>],
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
    let chain = chain(plan, &tcp.filters, filters, uses)?;
    Some(TcpRoute { listener, chain, upstream, facts: Arc::new(facts), idle: tcp.idle })
}

fn chain(plan: &Plan, links: &[plan::UseFilter], filters: &[Arc<Filter>], uses: &[Vec<String>]) -> Option<Chain> {
    let links = links
        .iter()
        .map(|link| {
            let filter = filters.get(link.filter)?.clone();
            let configs = uses.get(link.filter)?;
            let configuration = match &link.config {
                Some(config) => configs.iter().position(|c| c == config)?,
                None => configs.iter().position(|c| *c == plan.filters.get(link.filter).map_or("", |f| &f.config))?,
            };
            Some(Link { filter, configuration })
        })
        .collect::<Option<Vec<_>>>()?;
    Some(Chain::new(links))
}

fn respond(direct: &plan::DirectResponse) -> Option<Direct> {
    let headers = direct
        .headers
        .iter()
        .map(|(n, v)| Some((HeaderName::from_bytes(n.as_bytes()).ok()?, HeaderValue::from_bytes(v.as_bytes()).ok()?)))
        .collect::<Option<Vec<_>>>()?;
    Some(Direct { status: direct.status, headers, body: Bytes::from(direct.body.clone()) })
}
