//! The access log: one line for each request, made by the worker and written by a thread of its own.

mod connection;
mod line;
mod redact;
mod request;
mod value;

use std::{borrow::Cow, io, sync::Arc};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use pingora_core::Error;
use pingora_proxy::Session;
use sluice_config::plan;
use sluice_host::Exchange;

pub(crate) use self::connection::Connection;
use self::{line::Look, redact::Redactor, request::Request};
use crate::{
    context::Context,
    lines::{ACCESS_LOG, Lines, Target},
};

/// One for the process; cheap to clone.
#[derive(Clone)]
pub(crate) struct AccessLog(Arc<Inner>);

struct Inner {
    lines: Lines,
    /// How a line looks; `None` while nothing is written.
    look: ArcSwapOption<Look>,
    plan: Mutex<Option<plan::AccessLog>>,
}

impl AccessLog {
    /// Starts the writer. Nothing is written before a plan says so.
    ///
    /// # Errors
    /// No thread can be started.
    pub(crate) fn start() -> io::Result<Self> {
        let lines = Lines::start(ACCESS_LOG)?;
        Ok(Self(Arc::new(Inner { lines, look: ArcSwapOption::empty(), plan: Mutex::default() })))
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
            let target = plan.map_or_else(|| Ok(Target::nowhere()), |plan| Target::open(plan.path.clone()))?;
            self.0.lines.to(target);
        }
        self.0.look.store(plan.map(|plan| Arc::new(Look::new(plan))));
        *before = plan.cloned();
        Ok(())
    }

    /// The way of its lines.
    pub(crate) fn lines(&self) -> &Lines {
        &self.0.lines
    }

    /// A path with its query, or a URL, as a line would have it; by the usual rules where none is written.
    pub(crate) fn redacted<'a>(&self, target: Cow<'a, str>) -> Cow<'a, str> {
        match &*self.0.look.load() {
            Some(look) => look.redact().target(target),
            None => Redactor::usual().target(target),
        }
    }

    /// Writes the line of a request.
    pub(crate) fn write(&self, session: &Session, ctx: &Context, error: Option<&Error>) {
        if let Some(look) = &*self.0.look.load() {
            self.0.lines.send(look.line(&Request { session, ctx, error }));
        }
    }

    /// Writes the line of a TCP connection.
    pub(crate) fn connection(&self, connection: &Connection, exchange: &Exchange) {
        if let Some(look) = &*self.0.look.load() {
            self.0.lines.send(look.line(&connection::Ended { connection, exchange }));
        }
    }
}
