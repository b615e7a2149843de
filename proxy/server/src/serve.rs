//! Serves a configuration: sockets, TLS, Pingora's server, reload on SIGHUP and a clean end.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use pingora_core::{
    apps::HttpServerOptions,
    listeners::tls::TlsSettings,
    server::{RunArgs, Server, ShutdownSignal, ShutdownSignalWatch, configuration::ServerConf},
    services::listening::Service,
};
use pingora_proxy::http_proxy_service_with_name;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use sluice_config::{
    Plan,
    plan::{self, Listener},
};
use sluice_host::Host;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    access_log::AccessLog,
    build,
    context::IN_FLIGHT,
    limits,
    listen::Claim,
    live::Live,
    load::{self, RunError},
    logging,
    outside::Machine,
    proxy::Proxy,
    site::Site,
    tcp::{Bound, TcpProxy},
    upstream::Upstream,
};

/// How often names of upstreams are looked up again.
const RESOLVE: Duration = Duration::from_secs(10);
/// Idle connections kept to all upstreams, for each worker.
const POOL: usize = 512;

/// Serves a configuration until it is told to stop (SIGINT or SIGTERM); SIGHUP loads the file again.
///
/// # Errors
/// [`RunError`] when it cannot be served at all; nothing was bound then.
pub fn run(file: &Path) -> Result<(), RunError> {
    let plan = load::plan(file)?;
    logging::start(&plan.telemetry);
    load::warnings(&plan).iter().for_each(|w| tracing::warn!("{w}"));
    let workers = if plan.server.workers == 0 {
        thread::available_parallelism().map_or(1, usize::from)
    } else {
        plan.server.workers
    };
    let machine = machine(logging::for_filters(plan.telemetry.log_level), file)?;
    let host = Host::new(limits::host(&plan.server, file)?, machine.clone()).map_err(RunError::Host)?;
    let loader = Loader { file: file.to_owned(), host, machine, workers, started: plan.clone() };
    let site = Arc::new(loader.load(&plan, 1)?);
    certificates(&plan, file)?;
    let log = AccessLog::open(plan.telemetry.access_log.as_ref())
        .map_err(|e| RunError::setup(file, sluice_config::Position::default(), format!("telemetry.access_log: {e}")))?;
    let live = Arc::new(Live::new(site));
    let claims = claims(&plan, file)?;
    let server = server(&plan, &claims, file, workers, &live, &log)?;
    spawn(file, "sluice-reload", {
        let live = live.clone();
        move || reload_on_signal(&live, &loader)
    })?;
    spawn(file, "sluice-resolve", move || resolve_for_ever(&live))?;
    let grace = plan.server.shutdown_grace;
    let summary = format!("{} filters, {} routes, {workers} workers", plan.filters.len(), plan.routes.len());
    let schemes: Vec<_> = plan.listeners.iter().map(scheme).collect();
    let name = file.display().to_string();
    spawn(file, "sluice-ready", move || announce(&claims, &schemes, &summary, &name))?;
    let stopping = Arc::new(AtomicBool::new(false));
    let watch = Signals { stopping: stopping.clone(), grace, log: log.clone() };
    server.run(RunArgs { shutdown_signal: Box::new(watch) });
    log.flush();
    Ok(())
}

fn scheme(listener: &Listener) -> &'static str {
    match (&listener.tcp, &listener.tls) {
        (None, None) => "http",
        (None, Some(_)) => "https",
        (Some(_), None) => "tcp",
        (Some(_), Some(_)) => "tls",
    }
}

/// The machine as filters see it.
pub(crate) fn machine(level: sluice_host::LogLevel, file: &Path) -> Result<Arc<Machine>, RunError> {
    Machine::new(level)
        .map(Arc::new)
        .map_err(|e| RunError::setup(file, sluice_config::Position::default(), format!("cannot start a thread: {e}")))
}

/// What turns a file into a site, again and again.
struct Loader {
    file: PathBuf,
    host: Host,
    machine: Arc<Machine>,
    workers: usize,
    /// What the process was started with: some of it stays until it ends.
    started: Plan,
}

impl Loader {
    /// Says which changes of the file need a new process, so that nobody waits for them in vain.
    fn warn_of_what_stays(&self, plan: &Plan) {
        let sockets = |p: &Plan| {
            p.listeners.iter().map(|l| (l.address, l.tls.clone(), l.h2c, l.tcp.is_some())).collect::<Vec<_>>()
        };
        let stays = [
            ("listeners", sockets(plan) != sockets(&self.started)),
            ("telemetry", plan.telemetry != self.started.telemetry),
            ("server.workers", plan.server.workers != self.started.server.workers),
            ("server.guests", plan.server.guests != self.started.server.guests),
            ("server.shared", plan.server.shared != self.started.server.shared),
            ("server.shutdown_grace", plan.server.shutdown_grace != self.started.server.shutdown_grace),
        ];
        for (key, _) in stays.iter().filter(|(_, changed)| *changed) {
            tracing::warn!("`{key}` changed in the file: that needs a restart; everything else is taken over now");
        }
    }

