//! The exporter of spans, as a destination says.

use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{
    Compression, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _,
};
use sluice_config::plan::{OtlpCompression, OtlpProtocol};
use tonic::metadata::MetadataMap;

use super::destination::Destination;

/// The way there. Must be called inside of the runtime that its connections shall live on; nothing is connected yet.
///
/// # Errors
/// What is wrong with the address.
pub(super) fn exporter(to: &Destination) -> Result<SpanExporter, String> {
    match to.protocol {
        OtlpProtocol::Grpc => grpc(to),
        OtlpProtocol::Http => http(to),
    }
}

fn grpc(to: &Destination) -> Result<SpanExporter, String> {
    let mut builder = SpanExporter::builder().with_tonic().with_endpoint(to.url.clone()).with_timeout(to.timeout);
    if let Some(tls) = to.grpc_tls()? {
        builder = builder.with_tls_config(tls);
    }
    // What the environment says it reads by itself.
    if to.of_file {
        builder = builder.with_metadata(MetadataMap::from_headers(to.fields()?));
    }
    if to.compression == OtlpCompression::Gzip {
        builder = builder.with_compression(Compression::Gzip);
    }
    builder.build().map_err(|e| e.to_string())
}

fn http(to: &Destination) -> Result<SpanExporter, String> {
    let mut builder = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_http_client(HyperClient::new(to.connector()?, to.timeout, None))
        .with_endpoint(to.url.clone())
        .with_timeout(to.timeout);
    if to.of_file {
        builder = builder.with_headers(to.headers.clone().into_iter().collect());
    }
    if to.compression == OtlpCompression::Gzip {
        builder = builder.with_compression(Compression::Gzip);
    }
    builder.build().map_err(|e| e.to_string())
}
