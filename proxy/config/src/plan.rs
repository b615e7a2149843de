//! The file as meant: plain values, every name resolved to an index, every default filled in.

mod limits;
mod logs;
mod reload;
mod traces;
mod upstream;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

pub use limits::{Cache, Guests, Limits, Server, Shared};
pub use logs::{AccessFormat, AccessLog, AccessTo, Field, Log, LogModule, Piece, Redact};
pub use reload::{AfterDrain, Reload, Rollback};
pub use traces::{B3, IpNet, Metrics, Otlp, OtlpCompression, OtlpProtocol, Sampling};
pub use upstream::{
    Balance, Endpoint, HealthCheck, Servers, Timeouts, Upstream, UpstreamHealth, UpstreamHttp, UpstreamKind,
    UpstreamTls,
};

use crate::Origins;

/// Where a value stands in the configuration text; line and column start at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
}

/// One whole configuration, ready to be built into a site.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Sockets to listen on; at least one.
    pub listeners: Vec<Listener>,
    /// Every filter of the file, in file order.
    pub filters: Vec<Filter>,
    /// Every upstream of the file, in file order.
    pub upstreams: Vec<Upstream>,
    /// Every route, in file order; the server orders them by how specific they are.
    pub routes: Vec<Route>,
    /// Indices into `filters` of those that run without traffic.
    pub services: Vec<usize>,
    /// The admin listener; `None` turns it off.
    pub admin: Option<Admin>,
    /// Logs, traces and the access log.
    pub telemetry: Telemetry,
    /// How changes are picked up.
    pub reload: Reload,
    /// Limits of the proxy itself.
    pub server: Server,
    /// Files whose content stands in this plan (`{ file: … }`): a change of one is a change of the configuration.
    pub secret_files: Vec<PathBuf>,
    /// Where each value stands in the file.
    pub origins: Arc<Origins>,
}

/// One socket.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// Address to bind; port 0 lets the system choose.
    pub address: SocketAddr,
    /// TLS is terminated here when set; ALPN offers h2 and http/1.1.
    pub tls: Option<ListenerTls>,
    /// HTTP/2 without TLS by prior knowledge (plain listeners only).
    pub h2c: bool,
    /// Bytes in place of HTTP: where connections go.
    pub tcp: Option<Tcp>,
    /// Position of the entry.
    pub at: Position,
}

/// Where the connections of a TCP listener go.
#[derive(Debug, Clone, PartialEq)]
pub struct Tcp {
    /// Index into [`Plan::upstreams`].
    pub upstream: usize,
    /// The chain, in order.
    pub filters: Vec<UseFilter>,
    /// Properties that filters of this listener can read.
    pub properties: BTreeMap<String, String>,
    /// A connection on which nothing moves for so long is closed.
    pub idle: Duration,
}

/// Certificate of a listener.
#[derive(Debug, Clone, PartialEq)]
pub struct ListenerTls {
    /// PEM chain.
    pub cert: PathBuf,
    /// PEM key.
    pub key: PathBuf,
}

/// One filter as configured. Its `Debug` shows no configuration and no value of the environment.
#[derive(Clone, PartialEq)]
pub struct Filter {
    /// The key under `filters:`.
    pub name: String,
    /// Where the module comes from.
    pub source: Source,
    /// Pin: the module must have this SHA-256 (64 lower-case hex digits, without the `sha256:`).
    pub digest: Option<String>,
    /// Which root context of the module.
    pub root_id: String,
    /// Namespace of shared data and queues.
    pub vm_id: String,
    /// Bytes for `proxy_on_configure`: a mapping becomes JSON text, a string passes as it is.
    pub config: String,
    /// Bytes for `proxy_on_vm_start`, by the same rule.
    pub vm_config: String,
    /// Environment that WASI shows to the guest.
    pub env: BTreeMap<String, String>,
    /// Which guest a request meets.
    pub isolation: Isolation,
    /// What a request gets when the filter fails.
    pub on_error: OnError,
    /// Pause in a headers callback holds the head and lets the body callbacks go on, as Envoy's option of this name.
    pub on_headers_stop_iteration: bool,
    /// Budgets and caps.
    pub limits: Limits,
    /// When it is taken out of service because it crashes.
    pub quarantine: Quarantine,
    /// What the filter may ask of the host.
    pub capabilities: Capabilities,
    /// Position of the filter's key.
    pub at: Position,
}

/// Where a module comes from; paths are absolute or relative to the working directory, never to the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A `.wasm` file.
    Path(PathBuf),
    /// A folder that `sluice build` can build; the module is `<folder>/<folder name>.wasm`.
    Build(PathBuf),
}

/// Which guest a request meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// One guest for each worker shard, many requests in it.
    #[default]
    Shared,
    /// A fresh guest for each request.
    Request,
}

/// What a request gets when a filter fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// 503 with `Proxy-Status`.
    #[default]
    FailClosed,
    /// The filter is skipped from there on.
    FailOpen,
}

