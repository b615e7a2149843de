//! Log records on their way to a collector: who makes one never waits, a thread sends them. Those that find no room, or
//! cannot be sent, are counted and told.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    resource::v1::Resource,
};
use prost::Message as _;
use sluice_config::plan;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::sleep,
};

use super::{
    destination::{self, Destination, Signal},
    ending::{Ended, Ending, ending},
    resource, scope,
    sender::{Request, Sender},
};
use crate::lines::Counts;

/// Bytes of records that may wait to be sent.
const QUEUE: usize = 16 << 20;
/// Bytes that a record holds beside its own: its strings and lists are places of their own.
const BESIDE: usize = 1 << 10;
/// Most records, and bytes of them, of one request: collectors refuse more than 4 MiB.
const BATCH: usize = 512;
const BATCH_BYTES: usize = 1 << 20;
/// How long a record waits for others. Nothing is waited for in the queue meanwhile, so that a record wakes nobody up.
const GATHER: Duration = Duration::from_millis(200);
/// How long after a failure that may pass it is tried again, each time.
const AGAIN: [Duration; 3] = [Duration::from_millis(250), Duration::from_millis(500), Duration::from_secs(1)];

/// The collector of log records, before anything goes there.
pub(crate) struct Collector {
    to: Option<Destination>,
    resource: Resource,
    /// The environment wants none.
    off: bool,
}

impl Collector {
    /// As the configuration says, or else the environment.
    ///
    /// # Errors
    /// The environment asks for something that is not there.
    pub(crate) fn new(telemetry: &plan::Telemetry) -> Result<Self, String> {
        let to = destination::destination(Signal::Logs, telemetry.otlp.as_ref())?;
        Ok(Self { to, resource: (&resource(telemetry)).into(), off: destination::is_off(Signal::Logs) })
    }

    /// Starts to send; `counts` take what is dropped and lost. `None` when the environment wants nothing to be sent.
    ///
    /// # Errors
    /// Nobody said where, what is said is no address, or the system gives no thread.
    pub(crate) fn start(&self, counts: Arc<Counts>) -> Result<Option<Records>, String> {
        if self.off {
            tracing::warn!("the access log goes nowhere: `to: otlp`, and the environment wants no log records");
            return Ok(None);
        }
        let missing = "`to: otlp` needs a collector: write `telemetry.otlp`, or set OTEL_EXPORTER_OTLP_ENDPOINT";
        let to = self.to.as_ref().ok_or(missing)?;
        let no_thread = |e: io::Error| format!("cannot start a thread: {e}");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(no_thread)?;
        let sender = {
            let _runtime = runtime.enter();
            Sender::new(to)?
        };
        let ((queue, receiver), (ending, ended)) = (unbounded_channel(), ending());
        let way = Way { waiting: Arc::default(), counts };
        let line = Line {
            queue: receiver,
            way: way.clone(),
            sender,
            resource: self.resource.clone(),
            batch: Vec::new(),
            failing: false,
        };
        let run = move || runtime.block_on(line.run(ended));
        thread::Builder::new().name("sluice-records".into()).spawn(run).map_err(no_thread)?;
        tracing::info!("the access log goes to {to}");
        Ok(Some(Records { queue, way, ending }))
    }
}

/// The way to the collector.
pub(crate) struct Records {
    queue: UnboundedSender<(LogRecord, usize)>,
    way: Way,
    ending: Ending,
}

/// What waits, and what was not sent.
#[derive(Clone)]
struct Way {
    waiting: Arc<AtomicUsize>,
    counts: Arc<Counts>,
}

impl Records {
    /// Has a record sent; never waits.
    pub(crate) fn send(&self, record: LogRecord) {
        let bytes = record.encoded_len() + BESIDE;
        let Way { waiting, counts } = &self.way;
        if waiting.fetch_add(bytes, Relaxed) + bytes <= QUEUE {
            if self.queue.send((record, bytes)).is_err() {
                // The process ends, and all that could be sent is.
                counts.lost.fetch_add(1, Relaxed);
            }
            return;
        }
        waiting.fetch_sub(bytes, Relaxed);
        let dropped = counts.dropped.fetch_add(1, Relaxed) + 1;
        // Told at 1, 2, 4, 8, …, so that the telling is no flood of its own.
        if dropped.is_power_of_two() {
            tracing::warn!(dropped, "the collector of the access log cannot keep up; records are dropped");
        }
    }