    /// Builds a site. When that fails, callouts go on reaching what they reached before.
    fn load(&self, plan: &Plan, generation: u64) -> Result<Site, RunError> {
        let upstreams = build::upstreams(plan, &self.file, generation)?;
        let before = self.machine.callouts().set_upstreams(&upstreams);
        load_site(&self.host, plan, &self.file, self.workers, upstreams, generation).inspect_err(|_| {
            self.machine.callouts().set_upstreams(&before);
        })
    }
}

/// Loads filters and builds the site; every failing filter is told at once.
fn load_site(
    host: &Host,
    plan: &Plan,
    file: &Path,
    workers: usize,
    upstreams: Vec<Arc<Upstream>>,
    generation: u64,
) -> Result<Site, RunError> {
    let mut filters = Vec::new();
    let mut problems = Vec::new();
    for loaded in build::filters(host, plan, file, workers) {
        match loaded {
            Ok(l) => {
                tracing::info!(
                    filter = &**l.filter.name(),
                    digest = %l.filter.digest().short(),
                    abi = %l.filter.abi(),
                    kib = l.size / 1024,
                    ms = u64::try_from(l.took.as_millis()).unwrap_or(u64::MAX),
                    "filter loaded"
                );
                filters.push(l.filter);
            }
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(RunError::Filters(problems));
    }
    build::site(plan, file, &filters, upstreams, generation)
}

fn spawn(file: &Path, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), RunError> {
    thread::Builder::new()
        .name(name.into())
        .spawn(run)
        .map(drop)
        .map_err(|e| RunError::setup(file, sluice_config::Position::default(), format!("cannot start a thread: {e}")))
}

/// Reads every certificate and key once, because Pingora panics on damaged ones.
pub(crate) fn certificates(plan: &Plan, file: &Path) -> Result<(), RunError> {
    for listener in &plan.listeners {
        let Some(tls) = &listener.tls else { continue };
        let fail = |path: &PathBuf, what: &str, error: String| {
            RunError::setup(
                file,
                listener.at,
                format!("listener {}: the {what} {}: {error}", listener.address, path.display()),
            )
        };
        let pem = std::fs::read(&tls.cert).map_err(|e| fail(&tls.cert, "certificate", e.to_string()))?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|e| fail(&tls.cert, "certificate", e.to_string()))?;
        let key = std::fs::read(&tls.key).map_err(|e| fail(&tls.key, "key", e.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|e| fail(&tls.key, "key", e.to_string()))?;
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|b| b.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|e| fail(&tls.cert, "certificate and its key", e.to_string()))?;
    }
    Ok(())
}

/// Claims every address before anything is started.
fn claims(plan: &Plan, file: &Path) -> Result<Vec<Claim>, RunError> {
    plan.listeners
        .iter()
        .map(|l| {
            Claim::new(l.address).map_err(|e| RunError::Setup {
                at: load::Place::new(file, l.at),
                message: format!("cannot listen on {}: {e}", l.address),
                help: (e.kind() == std::io::ErrorKind::AddrInUse).then(|| {
                    "another program listens there; stop it or choose another port (0 takes any free one)".to_owned()
                }),
            })
        })
        .collect()
}

/// Says that it serves, once it does.
fn announce(claims: &[Claim], schemes: &[&str], summary: &str, file: &str) {
    for (claim, scheme) in claims.iter().zip(schemes) {
        if !claim.wait() {
            tracing::error!("nobody listens on {} although it was asked for", claim.address);
            std::process::exit(1);
        }
        tracing::info!("serving {scheme}://{}", claim.address);
    }
    tracing::info!("ready: {summary}; Ctrl-C stops, SIGHUP loads {file} again");
}

