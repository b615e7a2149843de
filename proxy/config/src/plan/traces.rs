//! Where traces go and which requests are in them.

use std::{collections::BTreeMap, time::Duration};

pub use ipnet::IpNet;

/// Where traces are sent.
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
