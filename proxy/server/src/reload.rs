//! Swaps generations: everything that changes what serves goes through the one thread here, whoever wants it.
//!
//! A generation is read and built beside the one that serves, by threads that come after the workers. Then it is stored in
//! one place. When anything about it is wrong, the one that serves goes on.

mod crew;
mod drain;
mod draining;
mod events;
mod files;
mod generation;
mod history;
mod orders;
mod times;
mod version;
mod wishes;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Weak},
    time::Instant,
};

use serde::Serialize;
use sluice_config::Plan;
use sluice_host::{Digest, Filter};
use tokio::sync::oneshot;

use self::drain::{Drain, Given};
pub(crate) use self::{
    crew::compile_behind,
    draining::OldGeneration,
    events::{Cause, Event, Events, FilterChange, Levels, What},
    files::Files,
    generation::{Generation, Loader, Stages, millis},
    history::{History, Pins},
    times::{BOUNDS, Spread, Times},
    version::{Builder, Recipe, Version, module_path},
    wishes::{Disabled, Wishes},
};
use crate::{
    admin::{Status, View},
    certificates::Certificates,
    checks,
    live::Live,
    load::RunError,
    watch::{Baseline, Change, Options, Waker, Watch},
};

/// What somebody wants of the thread.
pub(crate) enum Ask {
    /// Read everything again.
    Reload { cause: Cause, answer: Option<oneshot::Sender<Answer>> },
    /// Read the module of one filter again, and begin with fresh guests of it whatever is there.
    Anew { filter: String, client: String, answer: oneshot::Sender<Answer> },
    /// Bring an earlier version of a filter back: the last one, or that whose digest begins like this.
    Rollback { filter: String, to: Option<String>, client: String, answer: oneshot::Sender<Answer> },
    /// Take a filter out of every chain, or put it back. `force`: also one that requests are not to pass without.
    Switch { filter: String, off: bool, force: bool, client: String, answer: oneshot::Sender<Answer> },
    /// A new version crashes too often.
    GoBack { from: Weak<Filter>, crashes: u64, requests: u64 },
}

/// What came of it.
pub(crate) type Answer = Result<Swapped, Refusal>;

/// A generation that serves now.
#[derive(Debug, Serialize)]
pub(crate) struct Swapped {
    pub(crate) generation: u64,
    /// Filters that are not as they were, each with its digest now.
    pub(crate) filters: BTreeMap<String, Option<String>>,
    pub(crate) total_ms: f64,
}

/// Why nothing changed.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// There is no such filter, or no such version of it.
    Unknown(String),
    /// It is to keep requests away that nobody else does.
    Guards(String),
    /// It cannot serve.
    Broken(String),
}

/// The thread that swaps.
pub(crate) struct Reloader {
    loader: Loader,
    live: Arc<Live>,
    certificates: Arc<Certificates>,
    events: Arc<Events>,
    status: Arc<Status>,
    drain: Drain,
    watch: Watch<Ask>,
    /// What is watched.
    watched: BTreeSet<PathBuf>,
    /// What the process was started with: some of it stays until it ends.
    started: Plan,
    serving: Generation,
    wishes: Wishes,
    history: History,
}

