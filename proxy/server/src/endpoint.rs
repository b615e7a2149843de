//! One server of an upstream: its addresses, how Pingora reaches it, and the clients that callouts use.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    sync::{Arc, OnceLock},
    time::Duration,
};

use hyper_util::client::legacy::Error as ClientError;
use parking_lot::RwLock;
use pingora_core::{
    protocols::{Stream, tls::CaType},
    upstreams::peer::{HttpPeer, PeerOptions},
    utils::tls::WrappedX509,
};
use quanta::Instant;
use sluice_config::plan::{self, HealthCheck, UpstreamHttp};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{
    dial::{self, Client},
    health::Rules,
    reload::Files,
    resting::Resting,
    traffic::{Reached, Tally},
    upstream::UpstreamError,
};

/// Streams in one upstream HTTP/2 connection; Pingora's own default is one.
const H2_STREAMS: usize = 100;
/// Pings keep an idle HTTP/2 connection from being forgotten on the way.
pub(crate) const H2_PING: Duration = Duration::from_secs(30);
/// Waits towards an endpoint that no upstream of the configuration describes.
const CONNECT: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(60);

/// What all endpoints of an upstream have in common.
pub(crate) struct Settings {
    options: PeerOptions,
    tls: bool,
    group: u64,
    http: UpstreamHttp,
    rules: Rules,
    check: Option<HealthCheck>,
}

/// One server.
pub(crate) struct Endpoint {
    host: String,
    port: u16,
    sni: String,
    /// What the host's name meant when it was last looked up.
    addresses: RwLock<Vec<SocketAddr>>,
    settings: Arc<Settings>,
    tally: Arc<Tally>,
    /// Connections that speak HTTP/1.1, between requests.
    pub(crate) resting: Resting,
    /// For HTTP callouts, as the upstream speaks it, and for gRPC, which is always HTTP/2.
    http: OnceLock<Client>,
    grpc: OnceLock<Client>,
    /// It is asked how it is.
    checked: OnceLock<()>,
}

impl Settings {
    /// `number` tells upstreams apart in the connection pool.
    pub(crate) fn build(plan: &plan::Servers, number: u64, files: &Files) -> Result<Self, UpstreamError> {
        // Where there is no other, passing it over helps nobody.
        let plan::UpstreamHealth { failures, period, max_period, check } = plan.health.clone();
        let misses = check.is_some().then(|| failures.max(1));
        let failures = if plan.endpoints.len() > 1 { failures } else { 0 };
        let rules = Rules { failures, misses, period, max_period };
        let (options, tls) = (options(plan, files)?, plan.tls.is_some());
        Ok(Self { options, tls, group: number, http: plan.http, rules, check })
    }
}

impl Endpoint {
    pub(crate) fn build(
        plan: &plan::Endpoint,
        servers: &plan::Servers,
        settings: Arc<Settings>,
        reached: &Reached,
    ) -> Self {
        // A name that means nothing now may mean something soon: it is asked for again, and answers 502 until then.
        let addresses = (plan.host.as_str(), plan.port).to_socket_addrs().map(Iterator::collect).unwrap_or_else(|error| {
            tracing::warn!(host = %plan.host, %error, "the name of an upstream cannot be looked up; it is tried again");
            Vec::new()
        });
        // An empty name would switch verification off in Pingora, so the host stands in for a name that is not given.
        let sni =
            servers.tls.as_ref().map_or_else(String::new, |tls| tls.sni.clone().unwrap_or_else(|| plan.host.clone()));
        let tally = reached.endpoints.of(&authority(&plan.host, plan.port));
        Self::new(plan.host.clone(), plan.port, sni, addresses, settings, tally)
    }

    /// A server without TLS that a filter was granted by `host:port`; its name is looked up for each connection.
    pub(crate) fn plain(host: &str, port: u16) -> Self {
        let mut options = PeerOptions::new();
        options.connection_timeout = Some(CONNECT);
        options.total_connection_timeout = Some(CONNECT);
        options.idle_timeout = Some(IDLE);
        let rules = Rules { failures: 0, misses: None, period: CONNECT, max_period: CONNECT };
        let settings = Settings { options, tls: false, group: 0, http: UpstreamHttp::H1, rules, check: None };
        Self::new(host.to_owned(), port, String::new(), Vec::new(), Arc::new(settings), Arc::default())
    }

