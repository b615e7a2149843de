//! Lines on their way to a file or a stream: who writes one never waits, a thread writes them. Lines that find no room,
//! or cannot be written, are counted and told.

mod writer;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
        mpsc::{Sender, channel, sync_channel},
    },
    thread,
    time::Duration,
};

pub(crate) use self::writer::Target;
use self::writer::{Next, Writer};

/// What lines are of, and how they are written.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    /// Its name in messages.
    what: &'static str,
    /// The name of its thread.
    thread: &'static str,
    /// Bytes of lines that may wait for the writer.
    queue: usize,
    /// How long a line may wait for others.
    gather: Duration,
    /// These lines are what losses are told in, so that the writer tells of them, once there is room.
    is_log: bool,
}

/// One line for each request.
pub(crate) const ACCESS_LOG: Kind = Kind {
    what: "the access log",
    thread: "sluice-access-log",
    queue: 16 << 20,
    gather: Duration::from_millis(200),
    is_log: false,
};
/// What the proxy and its filters say, for which somebody may be waiting.
pub(crate) const LOG: Kind =
    Kind { what: "the log", thread: "sluice-log", queue: 4 << 20, gather: Duration::ZERO, is_log: true };

/// Bytes that a line holds beside its own.
const BESIDE: usize = 64;
/// How long the end of the process waits for the last lines.
const LAST: Duration = Duration::from_secs(1);

/// The way to one writer.
pub(crate) struct Lines {
    kind: Kind,
    /// Lines are bounded by their bytes, so that an order always finds room among them.
    queue: Sender<Next>,
    counts: Arc<Counts>,
}

/// What became of lines.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Bytes that wait for the writer.
    waiting: AtomicUsize,
    /// Lines that found no room.
    pub(crate) dropped: AtomicU64,
    /// Lines that could not be written.
    pub(crate) lost: AtomicU64,
}

impl Lines {
    /// Starts a writer, which throws lines away until it has a target.
    ///
    /// # Errors
    /// No thread can be started.
    pub(crate) fn start(kind: Kind) -> io::Result<Self> {
        let ((queue, receiver), counts) = (channel(), Arc::<Counts>::default());
        let writer = Writer::new(kind, counts.clone());
        thread::Builder::new().name(kind.thread.into()).spawn(move || writer.run(&receiver))?;
        Ok(Self { kind, queue, counts })
    }

    /// Has a line written, which has its end.
    pub(crate) fn send(&self, line: String) {
        let bytes = line.capacity() + BESIDE;
        if self.counts.waiting.fetch_add(bytes, Relaxed) + bytes <= self.kind.queue {
            return self.tell(Next::Line(line));
        }
        self.counts.waiting.fetch_sub(bytes, Relaxed);
        let dropped = self.counts.dropped.fetch_add(1, Relaxed) + 1;
        // Told at 1, 2, 4, 8, …, so that the telling is no flood of its own.
        if dropped.is_power_of_two() && !self.kind.is_log {
            tracing::warn!(dropped, "{} cannot keep up; lines are dropped", self.kind.what);
        }
    }

    /// Lines go there from now on.
    pub(crate) fn to(&self, target: Target) {
        self.tell(Next::Target(target));
    }

    /// Opens the file again, which may have been renamed.
    pub(crate) fn reopen(&self) {
        self.tell(Next::Reopen);
    }

    /// Waits until everything is written, at most a second.
    pub(crate) fn flush(&self) {
        let (done, wait) = sync_channel(1);
        self.tell(Next::Flush(done));
        // The process ends without the lines that a stuck pipe does not take.
        let _ = wait.recv_timeout(LAST);
    }

    pub(crate) fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    fn tell(&self, next: Next) {
        // The writer ends after the last of those who could tell it something.
        let _ = self.queue.send(next);
    }
}
