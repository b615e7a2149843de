//! TLS of a client's connection, in the words of the protocol and not of the library.

use std::{any::Any, sync::Arc};

use async_trait::async_trait;
use pingora_core::{
    listeners::TlsAccept,
    protocols::tls::{SslDigest, TlsRef},
};
use sluice_host::TlsFacts;

/// Notes what filters may read, once for each connection.
pub(crate) struct Handshakes;

/// What was noted.
struct Noted(Arc<TlsFacts>);

#[async_trait]
impl TlsAccept for Handshakes {
    async fn handshake_complete_callback(&self, tls: &TlsRef) -> Option<Arc<dyn Any + Send + Sync>> {
        Some(Arc::new(Noted(Arc::new(TlsFacts {
            version: word(tls.version().unwrap_or_default()).to_owned(),
            server_name: tls.server_name().map(str::to_owned),
            mutual: tls.peer_certificate_der().is_some(),
        }))))
    }
}

/// `TLSv1.3` or `TLSv1.2`.
pub(crate) fn version(tls: &SslDigest) -> &str {
    word(&tls.version)
}

fn word(version: &str) -> &str {
    match version {
        "TLSv1_3" => "TLSv1.3",
        "TLSv1_2" => "TLSv1.2",
        other => other,
    }
}

/// The name that the client asked for (SNI).
pub(crate) fn server_name(tls: &SslDigest) -> Option<&str> {
    tls.extension.get::<Noted>()?.0.server_name.as_deref()
}

/// What filters read of it.
pub(crate) fn facts(tls: &SslDigest) -> Option<Arc<TlsFacts>> {
    tls.extension.get::<Noted>().map(|noted| noted.0.clone())
}
