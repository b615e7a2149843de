//! The access log: one line for each request, made by the worker and written by a thread of its own. It never makes a
//! request wait; lines that find no room, or cannot be written, are counted and told.

mod connection;
mod line;
mod redact;
mod request;
mod value;
mod writer;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
        mpsc::{SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use pingora_core::Error;
use pingora_proxy::Session;
use sluice_config::plan;
use sluice_host::Exchange;

pub(crate) use self::connection::Connection;
use self::{
    line::{Known, Look},
    request::Request,
    writer::{Order, Target, Writer},
};
use crate::context::Context;

/// Lines that may wait for the writer, and bytes of them.
const QUEUE: usize = 16 << 10;
const QUEUE_BYTES: usize = 16 << 20;
/// How long the end of the process waits for the last lines.
const LAST: Duration = Duration::from_secs(1);

/// One for the process; cheap to clone.
#[derive(Clone)]
pub(crate) struct AccessLog(Arc<Inner>);

struct Inner {
    /// An empty one only wakes the writer.
    lines: SyncSender<String>,
    orders: Arc<Mutex<Vec<Order>>>,
    /// How a line looks; `None` while nothing is written.
    look: ArcSwapOption<Look>,
    plan: Mutex<Option<plan::AccessLog>>,
    counts: Arc<Counts>,
}

/// What became of lines.
#[derive(Default)]
pub(crate) struct Counts {
    /// Bytes that wait for the writer.
    waiting: AtomicUsize,
    /// Lines that found no room.
    pub(crate) dropped: AtomicU64,
    /// Lines that could not be written.
    pub(crate) lost: AtomicU64,
}

impl AccessLog {
    /// Starts the writer. Nothing is written before a plan says so.
    ///
    /// # Errors
    /// No thread can be started.
    pub(crate) fn start() -> io::Result<Self> {
        let (lines, receiver) = sync_channel(QUEUE);
        let (orders, counts) = (Arc::<Mutex<Vec<Order>>>::default(), Arc::<Counts>::default());
        let writer = Writer::new(orders.clone(), counts.clone());
        thread::Builder::new().name("sluice-access-log".into()).spawn(move || writer.run(&receiver))?;
        let (look, plan) = (ArcSwapOption::empty(), Mutex::new(None));
        Ok(Self(Arc::new(Inner { lines, orders, look, plan, counts })))
    }

    /// From now on as this plan says; a file that stays the same stays open.
    ///
    /// # Errors
    /// The file cannot be opened; then everything stays as it was.
    pub(crate) fn apply(&self, plan: Option<&plan::AccessLog>) -> io::Result<()> {
        let mut before = self.0.plan.lock();
        if before.as_ref() == plan {
            return Ok(());
        }
        if before.as_ref().map(|p| &p.path) != plan.map(|p| &p.path) {
            let target = plan.map_or_else(|| Ok(Target::default()), |plan| Target::open(plan.path.clone()))?;
            self.order(Order::Target(target));
        }
        self.0.look.store(plan.map(|plan| Arc::new(Look::new(plan))));
        *before = plan.cloned();
        Ok(())
    }

    /// Opens the file again, which may have been renamed.
    pub(crate) fn reopen(&self) {
        self.order(Order::Reopen);
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// Writes the line of a request.
    pub(crate) fn write(&self, session: &Session, ctx: &Context, error: Option<&Error>) {
        if let Some(look) = &*self.0.look.load() {
            self.send(look.line(&Request { session, ctx, error }));
        }
    }

    /// Writes the line of a TCP connection.
    pub(crate) fn connection(&self, connection: &Connection, exchange: &Exchange) {
        if let Some(look) = &*self.0.look.load() {
            self.send(look.line(&connection::Ended { connection, exchange }));
        }
    }

    /// Waits until everything is written, at most a second.
    pub(crate) fn flush(&self) {
        let (done, wait) = sync_channel(1);
        self.order(Order::Flush(done));
        // The process ends without the lines that a stuck pipe does not take.
        let _ = wait.recv_timeout(LAST);
    }

    /// Orders go beside the lines: a queue that is full must not hold up whoever reloads.
    fn order(&self, order: Order) {
        self.0.orders.lock().push(order);
        // When there is no room the writer has something to do anyway, and looks at its orders after it.
        let _ = self.0.lines.try_send(String::new());
    }

    fn send(&self, line: String) {
        let (counts, bytes) = (&self.0.counts, line.len());
        if counts.waiting.fetch_add(bytes, Relaxed) + bytes <= QUEUE_BYTES && self.0.lines.try_send(line).is_ok() {
            return;
        }
        counts.waiting.fetch_sub(bytes, Relaxed);
        let dropped = counts.dropped.fetch_add(1, Relaxed) + 1;
        // Told at 1, 2, 4, 8, …, so that the telling is no flood of its own.
        if dropped.is_power_of_two() {
            tracing::warn!(dropped, "the access log cannot keep up; lines are dropped");
        }
    }
}
