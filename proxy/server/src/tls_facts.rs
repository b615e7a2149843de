//! TLS of a client's connection, in the words of the protocol and not of the library.

use std::sync::Arc;

use pingora_core::protocols::tls::SslDigest;
use sluice_host::TlsFacts;

/// `TLSv1.3` or `TLSv1.2`.
pub(crate) fn version(tls: &SslDigest) -> &str {
    match &*tls.version {
        "TLSv1_3" => "TLSv1.3",
        "TLSv1_2" => "TLSv1.2",
        other => other,
    }
}

/// What filters read of it.
pub(crate) fn facts(tls: &SslDigest) -> Arc<TlsFacts> {
    let mutual = !tls.cert_digest.is_empty();
    Arc::new(TlsFacts { version: version(tls).to_owned(), server_name: None, mutual })
}
