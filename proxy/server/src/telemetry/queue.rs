//! The way of spans out of the process: a bounded queue, a thread, an exporter. Nothing here waits for the collector but
//! that thread, and what finds the queue full is counted and dropped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanExporter as Export, SpanProcessor as _},
};
use tokio::runtime::Handle;

use super::{destination::Destination, exporter::exporter};

/// Spans that may wait, unless `OTEL_BSP_MAX_QUEUE_SIZE` says otherwise.
const WAITING: u64 = 2048;

/// What became of spans.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    waiting: AtomicU64,
    sent: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

impl Counts {
    /// Spans that were sent, that the collector did not take, and that found the queue full.
    pub(crate) fn all(&self) -> [(&'static str, u64); 3] {
        [("sent", &self.sent), ("failed", &self.failed), ("dropped", &self.dropped)]
            .map(|(name, n)| (name, n.load(Relaxed)))
    }
}

/// The queue, with its thread.
#[derive(Debug)]
pub(super) struct Queue {
    processor: BatchSpanProcessor,
    counts: Arc<Counts>,
    most: u64,
    ended: AtomicBool,
}

impl Queue {
    /// # Errors
    /// What is wrong with the address.
    pub(super) fn start(to: &Destination, runtime: &Handle, resource: &Resource) -> Result<Self, String> {
        let _runtime = runtime.enter();
        let said = std::env::var("OTEL_BSP_MAX_QUEUE_SIZE").ok().and_then(|text| text.parse().ok());
        let most = said.filter(|most| *most > 0).unwrap_or(WAITING);
        let counts = Arc::new(Counts::default());
        let exporter = OnRuntime {
            inner: Arc::new(exporter(to)?),
            runtime: runtime.clone(),
            counts: counts.clone(),
            failing: AtomicBool::new(false),
        };
        let queue = usize::try_from(most).unwrap_or(usize::MAX);
        let config = BatchConfigBuilder::default().with_max_queue_size(queue).build();
        let mut processor = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
        processor.set_resource(resource);
        Ok(Self { processor, counts, most, ended: AtomicBool::new(false) })
    }

    /// Never waits.
    pub(super) fn put(&self, span: SpanData) {
        // Counted here, as the queue itself says nothing of what it drops: with at most as many on the way as it holds,
        // it never has to.
        if self.counts.waiting.fetch_add(1, Relaxed) >= self.most || self.ended.load(Relaxed) {
            self.counts.waiting.fetch_sub(1, Relaxed);
            self.counts.dropped.fetch_add(1, Relaxed);
            return;
        }
        self.processor.on_end(span);
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Sends what is left within this time. Only the first call does something.
    pub(super) fn end(&self, within: Duration) {
        if self.ended.swap(true, Relaxed) {
            return;
        }
        if let Err(error) = self.processor.shutdown_with_timeout(within) {
            tracing::warn!("the last spans may not have been sent: {error}");
        }
    }
}

/// Sends on a runtime, which the thread of the queue is not.
#[derive(Debug)]
struct OnRuntime {
    inner: Arc<SpanExporter>,
    runtime: Handle,
    counts: Arc<Counts>,
    failing: AtomicBool,
}

impl Export for OnRuntime {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let (inner, count) = (self.inner.clone(), batch.len() as u64);
        let sent = self.runtime.spawn(async move { inner.export(batch).await }).await;
        let result = sent.unwrap_or_else(|e| Err(OTelSdkError::InternalFailure(e.to_string())));
        self.counts.waiting.fetch_sub(count, Relaxed);
        let counted = if result.is_ok() { &self.counts.sent } else { &self.counts.failed };
        counted.fetch_add(count, Relaxed);
        // Said when it begins and when it is over, and not for every batch.
        match (&result, self.failing.swap(result.is_err(), Relaxed)) {
            (Err(error), false) => tracing::warn!("traces cannot be sent, and are dropped until they can: {error}"),
            (Ok(()), true) => tracing::info!("traces can be sent again"),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.set_resource(resource);
        }
    }
}
