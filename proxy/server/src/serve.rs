//! Serves a configuration: sockets, TLS, Pingora's server, reload on SIGHUP and a clean end.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering, mpsc},
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
use pingora_proxy::http_proxy;
use sluice_config::{Plan, Position, plan::Listener};
use sluice_host::Host;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    access_log::AccessLog,
    admin::{self, Status},
    certificates::{Certificate, Certificates},
    context::in_flight,
    front::Front,
    leave::Leaving,
    limits,
    listen::Claim,
    live::Live,
    load::{self, RunError},
    logging::Logging,
    outside::Machine,
    probe::Probe,
    proxy::Proxy,
    reload::{self, Ask, Cause, Files, Loader, Reloader, Wishes},
    tcp::{Bound, TcpProxy},
    telemetry::{Collector, Exports, MetricsPush, Tracing},
    tls_facts::Handshakes,
    upkeep,
    watch::Waker,
};

/// Connections to upstreams that may speak HTTP/2 which rest, for each worker; those of HTTP/1.1 stand in `resting.rs`.
const POOL: usize = 512;

/// Serves a configuration until it is told to stop (SIGINT or SIGTERM); SIGHUP loads the file again. What it asks of new
/// versions of filters (`reload.probe`) is played by `probe`.
///
/// # Errors
/// [`RunError`] when it cannot be served at all; nothing was bound then.
pub fn run(file: &Path, probe: Arc<dyn Probe>) -> Result<(), RunError> {
    let files = Files::default();
    let plan = load::plan(file, &files)?;
    let logging = Logging::start(&plan.telemetry.log).map_err(|e| no_thread(file, &e))?;
    let _flush = logging.flush_at_end();
    load::warnings(&plan).iter().for_each(|w| tracing::warn!("{w}"));
    let workers = if plan.server.workers == 0 {
        thread::available_parallelism().map_or(1, usize::from)
    } else {
        plan.server.workers
    };
    reload::compile_behind();
    let machine = machine(logging.clone(), file)?;
    let host = Host::new(limits::host(&plan.server, file)?, machine.clone()).map(Arc::new).map_err(RunError::Host)?;
    let collector = Collector::new(&plan.telemetry);
    let collector = collector.map_err(|e| RunError::setup(file, Position::default(), e))?;
    let log = AccessLog::start(collector).map_err(|e| no_thread(file, &e))?;
    let remembered = plan.admin.as_ref().map_or(0, |admin| admin.requests);
    let status = Arc::new(Status::new(host.clone(), log.clone(), logging, remembered));
    let tracing = Tracing::start(&plan.telemetry, file)?;
    status.events.trace_with(tracing.clone());
    machine.callouts().trace_with(tracing.clone());
    let metrics = MetricsPush::start(&plan.telemetry, file, &status)?;
    let exports = Exports { tracing: tracing.clone(), metrics, log: log.clone() };
    if let Some(listener) = &plan.admin {
        admin::start(listener, file, status.clone())?;
    }
    let traffic = status.traffic.clone();
    let (on, seen) = (file.to_owned(), traffic.clone());
    let loader = Loader { file: on, host, machine, probe, log: log.clone(), traffic: seen, shards: workers };
    let serving = loader.load(1, None, &files, &Wishes::default())?;
    let plan = serving.plan.clone();
    let live = Arc::new(Live::new(serving.site.clone()));
    let claims = claims(&plan, file)?;
    let certificates = Arc::new(Certificates::new(&serving.plan, &serving.keys));
    let proxy = Proxy {
        live: live.clone(),
        log: log.clone(),
        tracing,
        traffic,
        leave: status.leave.clone(),
        recent: status.recent.clone(),
    };
    let server = server(&plan, &claims, &certificates, file, workers, &proxy)?;
    let reloader = Reloader::new(loader, serving, files, live.clone(), certificates, status.clone());
    let reloader = reloader.map_err(|e| no_thread(file, &e))?;
    let waker = reloader.waker();
    status.can_be_asked(waker.clone());
    spawn(file, "sluice-reload", move || reloader.run())?;
    let reopened = log.clone();
    // Whoever was told that it serves may send a signal at once.
    let (stands, handlers) = mpsc::channel();
    let of_thread = stands.clone();
    spawn(file, "sluice-signals", move || obey_signals(&waker, &reopened, &of_thread))?;
    let swept = live.clone();
    spawn(file, "sluice-resolve", move || upkeep::resolve_for_ever(&live))?;
    spawn(file, "sluice-sweep", move || upkeep::sweep_for_ever(&swept))?;
    let grace = plan.server.shutdown_grace;
    let summary = format!("{} filters, {} routes, {workers} workers", plan.filters.len(), plan.routes.len());
    let schemes: Vec<_> = plan.listeners.iter().map(scheme).collect();
    let name = file.display().to_string();
    let ready = status.clone();
    spawn(file, "sluice-ready", move || announce(&claims, &schemes, &summary, &name, &ready, &handlers))?;
    let watch = Signals { status, grace, exports: exports.clone(), stands };
    server.run(RunArgs { shutdown_signal: Box::new(watch) });
    exports.end();
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
pub(crate) fn machine(logging: Arc<Logging>, file: &Path) -> Result<Arc<Machine>, RunError> {
    Machine::new(logging).map(Arc::new).map_err(|e| no_thread(file, &e))
}

pub(crate) fn spawn(file: &Path, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), RunError> {
    thread::Builder::new().name(name.into()).spawn(run).map(drop).map_err(|e| no_thread(file, &e))
}

pub(crate) fn no_thread(file: &Path, error: &std::io::Error) -> RunError {
    RunError::setup(file, Position::default(), format!("cannot start a thread: {error}"))
}

/// Claims every address before anything is started.
fn claims(plan: &Plan, file: &Path) -> Result<Vec<Claim>, RunError> {
    plan.listeners
        .iter()
        .map(|l| Claim::new(l.address).map_err(|e| RunError::address(file, l.at, l.address, &e)))
        .collect()
}

/// Says that it serves, once it does and every signal is obeyed.
fn announce(
    claims: &[Claim],
    schemes: &[&str],
    summary: &str,
    file: &str,
    status: &Status,
    handlers: &mpsc::Receiver<()>,
) {
    for (claim, scheme) in claims.iter().zip(schemes) {
        if !claim.wait() {
            tracing::error!("nobody listens on {} although it was asked for", claim.address);
            status.logging.flush();
            std::process::exit(1);
        }
        tracing::info!("serving {scheme}://{}", claim.address);
    }
    // One for those that load again, one for those that stop; each is there or cannot be had.
    let _ = (handlers.recv(), handlers.recv());
    status.listening.store(true, Ordering::Relaxed);
    tracing::info!("ready: {summary}; Ctrl-C stops, SIGHUP loads {file} again");
}

fn server(
    plan: &Plan,
    claims: &[Claim],
    certificates: &Certificates,
    file: &Path,
    workers: usize,
    proxy: &Proxy,
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
        let listeners: Vec<_> =
            plan.listeners.iter().zip(claims).enumerate().filter(|(_, (l, _))| http(l) && l.h2c == h2c).collect();
        if listeners.is_empty() {
            continue;
        }
        let mut app = http_proxy(&server.configuration, proxy.clone());
        let mut options = HttpServerOptions::default();
        options.h2c = h2c;
        options.h2_idle_timeout = Some(plan.server.keepalive);
        app.server_options = Some(options);
        let app = Arc::new(Front::new(proxy.clone(), app));
        let app = Leaving { app, leave: proxy.leave.clone(), traffic: proxy.traffic.clone() };
        let mut service = Service::new((if h2c { "h2c" } else { "http" }).to_owned(), app);
        for (at, (listener, claim)) in listeners {
            let address = claim.address.to_string();
            match &listener.tls {
                None => service.add_tcp(&address),
                Some(_) => {
                    let mut settings = tls_settings(file, listener, certificates.of(at))?;
                    settings.enable_h2();
                    service.add_tls_with_settings(&address, None, settings);
                }
            }
        }
        server.add_service(service);
    }
    let tcp: Vec<_> = plan.listeners.iter().zip(claims).enumerate().filter(|(_, (l, _))| !http(l)).collect();
    if !tcp.is_empty() {
        let listeners = tcp.iter().map(|(_, (l, c))| Bound { configured: l.address, address: c.address }).collect();
        let app = TcpProxy { proxy: proxy.clone(), listeners };
        let mut service = Service::new("tcp".to_owned(), app);
        for (at, (listener, claim)) in tcp {
            match &listener.tls {
                None => service.add_tcp(&claim.address.to_string()),
                Some(_) => {
                    let settings = tls_settings(file, listener, certificates.of(at))?;
                    service.add_tls_with_settings(&claim.address.to_string(), None, settings);
                }
            }
        }
        server.add_service(service);
    }
    Ok(server)
}

