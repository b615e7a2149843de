//! What the host may want from beyond its walls, from this machine: clocks, randomness, the log.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rustix::rand::{GetRandomFlags, getrandom};
use sluice_host::{
    Callout, CapReport, CrashReport, Done, GrpcCall, GrpcEvents, GrpcSink, Job, LogLevel, LogLine, Outside, SlowReport,
};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::{
    callout::Callouts,
    grpc,
    logging::{FILTER, HOST, Logging},
};

/// This machine.
pub(crate) struct Machine {
    began: Instant,
    logging: Arc<Logging>,
    callouts: Arc<Callouts>,
    /// One thread beside the workers: callouts, ticks and queue events never take time from requests.
    background: Runtime,
}

impl Machine {
    /// # Errors
    /// The thread for work beside requests cannot be started.
    pub(crate) fn new(logging: Arc<Logging>) -> std::io::Result<Self> {
        let background =
            Builder::new_multi_thread().worker_threads(1).thread_name("sluice-background").enable_all().build()?;
        Ok(Self { began: Instant::now(), logging, callouts: Arc::default(), background })
    }

    /// What filters can call.
    pub(crate) fn callouts(&self) -> &Callouts {
        &self.callouts
    }

    /// Where work beside requests is done.
    pub(crate) fn background(&self) -> &Handle {
        self.background.handle()
    }

    pub(crate) fn wall_clock_now() -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

impl Outside for Machine {
    fn wall_clock(&self) -> Duration {
        Self::wall_clock_now()
    }

    fn monotonic(&self) -> Duration {
        self.began.elapsed()
    }

    fn random(&self, buffer: &mut [u8]) {
        fill_random(buffer);
    }

    fn log_level(&self, filter: &str) -> LogLevel {
        self.logging.of_filter(filter)
    }

    fn log(&self, line: &LogLine<'_>) {
        let (filter, message, context) = (line.filter, line.message, line.context);
        let trace_id = line.trace.map(|place| tracing::field::display(format!("{:032x}", place.trace)));
        let span_id = line.trace.map(|place| tracing::field::display(format!("{:016x}", place.current())));
        match line.level {
            LogLevel::Trace => tracing::trace!(target: FILTER, filter, context, trace_id, span_id, "{message}"),
            LogLevel::Debug => tracing::debug!(target: FILTER, filter, context, trace_id, span_id, "{message}"),
            LogLevel::Info => tracing::info!(target: FILTER, filter, context, trace_id, span_id, "{message}"),
            LogLevel::Warn => tracing::warn!(target: FILTER, filter, context, trace_id, span_id, "{message}"),
            LogLevel::Error => tracing::error!(target: FILTER, filter, context, trace_id, span_id, "{message}"),
            LogLevel::Critical => {
                tracing::error!(target: FILTER, filter, context, trace_id, span_id, critical = true, "{message}")
            }
        }
    }

    fn crashed(&self, report: &CrashReport<'_>) {
        tracing::error!(
            target: HOST,
            filter = report.filter,
            digest = %report.digest.short(),
            phase = report.phase.name(),
            kind = sluice_host::Token::from(report.crash.kind).name(),
            budget_us = micros(report.crash.budget),
            used_us = micros(report.crash.used),
            memory = report.crash.memory,
            request_id = report.request_id,
            "the guest died: {}",
            report.crash
        );
    }

    fn slow(&self, report: &SlowReport<'_>) {
        tracing::warn!(
            target: HOST,
            filter = report.filter,
            digest = %report.digest.short(),
            phase = report.phase.name(),
            budget_us = micros(report.budget),
            used_us = micros(report.used),
            more = report.more,
            "a callback took longer than `limits.cpu_warn`"
        );
    }

    fn capped(&self, report: &CapReport<'_>) {
        tracing::warn!(
            target: HOST,
            filter = report.filter,
            digest = %report.digest.short(),
            cap = report.cap.token(),
            setting = report.setting,
            limit = report.limit,
            hits = report.hits,
            "{}",
            report.cap.what()
        );
    }

    fn later(&self, delay: Duration, job: Job) {
        self.background.spawn(async move {
            tokio::time::sleep(delay).await;
            job();
        });
    }

    fn reaches(&self, upstream: &str) -> bool {
        self.callouts.reaches(upstream)
    }

    fn send(&self, callout: Callout, done: Done) {
        let callouts = self.callouts.clone();
        self.background.spawn(async move { callouts.send(callout, done).await });
    }

    fn open(&self, call: GrpcCall, events: GrpcEvents) -> Box<dyn GrpcSink> {
        let _runtime = self.background.enter();
        grpc::open(self.callouts.clone(), call, events)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // A runtime must not be waited for where another one may be running.
        if let Ok(runtime) = Builder::new_current_thread().build() {
            std::mem::replace(&mut self.background, runtime).shutdown_background();
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Fills a buffer from the kernel; it can only be short while the machine boots, and is asked again then.
pub(crate) fn fill_random(buffer: &mut [u8]) {
    let mut rest = buffer;
    while !rest.is_empty() {
        match getrandom(&mut *rest, GetRandomFlags::empty()) {
            Ok(filled) => rest = rest.get_mut(filled..).unwrap_or_default(),
            Err(_) => std::thread::yield_now(),
        }
    }
}

/// A number for choosing an endpoint.
pub(crate) fn random_usize() -> usize {
    let mut bytes = [0; 8];
    fill_random(&mut bytes);
    usize::from_le_bytes(bytes)
}
