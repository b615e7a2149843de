//! How a collector is reached: connections with TLS where its URL says so.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tonic::transport::{Certificate, ClientTlsConfig};

use super::destination::Destination;

impl Destination {
    /// What TLS trusts on the way of gRPC; `None` without TLS.
    ///
    /// # Errors
    /// The file with certificates cannot be read.
    pub(super) fn grpc_tls(&self) -> Result<Option<ClientTlsConfig>, String> {
        if !self.url.starts_with("https:") {
            return Ok(None);
        }
        let config = ClientTlsConfig::new();
        Ok(Some(match self.pem()? {
            Some(pem) => config.ca_certificate(Certificate::from_pem(pem)),
            // By itself it trusts nobody.
            None => config.with_native_roots(),
        }))
    }

    /// What opens connections for HTTP.
    ///
    /// # Errors
    /// The certificates cannot be read.
    pub(super) fn connector(&self) -> Result<HttpsConnector<HttpConnector>, String> {
        let builder = HttpsConnectorBuilder::new();
        let builder = match self.pem()? {
            Some(pem) => builder.with_tls_config(trusting(&pem).map_err(|e| self.in_ca(&e))?),
            None => builder
                .with_native_roots()
                .map_err(|e| format!("the certificates of this system cannot be read: {e}"))?,
        };
        Ok(builder.https_or_http().enable_http1().build())
    }

    /// The fields of each request.
    ///
    /// # Errors
    /// One of them cannot be sent.
    pub(super) fn fields(&self) -> Result<HeaderMap, String> {
        let field = |(name, value): (&String, &String)| {
            let parsed = name.parse::<HeaderName>().ok().zip(HeaderValue::from_str(value).ok());
            parsed.ok_or_else(|| format!("headers: the field `{name}` cannot be sent"))
        };
        self.headers.iter().map(field).collect()
    }

    fn pem(&self) -> Result<Option<Vec<u8>>, String> {
        let read = |path| std::fs::read(path).map_err(|e| self.in_ca(&e.to_string()));
        self.ca.as_ref().map(read).transpose()
    }

    fn in_ca(&self, error: &str) -> String {
        let path = self.ca.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        format!("ca: {path}: {error}")
    }
}

fn trusting(pem: &[u8]) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
    }
    if roots.is_empty() {
        return Err("holds no certificate in PEM form".to_owned());
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(|e| e.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