fn tls_settings(
    file: &Path,
    listener: &Listener,
    certificate: Option<&Arc<Certificate>>,
) -> Result<TlsSettings, RunError> {
    let fail =
        |e: &dyn std::fmt::Display| RunError::setup(file, listener.at, format!("listener {}: {e}", listener.address));
    let certificate = certificate.ok_or_else(|| fail(&"its certificate was not read"))?;
    let mut settings = TlsSettings::with_callbacks(Box::new(Handshakes)).map_err(|e| fail(&e))?;
    settings.set_cert_resolver(certificate.clone());
    Ok(settings)
}

/// SIGHUP: read everything again. SIGUSR1: open the file of the access log again.
fn obey_signals(reload: &Waker<Ask>, log: &AccessLog, stands: &mpsc::Sender<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let signals = runtime.as_ref().ok().map(|runtime| {
        let _context = runtime.enter();
        (signal(SignalKind::hangup()), signal(SignalKind::user_defined1()))
    });
    let _ = stands.send(());
    let (Ok(runtime), Some((Ok(mut hangup), Ok(mut rotated)))) = (runtime, signals) else { return };
    runtime.block_on(async {
        loop {
            tokio::select! {
                Some(()) = hangup.recv() => reload.wake(Ask::Reload { cause: Cause::Signal, answer: None }),
                Some(()) = rotated.recv() => log.lines().reopen(),
                else => return,
            }
        }
    });
}

