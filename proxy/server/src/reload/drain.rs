//! Old generations on their way out, and new versions of filters in their first time.
//!
//! The thread here holds each old generation until the last request that began with it has ended, so that guests are ended
//! and memory is given back here and never on a worker.

use std::{
    sync::{
        Arc, Weak,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use sluice_config::plan::{AfterDrain, Reload, Rollback};
use sluice_host::Filter;

use super::{Ask, Events, crew, events::What, generation::millis};
use crate::{live::Live, site::Site, watch::Waker};

/// How often the thread looks while there is something to look at.
const LOOK: Duration = Duration::from_millis(20);

/// What the thread is given.
pub(crate) enum Given {
    /// A generation that does not serve any more.
    Old { site: Arc<Site>, reload: Reload },
    /// A version that serves now in the place of another one.
    New { filter: Weak<Filter>, rollback: Rollback },
}

/// The way to the thread.
pub(crate) struct Drain {
    thread: Sender<Given>,
    events: Arc<Events>,
}

/// An old generation.
struct Old {
    site: Arc<Site>,
    since: Instant,
    /// `None` when it has passed.
    until: Option<Instant>,
    after: AfterDrain,
    requests: usize,
}

/// A new version.
struct New {
    filter: Weak<Filter>,
    until: Instant,
    rollback: Rollback,
}

impl Drain {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(live: Arc<Live>, events: Arc<Events>, waker: Waker<Ask>) -> std::io::Result<Self> {
        let (thread, given) = channel();
        let worker = Worker { live, events: events.clone(), waker, old: Vec::new(), new: Vec::new() };
        thread::Builder::new().name("sluice-drain".into()).spawn(move || worker.run(&given))?;
        Ok(Self { thread, events })
    }

    pub(crate) fn give(&self, given: Given) {
        if let Given::Old { site, .. } = &given {
            self.events.counts.draining.begin(site);
        }
        // The thread ends with the process.
        let _ = self.thread.send(given);
    }
}

struct Worker {
    live: Arc<Live>,
    events: Arc<Events>,
    waker: Waker<Ask>,
    old: Vec<Old>,
    new: Vec<New>,
}

impl Worker {
    fn run(mut self, given: &Receiver<Given>) {
        crew::step_back();
        loop {
            let idle = self.old.is_empty() && self.new.is_empty();
            let came =
                if idle { given.recv().map_err(|_| RecvTimeoutError::Disconnected) } else { given.recv_timeout(LOOK) };
            match came {
                Ok(given) => self.take(given),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.look_at_old();
            self.look_at_new();
        }
    }

    fn take(&mut self, given: Given) {
        let now = Instant::now();
        match given {
            Given::Old { site, reload } => {
                let requests = holders(&site);
                let until = Some(now + reload.drain);
                self.old.push(Old { site, since: now, until, after: reload.after_drain, requests });
            }
            Given::New { filter, rollback } => self.new.push(New { filter, until: now + rollback.window, rollback }),
        }
    }

    fn look_at_old(&mut self) {
        let now = Instant::now();
        for old in &mut self.old {
            let left = holders(&old.site);
            if left == 0 || old.until.is_none_or(|until| now < until) {
                continue;
            }
            old.until = None;
            let cut = old.after == AfterDrain::Cut;
            if cut {
                old.site.cut_off(&self.live.get());
            }
            self.events.record(What::DrainOver { generation: old.site.generation, requests: left, cut });
        }
        let ended = |old: &mut Old| holders(&old.site) == 0;
        for old in self.old.extract_if(.., ended).collect::<Vec<_>>() {
            let (generation, after_ms, requests) = (old.site.generation, millis(old.since.elapsed()), old.requests);
            drop(old);
            self.events.counts.draining.end(generation);
            self.events.record(What::Drained { generation, after_ms, requests });
        }
    }

    fn look_at_new(&mut self) {
        let (now, waker) = (Instant::now(), &self.waker);
        self.new.retain(|new| {
            let Some(filter) = new.filter.upgrade().filter(|_| now < new.until) else { return false };
            let usage = filter.usage();
            let crashes = usage.crashes.iter().map(|(_, count)| count).sum::<u64>();
            // Those that die before there is an exchange count as one that met it.
            let requests = usage.exchanges.max(crashes);
            let Rollback { crashes: most, percent, .. } = new.rollback;
            if crashes < most || crashes * 100 < requests * u64::from(percent) {
                return true;
            }
            waker.wake(Ask::GoBack { from: new.filter.clone(), crashes, requests });
            false
        });
    }
}

/// Requests and connections that keep a generation.
pub(crate) fn holders(site: &Arc<Site>) -> usize {
    Arc::strong_count(site).saturating_sub(1)
}
