//! One generation of everything that serves: read, built, and ready to be swapped in.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;
use sluice_config::{
    Plan, Position,
    plan::{self, UpstreamKind},
};
use sluice_host::{Digest, Host};

use super::{Files, Recipe, Version, Wishes, version::Builder};
use crate::{
    access_log::AccessLog,
    build,
    certificates::{self, Keys},
    load::{self, FilterProblem, RunError},
    outside::Machine,
    probe::{self, Probe},
    site::Site,
    traffic::Traffic,
    upstream::Upstream,
};

/// One generation.
pub(crate) struct Generation {
    pub(crate) plan: Plan,
    pub(crate) site: Arc<Site>,
    /// One for each filter of the plan.
    pub(crate) versions: Vec<Arc<Version>>,
    /// What the files say of each filter; something else serves for one that was brought back.
    pub(crate) on_file: Vec<Recipe>,
    upstreams: Vec<Known>,
    pub(crate) keys: Keys,
    pub(crate) stages: Stages,
}

/// An upstream with what it was built from.
#[derive(Clone)]
struct Known {
    plan: plan::Upstream,
    ca: Option<Digest>,
    upstream: Arc<Upstream>,
}

/// How long the steps to a generation took, milliseconds. Filters are compiled and started beside each other: of these
/// steps it is the sum over all of them.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Stages {
    /// Reading the configuration, modules, certificates.
    pub(crate) read_ms: f64,
    /// Compiling modules.
    pub(crate) compile_ms: f64,
    /// Starting and configuring guests.
    pub(crate) start_ms: f64,
    /// Playing the probes.
    pub(crate) probe_ms: f64,
    /// All of it, by the clock on the wall.
    pub(crate) total_ms: f64,
}

/// What turns files into generations.
pub(crate) struct Loader {
    pub(crate) file: PathBuf,
    pub(crate) host: Arc<Host>,
    pub(crate) machine: Arc<Machine>,
    pub(crate) probe: Arc<dyn Probe>,
    pub(crate) log: AccessLog,
    pub(crate) traffic: Arc<Traffic>,
    /// Guests of each filter.
    pub(crate) shards: usize,
}

/// What a generation is put together from.
struct Parts {
    plan: Plan,
    on_file: Vec<Result<Recipe, FilterProblem>>,
    upstreams: Vec<Known>,
    keys: Result<Keys, RunError>,
    /// Nothing is asked of versions that served before and are brought back.
    probes: Vec<probe::Text>,
    /// A filter that is not taken over, although nothing changed.
    anew: Option<String>,
    began: Instant,
}

impl Parts {
    /// Those of a generation that is there.
    fn of(before: &Generation) -> Self {
        Self {
            plan: before.plan.clone(),
            on_file: before.on_file.iter().cloned().map(Ok).collect(),
            upstreams: before.upstreams.clone(),
            keys: Ok(before.keys.clone()),
            probes: Vec::new(),
            anew: None,
            began: Instant::now(),
        }
    }
}

impl Loader {
    /// Reads everything and builds what changed since `before`. Callouts reach the new upstreams from then on; when it
    /// fails, those of before.
    ///
    /// # Errors
    /// [`RunError`] with all that is wrong.
    pub(crate) fn load(
        &self,
        number: u64,
        before: Option<&Generation>,
        files: &Files,
        wishes: &Wishes,
    ) -> Result<Generation, RunError> {
        let began = Instant::now();
        let plan = load::plan(&self.file, files)?;
        let upstreams = self.upstreams(&plan, files, number, before)?;
        let on_file = plan.filters.iter().map(|f| Recipe::read(f, &self.file, files)).collect();
        let keys = certificates::read(&plan, &self.file, files);
        let probes = probe::read(&plan.reload.probe, files);
        self.assemble(number, Parts { plan, on_file, upstreams, keys, probes, anew: None, began }, before, wishes)
    }

    /// The same generation again, as people wish it now.
    ///
    /// # Errors
    /// [`RunError::Filters`] when one does not start any more.
    pub(crate) fn again(&self, number: u64, before: &Generation, wishes: &Wishes) -> Result<Generation, RunError> {
        self.assemble(number, Parts::of(before), Some(before), wishes)
    }

    /// The same generation with guests of this filter that begin anew, from what its file holds now.
    ///
    /// # Errors
    /// As [`Loader::load`].
    pub(crate) fn anew(
        &self,
        number: u64,
        before: &Generation,
        files: &Files,
        wishes: &Wishes,
        filter: &str,
    ) -> Result<Generation, RunError> {
        let mut parts = Parts::of(before);
        for recipe in &mut parts.on_file {
            if let Ok(known) = recipe
                && known.settings.name == filter
            {
                *recipe = Recipe::read(&known.settings, &self.file, files);
            }
        }
        parts.probes = probe::read(&parts.plan.reload.probe, files);
        parts.anew = Some(filter.to_owned());
        self.assemble(number, parts, Some(before), wishes)
    }