/// SIGINT and SIGTERM begin the end: no new connections, requests in flight finish, then the process ends with 0.
struct Signals {
    status: Arc<Status>,
    grace: Duration,
    exports: Exports,
    /// Told when signals are waited for.
    stands: mpsc::Sender<()>,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
        let _ = self.stands.send(());
        let (Ok(mut interrupt), Ok(mut terminate)) = signals else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!(in_flight = in_flight(), "stopping: no new connections, requests in flight may finish");
        self.status.leave.end();
        if !self.status.stopping.swap(true, Ordering::SeqCst) {
            let (grace, exports, status) = (self.grace, self.exports.clone(), self.status.clone());
            // Pingora would sleep through the whole grace period even when nothing is left to wait for.
            let drain = move || drain(grace, &exports, &status);
            let _ = thread::Builder::new().name("sluice-drain".into()).spawn(drain);
        }
        ShutdownSignal::GracefulTerminate
    }
}

fn drain(grace: Duration, exports: &Exports, status: &Status) {
    let began = Instant::now();
    // A moment for connections that were accepted just now to become requests.
    thread::sleep(Duration::from_millis(100));
    while in_flight() > 0 && began.elapsed() < grace {
        thread::sleep(Duration::from_millis(10));
    }
    let left = in_flight();
    if left > 0 {
        tracing::warn!(left, "the grace period is over; the requests that are left are cut");
    } else {
        // No request meets the filters any more: each is told that it is over, and one that asks for time has it.
        let view = status.view.load();
        view.filters.iter().for_each(|shown| shown.filter.end());
        while view.filters.iter().any(|shown| shown.filter.guests() > 0) && began.elapsed() < grace {
            thread::sleep(Duration::from_millis(10));
        }
    }
    exports.end();
    tracing::info!("stopped");
    status.logging.flush();
    std::process::exit(0);
}