    fn new(
        host: String,
        port: u16,
        sni: String,
        addresses: Vec<SocketAddr>,
        settings: Arc<Settings>,
        tally: Arc<Tally>,
    ) -> Self {
        let addresses = RwLock::new(addresses);
        let (resting, http, grpc, checked) = (Resting::new(), OnceLock::new(), OnceLock::new(), OnceLock::new());
        Self { host, port, sni, addresses, settings, tally, resting, http, grpc, checked }
    }

    /// Where it is; `None` when its name means nothing now.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.addresses.read().first().copied()
    }

    /// Ready for Pingora.
    pub(crate) fn peer_at(&self, address: SocketAddr) -> HttpPeer {
        let mut peer = HttpPeer::new(address, self.settings.tls, self.sni.clone());
        peer.options = self.settings.options.clone();
        // Pingora's pool does not tell connections with different CAs apart by itself.
        peer.group_key = self.settings.group;
        peer
    }

    /// Opens a connection, of HTTP/1.1 where its upstream speaks that.
    ///
    /// # Errors
    /// Pingora's, of an upstream.
    pub(crate) async fn connect(&self, address: SocketAddr) -> pingora_core::Result<Stream> {
        dial::connector().new_stream(&self.peer_at(address)).await
    }

    /// As [`Self::peer_at`], looking the name up when no address is known.
    ///
    /// # Errors
    /// The resolver's words.
    pub(crate) async fn peer_now(&self) -> Result<HttpPeer, String> {
        let address = match self.address() {
            Some(address) => address,
            None => {
                let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
                let first = found.map_err(|e| e.to_string())?.next();
                first.ok_or_else(|| format!("the name {} means no address now", self.host))?
            }
        };
        Ok(self.peer_at(address))
    }

    /// `host:port`, with brackets around an IPv6 address.
    pub(crate) fn authority(&self) -> String {
        authority(&self.host, self.port)
    }

    /// Host and port, as they are configured.
    pub(crate) fn host_and_port(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// What its name means; only the first is used.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.read().clone()
    }

    /// How it was reached.
    pub(crate) fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// Whether a request may go there now; asked once for each.
    #[inline]
    pub(crate) fn admits(&self, now: Instant) -> bool {
        self.tally.health.admits(now, &self.settings.rules)
    }

    /// It answered a request.
    #[inline]
    pub(crate) fn answered(&self) {
        if self.tally.health.answered() {
            tracing::info!(endpoint = self.authority(), "the endpoint answers again, and gets its requests");
        }
    }

    /// No answer came of a request.
    pub(crate) fn unanswered(&self) {
        if let Some(time) = self.tally.health.failed(Instant::now(), &self.settings.rules) {
            let endpoint = self.authority();
            tracing::warn!(
                endpoint,
                seconds = time.as_secs_f64(),
                "no answers come from the endpoint: it is passed over"
            );
        }
    }

    /// How it is asked how it is, if it is.
    pub(crate) fn check(&self) -> Option<&HealthCheck> {
        self.settings.check.as_ref()
    }

    /// True once, when it is to be asked how it is: the caller does so from now on.
    pub(crate) fn wants_checks(&self) -> bool {
        self.check().is_some() && self.checked.set(()).is_ok()
    }

    /// What it said when it was asked how it is, or why it did not.
    pub(crate) fn said(&self, how: Result<(), String>) {
        let endpoint = self.authority();
        match (self.tally.health.asked(how.is_ok(), &self.settings.rules), how) {
            (Some(true), Err(why)) => tracing::warn!(endpoint, why, "the endpoint is not well: it is passed over"),
            (Some(false), _) => tracing::info!(endpoint, "the endpoint is well, and gets its requests"),
            _ => {}
        }
    }

    /// What came of a callout, noted: how long its filter wants to wait says nothing, but no connection does.
    pub(crate) fn reached<T>(&self, came: Result<T, ClientError>) -> Result<T, ClientError> {
        match &came {
            Ok(_) => self.answered(),
            Err(error) if error.is_connect() => self.unanswered(),
            Err(_) => {}
        }
        came
    }

    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.settings.tls { "https" } else { "http" }
    }

    /// The client for HTTP callouts.
    pub(crate) fn http_client(self: &Arc<Self>) -> &Client {
        self.http.get_or_init(|| dial::client(self, self.settings.http, self.idle()))
    }

    /// The client for gRPC calls.
    pub(crate) fn grpc_client(self: &Arc<Self>) -> &Client {
        self.grpc.get_or_init(|| dial::client(self, UpstreamHttp::H2, self.idle()))
    }

    /// How long an answer, or its next piece, may take.
    pub(crate) fn read_timeout(&self) -> Duration {
        self.settings.options.read_timeout.unwrap_or(IDLE)
    }

    /// How long it may take to get rid of a piece of a request.
    pub(crate) fn write_timeout(&self) -> Duration {
        self.settings.options.write_timeout.unwrap_or(IDLE)
    }

    /// How long a connection may rest.
    pub(crate) fn idle(&self) -> Duration {
        self.settings.options.idle_timeout.unwrap_or(IDLE)
    }

    /// Looks the name up again; one that cannot be resolved keeps its last addresses.
    pub(crate) fn resolve_again(&self) {
        if self.host.parse::<std::net::IpAddr>().is_ok() {
            return;
        }
        match (self.host.as_str(), self.port).to_socket_addrs() {
            Ok(found) => {
                let found: Vec<_> = found.collect();
                if !found.is_empty() && *self.addresses.read() != found {
                    tracing::info!(host = %self.host, addresses = ?found, "the name has new addresses");
                    *self.addresses.write() = found;
                }
            }
            Err(error) => {
                tracing::warn!(host = %self.host, %error, "the name cannot be looked up; its last addresses stay")
            }
        }
    }
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn options(plan: &plan::Servers, files: &Files) -> Result<PeerOptions, UpstreamError> {
    let mut o = PeerOptions::new();
    // Every wait is bounded: all of these are unlimited when they are not set.
    o.connection_timeout = Some(plan.timeouts.connect);
    o.total_connection_timeout = Some(plan.timeouts.connect);
    o.read_timeout = Some(plan.timeouts.read);
    o.write_timeout = Some(plan.timeouts.write);
    o.idle_timeout = Some(plan.timeouts.idle);
    o.max_h2_streams = H2_STREAMS;
    o.h2_ping_interval = Some(H2_PING);
    match (plan.http, plan.tls.is_some()) {
        (UpstreamHttp::H1, _) | (UpstreamHttp::Auto, false) => o.set_http_version(1, 1),
        (UpstreamHttp::H2, _) => o.set_http_version(2, 2),
        (UpstreamHttp::Auto, true) => o.set_http_version(2, 1),
    }
    if let Some(tls) = &plan.tls {
        o.verify_cert = tls.verify;
        o.verify_hostname = tls.verify;
        if let Some(path) = &tls.ca {
            let fail = |error: String| UpstreamError::Ca { path: path.display().to_string(), error };
            let pem = files.read(path).map_err(|e| fail(e.to_string()))?;
            let certificates: Vec<_> = pem_certificates(&pem).map_err(fail)?;
            o.ca = Some(Arc::from(certificates.into_boxed_slice()) as Arc<CaType>);
        }
    }
    Ok(o)
}

fn pem_certificates(pem: &[u8]) -> Result<Vec<WrappedX509>, String> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .map(|c| c.map_err(|e| e.to_string()))
        .map(|c| c.and_then(|der| wrapped(der.to_vec())))
        .collect::<Result<_, _>>()?;
    if found.is_empty() { Err("holds no certificate in PEM form".to_owned()) } else { Ok(found) }
}

fn wrapped(der: Vec<u8>) -> Result<WrappedX509, String> {
    WrappedX509::try_new(der, |raw| X509Certificate::from_der(raw).map(|(_, certificate)| certificate))
        .map_err(|e| format!("a certificate in it cannot be read: {e}"))
}