    /// Builds every upstream of a plan: before the filters, which may call one while they are configured. One in which
    /// nothing changed is taken over with its connections.
    fn upstreams(
        &self,
        plan: &Plan,
        files: &Files,
        number: u64,
        before: Option<&Generation>,
    ) -> Result<Vec<Known>, RunError> {
        let before = before.map_or(&[][..], |before| &before.upstreams);
        let all = plan.upstreams.iter().enumerate().map(|(i, plan)| {
            let ca = match &plan.kind {
                UpstreamKind::Servers(servers) => servers.tls.as_ref().and_then(|tls| tls.ca.as_ref()),
                UpstreamKind::Echo => None,
            };
            let ca = ca.and_then(|ca| {
                let _ = files.read(ca);
                files.digest(ca)
            });
            let plain = plan::Upstream { at: Position::default(), ..plan.clone() };
            if let Some(known) = before.iter().find(|known| known.plan == plain && known.ca == ca) {
                return Ok(known.clone());
            }
            // Connections of one are never taken for those of another with other settings.
            let built = Upstream::build(plan, number << 16 | i as u64, files, &self.traffic);
            let upstream = built.map(Arc::new).map_err(|e| RunError::upstream(&self.file, plan, &e))?;
            Ok(Known { plan: plain, ca, upstream })
        });
        all.collect()
    }

    fn assemble(
        &self,
        number: u64,
        parts: Parts,
        before: Option<&Generation>,
        wishes: &Wishes,
    ) -> Result<Generation, RunError> {
        let Parts { plan, on_file, upstreams, keys, probes, anew, began } = parts;
        let mut stages = Stages { read_ms: millis(began.elapsed()), ..Stages::default() };
        let serving: Vec<_> = upstreams.iter().map(|known| known.upstream.clone()).collect();
        let reached = self.machine.callouts().set_upstreams(&serving);
        let built = self.versions(&plan, &on_file, before, wishes, anew.as_deref(), &mut stages).and_then(|versions| {
            let site = build::site(&plan, &self.file, &versions, &wishes.disabled, serving, &self.traffic, number)?;
            let keys = keys?;
            let probing = Instant::now();
            probe::all_ok(probe::play(&*self.probe, &self.host, probes, &versions))?;
            stages.probe_ms = millis(probing.elapsed());
            // The last that can fail, as it cannot be taken back.
            self.log
                .apply(plan.telemetry.access_log.as_ref())
                .map_err(|why| RunError::access_log(&self.file, &plan, &why))?;
            Ok((versions, Arc::new(site), keys))
        });
        let (versions, site, keys) = built.inspect_err(|_| {
            self.machine.callouts().set_upstreams(&reached);
        })?;
        stages.total_ms = millis(began.elapsed());
        // All of them are there: a problem of one would have been told above.
        let on_file = on_file.into_iter().flatten().collect();
        Ok(Generation { plan, site, versions, on_file, upstreams, keys, stages })
    }

    fn versions(
        &self,
        plan: &Plan,
        on_file: &[Result<Recipe, FilterProblem>],
        before: Option<&Generation>,
        wishes: &Wishes,
        anew: Option<&str>,
        stages: &mut Stages,
    ) -> Result<Vec<Arc<Version>>, RunError> {
        let before = before.map_or(&[][..], |before| &before.versions);
        let recipes =
            on_file.iter().map(|recipe| recipe.clone().map(|recipe| wishes.pins.instead_of(recipe))).collect();
        let builder = Builder { host: &self.host, file: &self.file, shards: self.shards, anew };
        let (mut versions, mut problems) = (Vec::new(), Vec::new());
        for built in builder.build(plan, recipes, before) {
            match built {
                Ok(version) => versions.push(version),
                Err(problem) => problems.push(problem),
            }
        }
        for version in versions.iter().filter(|v| !before.iter().any(|b| Arc::ptr_eq(v, b))) {
            stages.compile_ms += millis(version.compiling);
            stages.start_ms += millis(version.starting);
            tracing::info!(
                filter = version.name(),
                digest = %version.filter.digest().short(),
                abi = %version.filter.abi(),
                kib = version.recipe.module.len() / 1024,
                ms = millis(version.compiling + version.starting),
                "filter loaded"
            );
            for trouble in version.code().cache_trouble() {
                tracing::warn!(
                    filter = version.name(),
                    "compiled code in the cache could not be used or kept, which costs time: {trouble}"
                );
            }
        }
        if problems.is_empty() { Ok(versions) } else { Err(RunError::Filters(problems)) }
    }
}

pub(crate) fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e5).round() / 1e2
}