    /// Asks for the last ones. Only the first call does something.
    pub(crate) fn tell(&self) {
        self.ending.tell();
    }

    /// Waits until they are sent, no longer than is said.
    pub(crate) fn wait(&self, until: Instant) {
        self.ending.wait(until, "records of the access log");
    }
}

/// Those that wait, and who sends them.
struct Line {
    queue: UnboundedReceiver<(LogRecord, usize)>,
    way: Way,
    sender: Sender,
    resource: Resource,
    /// What is on its way.
    batch: Vec<LogRecord>,
    /// Records are lost, and it was said.
    failing: bool,
}

impl Line {
    /// Until it is told to end, or nobody is left who could send a record; then all that waits goes.
    async fn run(mut self, ended: Ended) {
        loop {
            let first = tokio::select! {
                first = self.queue.recv() => first,
                () = ended.told() => self.queue.try_recv().ok(),
            };
            let Some(first) = first else { return };
            tokio::select! {
                () = sleep(GATHER) => {}
                () = ended.told() => {}
            }
            let mut next = Some(first);
            while let Some(first) = next {
                self.gather(first);
                self.deliver(&ended).await;
                next = self.queue.try_recv().ok();
            }
        }
    }

    /// Makes a batch of this one and of others that wait.
    fn gather(&mut self, first: (LogRecord, usize)) {
        let (mut next, mut bytes) = (Some(first), 0);
        while let Some((record, size)) = next {
            self.way.waiting.fetch_sub(size, Relaxed);
            self.batch.push(record);
            bytes += size;
            let full = self.batch.len() >= BATCH || bytes >= BATCH_BYTES;
            next = if full { None } else { self.queue.try_recv().ok() };
        }
    }

    /// Sends the batch, again when what kept it may pass.
    async fn deliver(&mut self, ended: &Ended) {
        let mut again = AGAIN.iter();
        let result = loop {
            let failure = match self.sender.send(self.request()).await {
                Ok(rejected) => break Ok(rejected),
                Err(failure) => failure,
            };
            match again.next().filter(|_| failure.passing && !ended.is_told()) {
                None => break Err(failure),
                Some(wait) => tokio::select! {
                    () = sleep(*wait) => {}
                    () = ended.told() => {}
                },
            }
        };
        let count = self.batch.len() as u64;
        self.batch.clear();
        let (lost, error) = match result {
            Ok(0) => (0, None),
            Ok(rejected) => (rejected.min(count), Some("it did not want some of them".to_owned())),
            Err(failure) => (count, Some(failure.to_string())),
        };
        let lost = self.way.counts.lost.fetch_add(lost, Relaxed) + lost;
        match (&error, std::mem::replace(&mut self.failing, error.is_some())) {
            (Some(error), false) => {
                tracing::error!(
                    error,
                    lost,
                    "the collector does not take the access log; said once, records are counted"
                );
            }
            (None, true) => tracing::info!(lost, "the collector takes the access log again"),
            _ => {}
        }
    }

    fn request(&self) -> Request {
        let scope_logs =
            vec![ScopeLogs { scope: Some(scope()), log_records: self.batch.clone(), ..ScopeLogs::default() }];
        let resource = Some(self.resource.clone());
        let resource_logs = vec![ResourceLogs { resource, scope_logs, ..ResourceLogs::default() }];
        Request::Logs(ExportLogsServiceRequest { resource_logs })
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value};

    use super::*;

    #[test]
    fn records_that_find_no_room_are_dropped_and_counted() {
        let (queue, mut receiver) = unbounded_channel();
        let counts = Arc::<Counts>::default();
        let way = Way { waiting: Arc::default(), counts: counts.clone() };
        let records = Records { queue, way, ending: ending().0 };
        let long = LogRecord {
            body: Some(AnyValue { value: Some(Value::StringValue("x".repeat(1 << 20))) }),
            ..LogRecord::default()
        };
        (0..20).for_each(|_| records.send(long.clone()));
        assert_eq!((receiver.len(), counts.dropped.load(Relaxed)), (15, 5));
        // What is taken out makes room.
        let (_, bytes) = receiver.try_recv().expect("a record");
        records.way.waiting.fetch_sub(bytes, Relaxed);
        records.send(long.clone());
        assert_eq!((receiver.len(), counts.dropped.load(Relaxed)), (15, 5));
        drop(receiver);
        records.way.waiting.store(0, Relaxed);
        records.send(long);
        assert_eq!(counts.lost.load(Relaxed), 1, "nobody is left who could send it");
    }
}
