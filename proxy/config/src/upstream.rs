//! `upstreams:`: the servers behind the proxy and how to speak to them.

use serde_json::{Value, json};

use crate::{
    declare::{choice, section},
    matcher::Path,
    net::{host_port, is_host},
    node::{Kind, Node, Scalar, Typed},
    plan::{self, Balance, Position, UpstreamHttp, UpstreamKind},
    reader::Cx,
    scalar::{FilePath, Int},
    shape::{List, Section, Shape},
    units::{HOUR, Time},
};

section! {
    /// One upstream: servers, or what is embedded
    Upstream, check one_kind {
        /// Embedded: `echo` answers with what it received, as JSON.
        builtin: Option<Builtin>,
        /// The servers.
        endpoints: Option<List<Endpoint, 1>>,
        /// How an endpoint is chosen.
        balance: Balance = "round_robin",
        /// TLS towards the endpoints: `true`, or how.
        tls: Option<Tls>,
        /// Which HTTP is spoken.
        http: UpstreamHttp = "auto",
        /// Every wait is bounded.
        timeouts: Timeouts = "{}",
        /// When an endpoint that does not answer is passed over.
        health: Health = "{}",
    }
}

section! {
    /// One server
    EndpointParts {
        /// Host name or IP address, and port.
        address: HostPort,
        /// Share of the requests relative to the others.
        weight: Int<1, 1000> = "1",
    }
}

section! {
    /// TLS towards an upstream
    TlsParts {
        /// Name sent and verified, in place of the endpoint's host.
        sni: Option<ServerName>,
        /// PEM file of authorities to trust in place of the system's.
        ca: Option<FilePath>,
        /// `false` accepts any certificate.
        verify: bool = "true",
    }
}

section! {
    /// Waits towards an upstream
    Timeouts {
        /// TCP and TLS together.
        connect: Time<1, HOUR> = "5s",
        /// Between two reads.
        read: Time<1, { 24 * HOUR }> = "60s",
        /// Between two writes.
        write: Time<1, { 24 * HOUR }> = "60s",
        /// Idle pooled connections are closed after this.
        idle: Time<1, { 24 * HOUR }> = "60s",
    }
}

section! {
    /// When an endpoint that does not answer is passed over
    Health {
        /// So many attempts in a row of which no answer came take it out; 0 never does. The only endpoint never is.
        failures: Int<0, 10_000> = "3",
        /// How long it stays out before a request is let through to see. Each one that fails, too, doubles it.
        period: Time<1, HOUR> = "5s",
        /// The longest of these times.
        max_period: Time<1, HOUR> = "60s",
        /// Asks each endpoint how it is, also without traffic.
        check: Option<Check>,
    }
}

section! {
    /// Asks endpoints how they are
    Check {
        /// What is asked for by GET; a status below 400 is good. Without it a connection is.
        path: Option<Path>,
        /// How long from one answer to the next question.
        every: Time<100, HOUR> = "5s",
        /// How long an answer may take.
        timeout: Time<1, HOUR> = "1s",
    }
}

/// What is embedded.
pub(crate) struct Builtin;

choice!(Builtin {
    "echo" => Builtin, "Answers with what it received, as JSON.";
});

choice!(Balance {
    "round_robin" => Balance::RoundRobin, "One after the other, by weight.";
    "random" => Balance::Random, "By chance, by weight.";
});

choice!(UpstreamHttp {
    "auto" => UpstreamHttp::Auto, "With TLS what ALPN agrees on, without TLS HTTP/1.1.";
    "h1" => UpstreamHttp::H1, "HTTP/1.1.";
    "h2" => UpstreamHttp::H2, "HTTP/2; without TLS by prior knowledge.";
});

fn one_kind(upstream: &Node, cx: &mut Cx<'_>) {
    let help = "write `endpoints: [\"127.0.0.1:9000\"]`, or `builtin: echo`";
    match (upstream.get("builtin"), upstream.get("endpoints")) {
        (None, None) => {
            cx.error::<()>(cx.here(), "this upstream has neither `endpoints` nor `builtin`", help);
        }
        (Some(_), _) => {
            let known = Upstream::names();
            for entry in upstream.entries() {
                if entry.key != "builtin" && known.contains(&entry.key.as_str()) {
                    let message = format!("`{}` and `builtin` exclude each other", entry.key);
                    cx.key_error(entry, message, "what is embedded needs no connection: remove one of them");
                }
            }
        }
        _ => {}
    }
}

/// One server: `"host:port"`, or a mapping with its weight.
pub(crate) struct Endpoint(plan::Endpoint);