impl Reloader {
    /// Takes over from the start: `files` is what was read for the generation that serves.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn new(
        loader: Loader,
        serving: Generation,
        files: Files,
        live: Arc<Live>,
        certificates: Arc<Certificates>,
        status: Arc<Status>,
    ) -> std::io::Result<Self> {
        let reload = &serving.plan.reload;
        let options = Options { debounce: reload.debounce, poll: reload.poll, ..Options::default() };
        let watch = Watch::new(options);
        let events = status.events.clone();
        let drain = Drain::start(live.clone(), events.clone(), watch.waker())?;
        let started = serving.plan.clone();
        let (wishes, history) = (Wishes::default(), History::default());
        let watched = BTreeSet::new();
        let mut new = Self {
            loader,
            live,
            certificates,
            events,
            status,
            drain,
            watch,
            watched,
            started,
            serving,
            wishes,
            history,
        };
        checks::begin(&new.serving.site, new.loader.machine.background());
        new.watch_over(files, true);
        new.status.view.store(new.view());
        new.events.record(What::Swapped {
            generation: new.serving.site.generation,
            cause: Cause::Start,
            filters: changes(&[], &new.serving.versions),
            stages: new.serving.stages,
            in_flight: 0,
        });
        Ok(new)
    }

    /// How others reach the thread.
    pub(crate) fn waker(&self) -> Waker<Ask> {
        self.watch.waker()
    }

    /// Waits for changes of files and for what others ask, for ever.
    pub(crate) fn run(mut self) {
        crew::step_back();
        loop {
            match self.watch.changed() {
                Change::Files(changed) => {
                    let files = changed.iter().map(|file| file.path.display().to_string()).collect();
                    let _ = self.load(Cause::Files { files });
                }
                Change::Asked(Ask::Reload { cause, answer }) => {
                    let came = self.load(cause);
                    tell(answer, came);
                }
                Change::Asked(Ask::Anew { filter, client, answer }) => {
                    let came = self.begin_anew(&filter, client);
                    tell(Some(answer), came);
                }
                Change::Asked(Ask::Rollback { filter, to, client, answer }) => {
                    let cause = Cause::Rollback { filter: filter.clone(), client };
                    let came = self.roll_back(&filter, to.as_deref(), cause);
                    tell(Some(answer), came);
                }
                Change::Asked(Ask::Switch { filter, off, force, client, answer }) => {
                    let came = self.switch(&filter, off, force, client);
                    tell(Some(answer), came);
                }
                Change::Asked(Ask::GoBack { from, crashes, requests }) => self.go_back(&from, crashes, requests),
            }
        }
    }

    /// Reads everything again and swaps.
    fn load(&mut self, cause: Cause) -> Answer {
        let files = Files::default();
        let number = self.serving.site.generation + 1;
        let began = Instant::now();
        let loaded = self.loader.load(number, Some(&self.serving), &files, &self.wishes);
        self.watch_over(files, loaded.is_ok());
        match loaded {
            Ok(next) => {
                self.warn_of_what_stays(&next.plan);
                for filter in
                    self.wishes.disabled.names().filter(|name| next.versions.iter().any(|v| v.name() == *name))
                {
                    tracing::warn!(filter, "the filter stays disabled until somebody enables it");
                }
                self.status.logging.load(&next.plan.telemetry.log, !matches!(cause, Cause::Files { .. }));
                Ok(self.swap(next, cause))
            }
            Err(error) => Err(self.refuse(cause, &error, began)),
        }
    }

    /// Requests that begin from now on see the new generation; those in flight end on the one they have.
    fn swap(&mut self, next: Generation, cause: Cause) -> Swapped {
        let before = std::mem::replace(&mut self.serving, next);
        self.wishes.pins.settle(&self.serving.on_file);
        self.wishes.disabled.settle(&self.serving.versions);
        let reload = self.serving.plan.reload.clone();
        let filters = changes(&before.versions, &self.serving.versions);
        let brought_back = matches!(cause, Cause::Rollback { .. } | Cause::Crashes { .. });
        for version in &before.versions {
            if !serves(&self.serving, version) {
                self.history.retire(version, reload.keep);
            }
        }
        let view = self.view();
        self.certificates.exchange(&self.serving.plan, &self.serving.keys);
        self.live.swap(self.serving.site.clone());
        checks::begin(&self.serving.site, self.loader.machine.background());
        self.status.view.store(view);
        // No request in flight needs it, and it is to run once.
        let service = |version: &&Arc<Version>| version.service && !serves(&self.serving, version);
        before.versions.iter().filter(service).for_each(|version| version.filter.end());
        for version in &self.serving.versions {
            let replaces = before.versions.iter().any(|v| v.name() == version.name() && !Arc::ptr_eq(v, version));
            if replaces && !brought_back && reload.rollback.crashes > 0 {
                let filter = Arc::downgrade(&version.filter);
                self.drain.give(Given::New { filter, rollback: reload.rollback });
            }
        }
        let swapped = Swapped {
            generation: self.serving.site.generation,
            filters: filters.iter().map(|change| (change.filter.clone(), change.after.clone())).collect(),
            total_ms: self.serving.stages.total_ms,
        };
        let Generation { site, versions, .. } = before;
        // What is left of these filters belongs to the old site, whose end is elsewhere.
        drop(versions);
        self.events.record(What::Swapped {
            generation: swapped.generation,
            cause,
            filters,
            stages: self.serving.stages,
            in_flight: drain::holders(&site),
        });
        self.drain.give(Given::Old { site, reload });
        swapped
    }

    /// What the admin listener shows of the generation that serves.
    fn view(&self) -> Arc<View> {
        Arc::new(View::of(&self.serving, &self.wishes, &self.history, &self.status.view.load()))
    }

    fn refuse(&self, cause: Cause, error: &RunError, began: Instant) -> Refusal {
        let (error, total_ms) = (error.to_string(), millis(began.elapsed()));
        let generation = self.serving.site.generation;
        self.events.record(What::Refused { generation, cause, error: error.clone(), total_ms });
        Refusal::Broken(error)
    }

    /// Watches what was read; after a failure also what had been read before, as not everything was reached.
    fn watch_over(&mut self, files: Files, all: bool) {
        if !self.serving.plan.reload.watch {
            return;
        }
        let baseline = |digest: Option<Digest>| digest.map_or(Baseline::Missing, Baseline::Read);
        let seen = files.into_seen().into_iter().map(|(path, digest)| (path, baseline(digest)));
        let before = std::mem::take(&mut self.watched).into_iter().filter(|_| !all);
        let watched: BTreeMap<_, _> = before.map(|path| (path, Baseline::Known)).chain(seen).collect();
        self.watched = watched.keys().cloned().collect();
        self.watch.set(watched);
    }

    /// Says which changes of the file need a new process, so that nobody waits for them in vain.
    fn warn_of_what_stays(&self, plan: &Plan) {
        let sockets = |p: &Plan| {
            p.listeners.iter().map(|l| (l.address, l.tls.is_some(), l.h2c, l.tcp.is_some())).collect::<Vec<_>>()
        };
        let (server, started) = (&plan.server, &self.started.server);
        let admin = |p: &Plan| p.admin.as_ref().map(|admin| (admin.address, admin.requests));
        let traces = |p: &Plan| (p.telemetry.otlp.clone(), p.telemetry.sampling, p.telemetry.b3);
        let watch = |p: &Plan| (p.reload.watch, p.reload.debounce, p.reload.poll);
        let stays = [
            ("listeners", sockets(plan) != sockets(&self.started)),
            ("admin", admin(plan) != admin(&self.started)),
            ("telemetry.log.format", plan.telemetry.log.format != self.started.telemetry.log.format),
            ("telemetry.otlp, sampling or b3", traces(plan) != traces(&self.started)),
            ("telemetry.metrics", plan.telemetry.metrics != self.started.telemetry.metrics),
            ("reload.watch, debounce or poll", watch(plan) != watch(&self.started)),
            ("server.workers", server.workers != started.workers),
            ("server.guests", server.guests != started.guests),
            ("server.shared", server.shared != started.shared),
            ("server.cache", server.cache != started.cache),
            ("server.shutdown_grace", server.shutdown_grace != started.shutdown_grace),
        ];
        for (key, _) in stays.iter().filter(|(_, changed)| *changed) {
            tracing::warn!("`{key}` changed in the file: that needs a restart; everything else is taken over now");
        }
    }
}

fn serves(generation: &Generation, version: &Arc<Version>) -> bool {
    generation.versions.iter().any(|v| Arc::ptr_eq(v, version))
}

fn tell(answer: Option<oneshot::Sender<Answer>>, came: Answer) {
    if let Some(answer) = answer {
        // Whoever asked may have gone.
        let _ = answer.send(came);
    }
}

/// Filters that are not the same in both.
fn changes(before: &[Arc<Version>], after: &[Arc<Version>]) -> Vec<FilterChange> {
    let digest = |version: &Arc<Version>| format!("sha256:{}", version.filter.digest());
    let now =
        after.iter().filter(|version| !before.iter().any(|b| Arc::ptr_eq(b, version))).map(|version| FilterChange {
            filter: version.name().to_owned(),
            before: before.iter().find(|b| b.name() == version.name()).map(digest),
            after: Some(digest(version)),
            compile_ms: millis(version.compiling),
            start_ms: millis(version.starting),
        });
    let gone = before.iter().filter(|b| !after.iter().any(|a| a.name() == b.name())).map(|version| FilterChange {
        filter: version.name().to_owned(),
        before: Some(digest(version)),
        after: None,
        compile_ms: 0.0,
        start_ms: 0.0,
    });
    now.chain(gone).collect()
}
