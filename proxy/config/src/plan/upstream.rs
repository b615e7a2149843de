//! Upstreams: the servers behind the proxy, how they are spoken to, and when one is passed over.

use std::{path::PathBuf, time::Duration};

use super::Position;

/// One upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// The key under `upstreams:`.
    pub name: String,
    /// What stands behind it.
    pub kind: UpstreamKind,
    /// Position of the key.
    pub at: Position,
}

/// What stands behind an upstream's name.
#[derive(Debug, Clone, PartialEq)]
pub enum UpstreamKind {
    /// The embedded echo, which answers with what it received, as JSON.
    Echo,
    /// Real servers.
    Servers(Box<Servers>),
}

/// Endpoints and how to speak to them.
#[derive(Debug, Clone, PartialEq)]
pub struct Servers {
    /// At least one.
    pub endpoints: Vec<Endpoint>,
    /// How one is chosen.
    pub balance: Balance,
    /// TLS towards the endpoints.
    pub tls: Option<UpstreamTls>,
    /// Which HTTP is spoken.
    pub http: UpstreamHttp,
    /// Every wait is bounded.
    pub timeouts: Timeouts,
    /// When an endpoint is passed over.
    pub health: UpstreamHealth,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or IP address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Share of the requests relative to the others (1 to 1000, default 1).
    pub weight: u32,
}

/// How an endpoint is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Balance {
    /// One after the other, by weight.
    #[default]
    RoundRobin,
    /// By chance, by weight.
    Random,
}

/// TLS towards an upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Name sent and verified; the endpoint's host when `None`.
    pub sni: Option<String>,
    /// PEM file of authorities to trust in place of the system's.
    pub ca: Option<PathBuf>,
    /// False turns verification off, which the server says in its log (default true).
    pub verify: bool,
}

/// Which HTTP is spoken to an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UpstreamHttp {
    /// HTTP/1.1 (the default without TLS).
    H1,
    /// HTTP/2 only; without TLS by prior knowledge.
    H2,
    /// With TLS by ALPN, without TLS HTTP/1.1.
    #[default]
    Auto,
}

/// When an endpoint that does not answer is passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamHealth {
    /// Attempts in a row without an answer that take it out; 0 never does (default 3).
    pub failures: u32,
    /// How long before a request is let through to see; doubled by each that fails (default 5s).
    pub period: Duration,
    /// The longest of these times, at least `period` (default 60s).
    pub max_period: Duration,
    /// How endpoints are asked how they are; they are not when `None`.
    pub check: Option<HealthCheck>,
}

/// How endpoints are asked how they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked for by GET; a connection says enough when `None`.
    pub path: Option<String>,
    /// From one answer to the next question (100ms to 1h, default 5s).
    pub every: Duration,
    /// How long an answer may take (default 1s).
    pub timeout: Duration,
}

/// Waits towards an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP and TLS together (default 5s).
    pub connect: Duration,
    /// Between two reads (default 60s).
    pub read: Duration,
    /// Between two writes (default 60s).
    pub write: Duration,
    /// Idle pooled connections are closed after this (default 60s).
    pub idle: Duration,
}