impl Shape for Endpoint {
    fn title() -> String {
        "`host:port`, or `{ address, weight }`".into()
    }
    fn schema() -> Value {
        json!({ "anyOf": [HostPort::schema(), EndpointParts::schema()] })
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let (HostPort(host, port), weight) = match &node.kind {
            Kind::Map(_) => {
                let parts = EndpointParts::read(node, cx)?;
                (parts.address, u32::try_from(parts.weight.0).ok()?)
            }
            _ => (HostPort::read(node, cx)?, 1),
        };
        Some(Self(plan::Endpoint { host, port, weight }))
    }
}

/// A host and a port.
pub(crate) struct HostPort(String, u16);

impl Shape for HostPort {
    fn title() -> String {
        "`host:port`".into()
    }
    fn schema() -> Value {
        json!({ "type": "string", "pattern": r"^(.+:[0-9]{1,5}|.*\$\{.*)$" })
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let example = "write a name or an IP address and a port: \"127.0.0.1:9000\"";
        let scalar = cx.string(node, &Self::title(), example)?;
        match host_port(&scalar.text) {
            Some((host, port)) => Some(Self(host, port)),
            None => cx.error(node.at, format!("`{}` is not `host:port`", scalar.shown()), advice(scalar, example)),
        }
    }
}

fn advice(address: &Scalar, example: &str) -> String {
    let text = address.written.as_ref().unwrap_or(&address.text);
    match text.split_once("://") {
        Some(("https", rest)) => {
            format!("write \"{}\" and `tls: true`", rest.trim_end_matches('/'))
        }
        Some((_, rest)) => format!("write it without the scheme: \"{}\"", rest.trim_end_matches('/')),
        None if is_host(text) => format!("the port is missing: \"{text}:80\""),
        None => example.to_owned(),
    }
}

/// A name for SNI.
pub(crate) struct ServerName(String);

impl Shape for ServerName {
    fn title() -> String {
        "a host name".into()
    }
    fn schema() -> Value {
        json!({ "type": "string", "minLength": 1 })
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let scalar = cx.string(node, "a host name", "")?;
        if !is_host(&scalar.text) {
            return cx.error(
                node.at,
                format!("`{}` is not a host name", scalar.shown()),
                "write it without port and scheme",
            );
        }
        Some(Self(scalar.text.to_ascii_lowercase()))
    }
}

/// `true`, `false`, or how.
pub(crate) struct Tls(Option<plan::UpstreamTls>);

impl Shape for Tls {
    fn title() -> String {
        "`true`, or `{ sni, ca, verify }`".into()
    }
    fn schema() -> Value {
        json!({ "anyOf": [bool::schema(), TlsParts::schema()] })
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Scalar(scalar) => match scalar.loose() {
                Typed::Bool(true) => Some(Self(Some(plan::UpstreamTls { sni: None, ca: None, verify: true }))),
                Typed::Bool(false) => Some(Self(None)),
                _ => cx.mismatch(node, &Self::title(), ""),
            },
            _ => {
                let parts = TlsParts::read(node, cx)?;
                Some(Self(Some(plan::UpstreamTls {
                    sni: parts.sni.map(|name| name.0),
                    ca: parts.ca.map(|path| path.0),
                    verify: parts.verify,
                })))
            }
        }
    }
}

impl Upstream {
    pub(crate) fn plan(self, name: String, at: Position) -> plan::Upstream {
        let kind = match self.endpoints {
            None => UpstreamKind::Echo,
            Some(endpoints) => UpstreamKind::Servers(Box::new(plan::Servers {
                endpoints: endpoints.0.into_iter().map(|endpoint| endpoint.0).collect(),
                balance: self.balance,
                tls: self.tls.and_then(|tls| tls.0),
                http: self.http,
                timeouts: plan::Timeouts {
                    connect: self.timeouts.connect.0,
                    read: self.timeouts.read.0,
                    write: self.timeouts.write.0,
                    idle: self.timeouts.idle.0,
                },
                health: plan::UpstreamHealth {
                    failures: u32::try_from(self.health.failures.0).unwrap_or(u32::MAX),
                    period: self.health.period.0,
                    max_period: self.health.max_period.0.max(self.health.period.0),
                    check: self.health.check.map(|check| plan::HealthCheck {
                        path: check.path.map(|path| path.0),
                        every: check.every.0,
                        timeout: check.timeout.0,
                    }),
                },
            })),
        };
        plan::Upstream { name, kind, at }
    }
}