fn server(
    plan: &Plan,
    claims: &[Claim],
    file: &Path,
    workers: usize,
    live: &Arc<Live>,
    log: &AccessLog,
) -> Result<Server, RunError> {
    let conf = ServerConf {
        threads: workers,
        // Without work stealing Pingora 0.9.1 loses pooled upstream connections.
        work_stealing: true,
        upstream_keepalive_pool_size: POOL,
        max_retries: 3,
        // Longer than our own drain, which ends the process as soon as nothing is left to wait for.
        grace_period_seconds: Some(plan.server.shutdown_grace.as_secs() + 5),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let http = |l: &Listener| l.tcp.is_none();
    for h2c in [false, true] {
        let listeners: Vec<_> = plan.listeners.iter().zip(claims).filter(|(l, _)| http(l) && l.h2c == h2c).collect();
        if listeners.is_empty() {
            continue;
        }
        let proxy = Proxy { live: live.clone(), log: log.clone() };
        let mut service = http_proxy_service_with_name(&server.configuration, proxy, if h2c { "h2c" } else { "http" });
        if let Some(app) = service.app_logic_mut() {
            let mut options = HttpServerOptions::default();
            options.h2c = h2c;
            options.h2_idle_timeout = Some(plan.server.keepalive);
            app.server_options = Some(options);
        }
        for (listener, claim) in listeners {
            let address = claim.address.to_string();
            match &listener.tls {
                None => service.add_tcp(&address),
                Some(tls) => {
                    let mut settings = tls_settings(file, listener, tls)?;
                    settings.enable_h2();
                    service.add_tls_with_settings(&address, None, settings);
                }
            }
        }
        server.add_service(service);
    }
    let tcp: Vec<_> = plan.listeners.iter().zip(claims).filter(|(l, _)| !http(l)).collect();
    if !tcp.is_empty() {
        let listeners = tcp.iter().map(|(l, c)| Bound { configured: l.address, address: c.address }).collect();
        let app = TcpProxy { live: live.clone(), log: log.clone(), listeners };
        let mut service = Service::new("tcp".to_owned(), app);
        for (listener, claim) in tcp {
            match &listener.tls {
                None => service.add_tcp(&claim.address.to_string()),
                Some(tls) => {
                    let settings = tls_settings(file, listener, tls)?;
                    service.add_tls_with_settings(&claim.address.to_string(), None, settings);
                }
            }
        }
        server.add_service(service);
    }
    Ok(server)
}

fn tls_settings(file: &Path, listener: &Listener, tls: &plan::ListenerTls) -> Result<TlsSettings, RunError> {
    let (cert, key) = (tls.cert.to_string_lossy(), tls.key.to_string_lossy());
    TlsSettings::intermediate(&cert, &key)
        .map_err(|e| RunError::setup(file, listener.at, format!("listener {}: {e}", listener.address)))
}

/// SIGHUP: read, load, build, swap; any error keeps what serves.
fn reload_on_signal(live: &Live, loader: &Loader) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
        while hangup.recv().await.is_some() {
            let began = Instant::now();
            let generation = live.get().generation + 1;
            let built =
                load::plan(&loader.file).and_then(|plan| loader.load(&plan, generation).map(|site| (plan, site)));
            match built {
                Ok((plan, site)) => {
                    loader.warn_of_what_stays(&plan);
                    live.swap(Arc::new(site));
                    tracing::info!(
                        generation,
                        ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
                        "the new configuration serves"
                    );
                }
                Err(error) => {
                    tracing::error!("the new configuration is refused, the old one goes on serving:\n{error}")
                }
            }
        }
    });
}

fn resolve_for_ever(live: &Live) {
    loop {
        thread::sleep(RESOLVE);
        for upstream in &live.get().upstreams {
            if let crate::upstream::Kind::Servers(servers) = &upstream.kind {
                servers.resolve_again();
            }
        }
    }
}

/// SIGINT and SIGTERM begin the end: no new connections, requests in flight finish, then the process ends with 0.
struct Signals {
    stopping: Arc<AtomicBool>,
    grace: Duration,
    log: AccessLog,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!(
            in_flight = IN_FLIGHT.load(Ordering::Relaxed),
            "stopping: no new connections, requests in flight may finish"
        );
        if !self.stopping.swap(true, Ordering::SeqCst) {
            let (grace, log) = (self.grace, self.log.clone());
            // Pingora would sleep through the whole grace period even when nothing is left to wait for.
            let _ = thread::Builder::new().name("sluice-drain".into()).spawn(move || drain(grace, &log));
        }
        ShutdownSignal::GracefulTerminate
    }
}

fn drain(grace: Duration, log: &AccessLog) {
    let began = Instant::now();
    // A moment for connections that were accepted just now to become requests.
    thread::sleep(Duration::from_millis(100));
    while IN_FLIGHT.load(Ordering::Relaxed) > 0 && began.elapsed() < grace {
        thread::sleep(Duration::from_millis(10));
    }
    let left = IN_FLIGHT.load(Ordering::Relaxed);
    if left > 0 {
        tracing::warn!(left, "the grace period is over; the requests that are left are cut");
    }
    log.flush();
    tracing::info!("stopped");
    std::process::exit(0);
}
