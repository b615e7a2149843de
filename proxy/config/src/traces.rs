//! The part of `telemetry:` that is about traces and metrics: where they go, which requests are in them, whose word counts.

use serde_json::{Value, json};

use crate::{
    declare::{choice, section},
    net::{FieldValue, Header, Url},
    node::{Kind, Node},
    payload::EnvValue,
    plan::{self, IpNet, OtlpCompression, OtlpProtocol},
    reader::Cx,
    scalar::{FilePath, Int, Share},
    shape::{List, Map, Shape},
    units::Time,
};

section! {
    /// Where traces are sent
    Otlp {
        /// URL of the collector: `http://HOST:4317` for gRPC, `http://HOST:4318` for HTTP; `https` is TLS.
        endpoint: Url,
        /// How OTLP travels.
        protocol: OtlpProtocol = "grpc",
        /// Fields of each request, such as a key; `{ file: PATH }` reads a secret.
        headers: Map<Header, HeaderSecret>,
        /// How long one request may take.
        timeout: Time<1, 60_000> = "10s",
        /// How requests are packed.
        compression: OtlpCompression = "none",
        /// PEM file with the certificates that a collector with TLS is known by; those of the system when absent.
        ca: Option<FilePath>,
    }
}

section! {
    /// Where metrics are sent
    Metrics {
        /// URL of the collector: `http://HOST:4317` for gRPC, `http://HOST:4318` for HTTP; `https` is TLS.
        endpoint: Url,
        /// How OTLP travels.
        protocol: OtlpProtocol = "grpc",
        /// Fields of each request, such as a key; `{ file: PATH }` reads a secret.
        headers: Map<Header, HeaderSecret>,
        /// How often they are sent; absent: as `OTEL_METRIC_EXPORT_INTERVAL` says, or each minute.
        interval: Option<Time<100, 3_600_000>>,
        /// How long one request may take.
        timeout: Time<1, 60_000> = "10s",
        /// How requests are packed.
        compression: OtlpCompression = "none",
        /// PEM file with the certificates that a collector with TLS is known by; those of the system when absent.
        ca: Option<FilePath>,
    }
}

section! {
    /// Which requests are traced
    SamplingParts {
        /// Share of the requests.
        ratio: Share = "1.0",
        /// Most traces that begin here in a second; no limit when absent.
        per_second: Option<Int<1, 1_000_000>>,
        /// What fails is traced even when its number was not drawn, within `per_second`.
        errors: bool = "true",
    }
}

choice!(OtlpProtocol {
    "grpc" => OtlpProtocol::Grpc, "gRPC.";
    "http" => OtlpProtocol::Http, "HTTP with protobuf.";
});

choice!(OtlpCompression {
    "none" => OtlpCompression::None, "As they are.";
    "gzip" => OtlpCompression::Gzip, "gzip.";
});

/// The value of a field, which nobody is to see.
pub(crate) struct HeaderSecret(String);

impl Shape for HeaderSecret {
    fn title() -> String {
        EnvValue::title()
    }
    fn schema() -> Value {
        EnvValue::schema()
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let EnvValue(text) = EnvValue::read(node, cx)?;
        FieldValue::check(text.trim_end(), node, cx).map(|FieldValue(text)| Self(text))
    }
}

/// A share, or more than that.
pub(crate) struct Sampling(plan::Sampling);

impl Shape for Sampling {
    fn title() -> String {
        "a share from 0.0 to 1.0, or `{ ratio, per_second, errors }`".into()
    }
    fn schema() -> Value {
        json!({ "anyOf": [Share::schema(), SamplingParts::schema()] })
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if !matches!(node.kind, Kind::Map(_)) {
            let Share(ratio) = Share::read(node, cx)?;
            return Some(Self(plan::Sampling { ratio, per_second: None, errors: true }));
        }
        let SamplingParts { ratio, per_second, errors, .. } = SamplingParts::read(node, cx)?;
        let per_second = per_second.and_then(|n| u32::try_from(n.0).ok());
        Some(Self(plan::Sampling { ratio: ratio.0, per_second, errors }))
    }
}

/// Networks of loopback, of private use (RFC 1918, RFC 6598, RFC 4193) and of one link.
const PRIVATE: [&str; 9] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
];

/// Whose trace context is taken over: a word, or networks.
pub(crate) struct Trust(Vec<IpNet>);

impl Shape for Trust {
    fn title() -> String {
        "`all`, `none`, `private`, or a list of networks".into()
    }
    fn schema() -> Value {
        json!({ "anyOf": [{ "enum": ["all", "none", "private"] }, List::<Network>::schema()] })
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let networks = |texts: &[&str]| Some(Self(texts.iter().filter_map(|text| text.parse().ok()).collect()));
        match (node.text(), &node.kind) {
            (Some("all"), _) => networks(&["0.0.0.0/0", "::/0"]),
            (Some("none"), _) => networks(&[]),
            (Some("private"), _) => networks(&PRIVATE),
            (_, Kind::List(_)) => List::<Network>::read(node, cx).map(|l| Self(l.0.into_iter().map(|n| n.0).collect())),
            _ => cx.mismatch(node, &Self::title(), "write `[10.0.0.0/8]` for one network"),
        }
    }
}

/// A network.
struct Network(IpNet);

impl Shape for Network {
    fn title() -> String {
        "a network such as `10.0.0.0/8`".into()
    }
    fn schema() -> Value {
        json!({ "type": "string" })
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let scalar = cx.string(node, &Self::title(), "")?;
        let text = scalar.text.as_str();
        match text.parse().or_else(|_| text.parse().map(|ip: std::net::IpAddr| ip.into())) {
            Ok(network) => Some(Self(network)),
            Err(_) => cx.error(node.at, format!("`{}` is not {}", scalar.shown(), Self::title()), ""),
        }
    }
}

impl Otlp {
    pub(crate) fn plan(self) -> plan::Otlp {
        plan::Otlp {
            endpoint: self.endpoint.0,
            protocol: self.protocol,
            headers: self.headers.0.into_iter().map(|(name, _, value)| (name.0, value.0)).collect(),
            timeout: self.timeout.0,
            compression: self.compression,
            ca: self.ca.map(|path| path.0),
        }
    }
}

impl Metrics {
    pub(crate) fn plan(self) -> plan::Metrics {
        let Self { at, endpoint, protocol, headers, interval, timeout, compression, ca } = self;
        let otlp = Otlp { at, endpoint, protocol, headers, timeout, compression, ca }.plan();
        plan::Metrics { otlp, interval: interval.map(|time| time.0) }
    }
}

impl Sampling {
    pub(crate) fn plan(self) -> plan::Sampling {
        self.0
    }
}

impl Trust {
    pub(crate) fn plan(self) -> Vec<IpNet> {
        self.0
    }
}
