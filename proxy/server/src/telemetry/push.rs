//! Metrics, sent to a collector at an interval by a thread of their own. What could not be sent is not kept: the next time
//! brings all that it held, as counts only grow.

use std::{
    cell::Cell,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    metrics::v1::{ResourceMetrics, ScopeMetrics},
    resource::v1::Resource,
};
use sluice_config::{Position, plan};
use tokio::time::{MissedTickBehavior, interval_at};

use super::{
    destination::{self, Signal},
    ending::{Ended, Ending, ending},
    resource, scope,
    sender::{Request, Sender},
};
use crate::{
    admin::Status,
    load::RunError,
    metrics,
    serve::{no_thread, spawn},
};

/// How often metrics are sent when nobody says.
const INTERVAL: Duration = Duration::from_secs(60);

/// What became of metrics.
#[derive(Debug, Default)]
pub(crate) struct Pushes {
    sent: AtomicU64,
    failed: AtomicU64,
}

impl Pushes {
    /// Times that the collector took them, and that it did not.
    pub(crate) fn all(&self) -> [(&'static str, u64); 2] {
        [("sent", self.sent.load(Relaxed)), ("failed", self.failed.load(Relaxed))]
    }
}

/// Metrics on their way; nothing when they are not sent.
#[derive(Clone, Default)]
pub(crate) struct MetricsPush(Option<Arc<Ending>>);

impl MetricsPush {
    /// Begins to send metrics to where the configuration says, or else the environment.
    ///
    /// # Errors
    /// [`RunError::Setup`] for an address that is none, and when the system gives no thread.
    pub(crate) fn start(telemetry: &plan::Telemetry, file: &Path, status: &Arc<Status>) -> Result<Self, RunError> {
        let fail = |what: String| RunError::setup(file, Position::default(), format!("telemetry.metrics: {what}"));
        let said = telemetry.metrics.as_ref();
        let to = destination::destination(Signal::Metrics, said.map(|metrics| &metrics.otlp)).map_err(fail)?;
        let Some(to) = to else { return Ok(Self::default()) };
        let every = match said.and_then(|metrics| metrics.interval) {
            Some(interval) => interval,
            None => of_environment(&destination::env).map_err(fail)?,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| no_thread(file, &e))?;
        let sender = {
            let _runtime = runtime.enter();
            Sender::new(&to).map_err(fail)?
        };
        tracing::info!("metrics go to {to}, every {}", humantime::format_duration(every));
        let pushes = status.pushes.get_or_init(Arc::default).clone();
        let source = Source { status: status.clone(), resource: (&resource(telemetry)).into(), sender, pushes };
        let (ending, ended) = ending();
        spawn(file, "sluice-metrics", move || runtime.block_on(run(source, every, ended)))?;
        Ok(Self(Some(Arc::new(ending))))
    }

    /// Asks for the last ones. Only the first call does something.
    pub(crate) fn tell(&self) {
        if let Some(ending) = &self.0 {
            ending.tell();
        }
    }

    /// Waits until they are sent, no longer than is said.
    pub(crate) fn wait(&self, until: Instant) {
        if let Some(ending) = &self.0 {
            ending.wait(until, "metrics");
        }
    }
}

/// # Errors
/// It is no time.
fn of_environment(env: &dyn Fn(&str) -> Option<String>) -> Result<Duration, String> {
    let preferred = env("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE");
    if preferred.is_some_and(|preferred| !preferred.eq_ignore_ascii_case("cumulative")) {
        tracing::warn!("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: metrics are always `cumulative` here");
    }
    match env("OTEL_METRIC_EXPORT_INTERVAL").map(|text| text.parse()) {
        None => Ok(INTERVAL),
        Some(Ok(millis)) if (1..=86_400_000).contains(&millis) => Ok(Duration::from_millis(millis)),
        Some(_) => Err("OTEL_METRIC_EXPORT_INTERVAL: write a number of milliseconds above 0, at most a day".to_owned()),
    }
}

struct Source {
    status: Arc<Status>,
    resource: Resource,
    sender: Sender,
    pushes: Arc<Pushes>,
}

async fn run(source: Source, every: Duration, ended: Ended) {
    let mut timer = interval_at(tokio::time::Instant::now() + every, every);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let failing = Cell::new(false);
    loop {
        let next = async {
            timer.tick().await;
            source.push(&failing).await;
        };
        tokio::select! {
            // What is under way then is left, for the last one holds all of it.
            () = ended.told() => break,
            () = next => {}
        }
    }
    source.push(&failing).await;
}

impl Source {
    async fn push(&self, failing: &Cell<bool>) {
        let mut error = None;
        for metrics in metrics::page(&self.status).messages(self.status.started, SystemTime::now()) {
            let scope_metrics = vec![ScopeMetrics { scope: Some(scope()), metrics, ..ScopeMetrics::default() }];
            let resource = Some(self.resource.clone());
            let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }];
            let request = Request::Metrics(ExportMetricsServiceRequest { resource_metrics });
            error = match self.sender.send(request).await {
                Ok(0) => error,
                Ok(rejected) => Some(format!("the collector did not want {rejected} of its series")),
                Err(failure) => Some(failure.to_string()),
            };
        }
        let counted = if error.is_none() { &self.pushes.sent } else { &self.pushes.failed };
        counted.fetch_add(1, Relaxed);
        // Said when it begins and when it is over, and not each time.
        match (&error, failing.replace(error.is_some())) {
            (Some(error), false) => tracing::warn!("metrics cannot be sent: {error}"),
            (None, true) => tracing::info!("metrics can be sent again"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_how_often() {
        let of = |millis: &'static str| of_environment(&|name| (name.ends_with("INTERVAL")).then(|| millis.to_owned()));
        assert_eq!(of_environment(&|_| None), Ok(INTERVAL));
        assert_eq!(of("2500"), Ok(Duration::from_millis(2500)));
        for nonsense in ["0", "-1", "1m", "86400001"] {
            assert!(of(nonsense).is_err_and(|said| said.contains("milliseconds")), "{nonsense}");
        }
    }
}
