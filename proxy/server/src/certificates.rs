//! Certificates and keys of listeners: checked when they are read, and exchanged while connections come.

use std::{fmt, path::Path, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use sluice_config::{
    Plan,
    plan::{Listener, ListenerTls},
};

use crate::{load::RunError, reload::Files};

/// The certificate of one listener. A handshake takes the one that is there then.
pub(crate) struct Certificate(ArcSwap<CertifiedKey>);

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the certificate of a listener")
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// The keys of a plan, one for each of its listeners; `None` for one without TLS.
pub(crate) type Keys = Vec<Option<Arc<CertifiedKey>>>;

/// Reads all of them.
///
/// # Errors
/// [`RunError::Setup`] for a file that cannot be read, is damaged, or does not belong to the other.
pub(crate) fn read(plan: &Plan, file: &Path, files: &Files) -> Result<Keys, RunError> {
    let keys = plan.listeners.iter().map(|l| l.tls.as_ref().map(|tls| key(l, tls, file, files)).transpose());
    keys.collect()
}

fn key(listener: &Listener, tls: &ListenerTls, file: &Path, files: &Files) -> Result<Arc<CertifiedKey>, RunError> {
    let fail = |path: &Path, what: &str, error: &dyn fmt::Display| {
        let message = format!("listener {}: the {what} {}: {error}", listener.address, path.display());
        RunError::setup(file, listener.at, message)
    };
    let pem = files.read(&tls.cert).map_err(|e| fail(&tls.cert, "certificate", &e))?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|e| fail(&tls.cert, "certificate", &e))?;
    let pem = files.read(&tls.key).map_err(|e| fail(&tls.key, "key", &e))?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|e| fail(&tls.key, "key", &e))?;
    let key = CertifiedKey::from_der(chain, key, &ring::default_provider());
    key.map(Arc::new).map_err(|e| fail(&tls.cert, "certificate and its key", &e))
}

/// The certificates of the listeners that the process has.
pub(crate) struct Certificates(Vec<(Listener, Option<Arc<Certificate>>)>);

impl Certificates {
    /// For the listeners that are bound now.
    pub(crate) fn new(plan: &Plan, keys: &Keys) -> Self {
        let certificate =
            |key: &Option<Arc<CertifiedKey>>| key.as_ref().map(|key| Arc::new(Certificate(ArcSwap::new(key.clone()))));
        Self(plan.listeners.iter().cloned().zip(keys.iter().map(certificate)).collect())
    }

    /// The one of the listener at this place of the plan it was started with.
    pub(crate) fn of(&self, listener: usize) -> Option<&Arc<Certificate>> {
        self.0.get(listener)?.1.as_ref()
    }

    /// Takes the keys of a new plan over: by address, and those of several listeners of one address in their order.
    pub(crate) fn exchange(&self, plan: &Plan, keys: &Keys) {
        for (at, (listener, certificate)) in self.0.iter().enumerate() {
            let earlier = self.0.iter().take(at).filter(|(l, _)| l.address == listener.address).count();
            let same = plan.listeners.iter().zip(keys).filter(|(l, _)| l.address == listener.address).nth(earlier);
            if let (Some(certificate), Some((_, Some(key)))) = (certificate, same) {
                certificate.0.store(key.clone());
            }
        }
    }
}
