//! The access log: one line or record for each request, made by the worker and written or sent by a thread of its own.

mod connection;
mod line;
mod record;
mod redact;
mod request;
mod value;

use std::{
    borrow::Cow,
    io,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Instant,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;
use pingora_core::Error;
use pingora_proxy::Session;
use sluice_config::plan::{self, AccessTo};
use sluice_host::Exchange;

pub(crate) use self::connection::Connection;
use self::{
    line::{Known, Look},
    redact::Redactor,
    request::Request,
};
use crate::{
    context::Context,
    lines::{ACCESS_LOG, Lines, Target},
    telemetry::{Collector, Records},
};

/// One for the process; cheap to clone.
#[derive(Clone)]
pub(crate) struct AccessLog(Arc<Inner>);

struct Inner {
    lines: Lines,
    collector: Collector,
    /// Where records go, once a plan wanted them to; empty inside when the environment wants none.
    records: OnceLock<Option<Records>>,
    /// How a line looks; `None` while nothing is written.
    look: ArcSwapOption<Look>,
    /// What is left out, also of spans, and where nothing is written.
    redact: ArcSwap<Redactor>,
    plan: Mutex<Option<plan::AccessLog>>,
}

impl AccessLog {
    /// Starts the writer. Nothing is written before a plan says so.
    ///
    /// # Errors
    /// No thread can be started.
    pub(crate) fn start(collector: Collector) -> io::Result<Self> {
        let lines = Lines::start(ACCESS_LOG)?;
        let redact = ArcSwap::from_pointee(Redactor::new(&plan::Redact::usual()));
        let (records, look) = (OnceLock::new(), ArcSwapOption::empty());
        Ok(Self(Arc::new(Inner { lines, collector, records, look, redact, plan: Mutex::default() })))
    }

    /// From now on as this plan says; a file that stays the same stays open.
    ///
    /// # Errors
    /// The file cannot be opened, or there is no collector; then everything stays as it was.
    pub(crate) fn apply(&self, plan: Option<&plan::AccessLog>) -> Result<(), String> {
        let Inner { lines, collector, records, .. } = &*self.0;
        let mut before = self.0.plan.lock();
        if before.as_ref() == plan {
            return Ok(());
        }
        if plan.is_some_and(|plan| plan.to == AccessTo::Otlp) && records.get().is_none() {
            let started = collector.start(lines.counts().clone())?;
            records.get_or_init(|| started);
        }
        let file = |plan: &plan::AccessLog| (plan.to == AccessTo::Path).then(|| plan.path.clone());
        let wanted = plan.and_then(file);
        if before.as_ref().and_then(file) != wanted {
            lines.to(wanted.map_or_else(|| Ok(Target::nowhere()), open)?);
        }
        let redact = Arc::new(Redactor::new(&plan.map_or_else(plan::Redact::usual, |plan| plan.redact.clone())));
        self.0.look.store(plan.map(|plan| Arc::new(Look::new(plan, redact.clone()))));
        self.0.redact.store(redact);
        *before = plan.cloned();
        Ok(())
    }

    /// The way of its lines.
    pub(crate) fn lines(&self) -> &Lines {
        &self.0.lines
    }

    /// A path with its query, without what is left out.
    pub(crate) fn redacted<'a>(&self, target: Cow<'a, str>) -> Cow<'a, str> {
        self.0.redact.load().target(target)
    }

    /// Asks for the last records.
    pub(crate) fn tell(&self) {
        if let Some(Some(records)) = self.0.records.get() {
            records.tell();
        }
    }

    /// Waits until they are sent, no longer than is said.
    pub(crate) fn wait(&self, until: Instant) {
        if let Some(Some(records)) = self.0.records.get() {
            records.wait(until);
        }
    }

    /// Writes the line of a request.
    pub(crate) fn write(&self, session: &Session, ctx: &Context, error: Option<&Error>) {
        if let Some(look) = &*self.0.look.load() {
            self.put(look, &Request::new(session, ctx, error));
        }
    }

    /// Writes the line of a TCP connection.
    pub(crate) fn connection(&self, connection: &Connection, exchange: &Exchange) {
        if let Some(look) = &*self.0.look.load() {
            self.put(look, &connection::Ended { connection, exchange });
        }
    }

    fn put(&self, look: &Look, known: &impl Known) {
        match (look.to, self.0.records.get()) {
            (AccessTo::Path, _) => self.0.lines.send(look.line(known)),
            (AccessTo::Otlp, Some(Some(records))) => records.send(look.record(known)),
            // The environment wants none.
            (AccessTo::Otlp, _) => {}
        }
    }
}

fn open(path: Option<PathBuf>) -> Result<Target, String> {
    let name = path.as_ref().map(|path| format!("{} ", path.display())).unwrap_or_default();
    Target::open(path).map_err(|e| format!("{name}cannot be opened: {e}"))
}
