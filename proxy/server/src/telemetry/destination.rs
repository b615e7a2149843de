//! Where spans go.

use std::{collections::HashMap, fmt, time::Duration};

use http::HeaderMap;
use hyper_rustls::HttpsConnectorBuilder;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{
    Compression, Protocol, SpanExporter, WithExportConfig, WithHttpConfig as _, WithTonicConfig as _,
    tonic_types::{metadata::MetadataMap, transport::ClientTlsConfig},
};
use sluice_config::plan::{self, OtlpCompression, OtlpProtocol};

/// How long a request may take when nobody says; `OTEL_EXPORTER_OTLP_TIMEOUT` has the same default.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where spans go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination {
    /// `None` leaves it to the environment, which the exporter reads by itself.
    file: Option<plan::Otlp>,
    protocol: OtlpProtocol,
    tls: bool,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            OtlpProtocol::Grpc => "gRPC",
            OtlpProtocol::Http => "HTTP",
        };
        match &self.file {
            // A URL may hold a password.
            Some(plan::Otlp { endpoint, .. }) => {
                let (scheme, rest) = endpoint.split_once("://").unwrap_or(("", endpoint));
                let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
                let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
                write!(f, "{scheme}://{host} by {protocol}")
            }
            None => write!(f, "the collector of OTEL_EXPORTER_OTLP_ENDPOINT by {protocol}"),
        }
    }
}

/// What the configuration says, or else the environment; `None` when nobody says anything, or the environment wants none.
///
/// # Errors
/// The environment asks for a protocol that is not there.
pub(super) fn destination(otlp: Option<&plan::Otlp>) -> Result<Option<Destination>, String> {
    resolve(otlp, &|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

fn resolve(otlp: Option<&plan::Otlp>, env: &dyn Fn(&str) -> Option<String>) -> Result<Option<Destination>, String> {
    let off = env("OTEL_SDK_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true"))
        || env("OTEL_TRACES_EXPORTER").is_some_and(|v| v == "none");
    if off {
        return Ok(None);
    }
    if let Some(otlp) = otlp {
        let tls = otlp.endpoint.starts_with("https:");
        return Ok(Some(Destination { file: Some(otlp.clone()), protocol: otlp.protocol, tls }));
    }
    let said = env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| env("OTEL_EXPORTER_OTLP_ENDPOINT"));
    let Some(endpoint) = said else { return Ok(None) };
    let said = env("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL").or_else(|| env("OTEL_EXPORTER_OTLP_PROTOCOL"));
    let protocol = match said.as_deref() {
        Some("grpc") => OtlpProtocol::Grpc,
        None | Some("http/protobuf") => OtlpProtocol::Http,
        Some(other) => {
            let known = "`grpc` or `http/protobuf`";
            return Err(format!("OTEL_EXPORTER_OTLP_PROTOCOL: `{other}` is not known here: write {known}"));
        }
    };
    Ok(Some(Destination { file: None, protocol, tls: endpoint.starts_with("https:") }))
}

impl Destination {
    /// The way there. Must be called inside of the runtime that its connections shall live on; nothing is connected yet.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub(super) fn exporter(&self) -> Result<SpanExporter, String> {
        match self.protocol {
            OtlpProtocol::Grpc => self.grpc(),
            OtlpProtocol::Http => self.http(),
        }
    }

    fn grpc(&self) -> Result<SpanExporter, String> {
        let mut builder = SpanExporter::builder().with_tonic();
        if self.tls {
            // By itself it trusts nobody.
            builder = builder.with_tls_config(ClientTlsConfig::new().with_native_roots());
        }
        if let Some(file) = &self.file {
            let fields = HeaderMap::try_from(&headers(file)).map_err(|e| format!("headers: {e}"))?;
            builder = builder
                .with_endpoint(file.endpoint.clone())
                .with_timeout(file.timeout)
                .with_metadata(MetadataMap::from_headers(fields));
            if file.compression == OtlpCompression::Gzip {
                builder = builder.with_compression(Compression::Gzip);
            }
        }
        builder.build().map_err(|e| e.to_string())
    }

    fn http(&self) -> Result<SpanExporter, String> {
        let timeout = self.file.as_ref().map_or(TIMEOUT, |file| file.timeout);
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(|e| format!("the certificates of this system cannot be read: {e}"))?
            .https_or_http()
            .enable_http1()
            .build();
        let mut builder = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_http_client(HyperClient::new(connector, timeout, None));
        if let Some(file) = &self.file {
            builder = builder
                .with_endpoint(format!("{}/v1/traces", file.endpoint.trim_end_matches('/')))
                .with_timeout(timeout)
                .with_headers(headers(file));
            if file.compression == OtlpCompression::Gzip {
                builder = builder.with_compression(Compression::Gzip);
            }
        }
        builder.build().map_err(|e| e.to_string())
    }
}

/// As both builders take them.
fn headers(otlp: &plan::Otlp) -> HashMap<String, String> {
    otlp.headers.clone().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(otlp: Option<&plan::Otlp>, env: &[(&str, &str)]) -> Result<Option<Destination>, String> {
        resolve(otlp, &|name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_file_comes_before_the_environment_and_either_turns_it_on() {
        let file = plan::Otlp {
            endpoint: "http://u:secret@a:4317/x".into(),
            protocol: OtlpProtocol::Grpc,
            headers: [("x-key".to_owned(), "secret".to_owned())].into(),
            timeout: Duration::from_secs(1),
            compression: OtlpCompression::Gzip,
        };
        let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://b:4318")];
        assert_eq!(of(None, &[]), Ok(None));
        let resolved = of(None, &env).expect("valid").expect("it is on");
        assert_eq!((resolved.file.is_none(), resolved.protocol), (true, OtlpProtocol::Http));
        let resolved = of(Some(&file), &env).expect("valid").expect("it is on");
        assert_eq!(resolved.to_string(), "http://a:4317 by gRPC");
        for off in [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert_eq!(of(Some(&file), &[off]), Ok(None));
        }
        let unknown = of(None, &[env[0], ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")]).expect_err("not known");
        assert!(unknown.contains("`http/json`") && unknown.contains("http/protobuf"), "{unknown}");
    }
}