/// When a filter that crashes is taken out of service, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quarantine {
    /// The least crashes within `window` that take it out; 0 never does (default 10).
    pub crashes: usize,
    /// Time in which crashes count together (default 30s).
    pub window: Duration,
    /// Of the exchanges in that time, so many in a hundred must have met one (default 50).
    pub percent: u32,
    /// Time before the first probe (default 1s); each failed one doubles it.
    pub period: Duration,
    /// The longest time between two probes (default 60s).
    pub max_period: Duration,
}

/// What a filter may ask of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Hostcalls by name.
    pub hostcalls: Grant,
    /// WASI functions by name.
    pub wasi: Grant,
    /// Upstreams (or `host:port`) a callout may reach. The default grants none.
    pub callouts: Grant,
    /// Properties by their path with dots.
    pub properties: Grant,
    /// Foreign functions by name.
    pub foreign: Grant,
    /// Namespaces of shared data.
    pub shared_data: Grant,
    /// What happens to a module that imports what is not granted.
    pub ungranted: Ungranted,
}

/// What happens to a module that imports a hostcall or WASI function which is not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ungranted {
    /// It is not loaded.
    #[default]
    RefuseModule,
    /// It is loaded, and these calls fail.
    RefuseCall,
}

/// One capability list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Grant {
    /// What the host grants by itself for this key.
    #[default]
    Default,
    /// Everything.
    All,
    /// These names and nothing else; empty grants nothing.
    Only(Vec<String>),
}

/// One route.
#[derive(Debug, Clone)]
pub struct Route {
    /// Name for logs and spans; derived from the match when the file gives none.
    pub name: String,
    /// What a request must look like.
    pub matcher: Match,
    /// The chain, in order.
    pub filters: Vec<UseFilter>,
    /// Properties that filters of this route can read.
    pub properties: BTreeMap<String, String>,
    /// Where the request goes.
    pub action: Action,
    /// Position of the entry.
    pub at: Position,
}

/// One filter in a chain. Its `Debug` shows no configuration.
#[derive(Clone, PartialEq)]
pub struct UseFilter {
    /// Index into [`Plan::filters`].
    pub filter: usize,
    /// Overrides the filter's `config` on this route.
    pub config: Option<String>,
}

/// Where a request goes.
#[derive(Debug, Clone)]
pub enum Action {
    /// Index into [`Plan::upstreams`].
    Upstream(usize),
    /// The proxy answers by itself.
    Respond(DirectResponse),
}

/// An answer written in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectResponse {
    /// 200 to 599.
    pub status: u16,
    /// Header fields in order.
    pub headers: Vec<(String, String)>,
    /// Body text.
    pub body: String,
}

/// What a request must look like; all given parts must hold.
#[derive(Debug, Clone, Default)]
pub struct Match {
    /// Host, without port.
    pub host: HostMatch,
    /// Path, without query.
    pub path: PathMatch,
    /// Upper-case methods; empty means any.
    pub methods: Vec<String>,
    /// Header fields: lower-case name and the value wanted (`None`: present with any value).
    pub headers: Vec<(String, Option<String>)>,
}

/// Which hosts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HostMatch {
    /// Any.
    #[default]
    Any,
    /// This one, lower case.
    Exact(String),
    /// `*.suffix`: the suffix without `*`, with its leading dot, lower case.
    Wildcard(String),
}

/// Which paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathMatch {
    /// Exactly this.
    Exact(String),
    /// This segment-wise prefix (`/api` matches `/api` and `/api/x`, not `/apix`; `/` matches all).
    /// No slash at its end, save for `/` itself.
    Prefix(String),
    /// This regular expression, anchored at both ends; known to compile.
    Regex(String),
}

impl Default for PathMatch {
    fn default() -> Self {
        Self::Prefix("/".into())
    }
}

/// The admin listener.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Address to bind; port 0 lets the system choose.
    pub address: SocketAddr,
    /// How many requests are remembered with what their filters did; 0 is none.
    pub requests: usize,
    /// Position of the section.
    pub at: Position,
}

/// Logs, traces and the access log.
#[derive(Debug, Clone, PartialEq)]
pub struct Telemetry {
    /// The proxy's own log.
    pub log: Log,
    /// What traces call this proxy; `None` leaves it to the environment.
    pub service: Option<String>,
    /// Where traces are sent, and the access log if it goes that way; `None` leaves it to the environment.
    pub otlp: Option<Otlp>,
    /// Where metrics are sent; `None` leaves it to the environment.
    pub metrics: Option<Metrics>,
    /// Which requests are traced; `None` leaves it to the environment.
    pub sampling: Option<Sampling>,
    /// Peers whose trace context is taken over.
    pub trust: Vec<IpNet>,
    /// Whether B3 stands beside it; `None` leaves it to the environment.
    pub b3: Option<B3>,
    /// The access log; `None` when the file says `access_log: off`.
    pub access_log: Option<AccessLog>,
}

/// Level of the proxy's own log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[allow(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Trace,
    Debug,
    #[default]
    Info,
    Warn,
    Error,
}

/// How a log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names say it")]
pub enum LogFormat {
    #[default]
    Human,
    Json,
}
