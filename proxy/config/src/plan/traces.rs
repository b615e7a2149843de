//! Where traces and metrics go, which requests are in traces, and what else tells of a trace.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

pub use ipnet::IpNet;

/// Where something is sent by OTLP.
#[derive(Clone, PartialEq, Eq)]
pub struct Otlp {
    /// URL of the collector.
    pub endpoint: String,
    /// `grpc` or `http`.
    pub protocol: OtlpProtocol,
    /// Fields of each request: names in lower case; values are secrets.
    pub headers: BTreeMap<String, String>,
    /// How long one request may take.
    pub timeout: Duration,
    /// How requests are packed.
    pub compression: OtlpCompression,
    /// The certificates that a collector with TLS is known by; `None` trusts those of the system.
    pub ca: Option<PathBuf>,
}

/// Where metrics are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// The collector.
    pub otlp: Otlp,
    /// How often; `None` leaves it to the environment.
    pub interval: Option<Duration>,
}

/// Whether B3 stands beside the W3C trace context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum B3 {
    /// Neither read nor written.
    Off,
    /// Read; written as one field, `b3`.
    Single,
    /// Read; written as a field for each part, `x-b3-*`.
    Multi,
}

impl B3 {
    /// What the configuration calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Single => "single",
            Self::Multi => "multi",
        }
    }
}

/// Neither passwords in the URL nor values of fields are shown.
impl std::fmt::Debug for Otlp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Otlp").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

/// How OTLP travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names say it")]
pub enum OtlpProtocol {
    #[default]
    Grpc,
    Http,
}

/// How requests to the collector are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names say it")]
pub enum OtlpCompression {
    #[default]
    None,
    Gzip,
}

/// Which requests are traced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Share of the requests, 0.0 to 1.0.
    pub ratio: f64,
    /// Most traces that begin here in a second.
    pub per_second: Option<u32>,
    /// What fails is traced too.
    pub errors: bool,
}
