//! Loads a configuration as `run` would, without serving it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use sluice_config::plan;
use sluice_host::Host;

use crate::{
    build, certificates, limits, load,
    load::RunError,
    logging::Logging,
    probe::{self, Probe, Probed},
    reload::{Builder, Disabled, Files, Recipe},
    serve,
    traffic::Traffic,
    upstream::Upstream,
};

/// What was found.
#[derive(Debug)]
pub struct CheckReport {
    /// Every filter of the file.
    pub filters: Vec<CheckedFilter>,
    /// How many routes.
    pub routes: usize,
    /// Where it would listen.
    pub listeners: Vec<String>,
    /// How many upstreams.
    pub upstreams: usize,
    /// How many files of probes.
    pub probes: usize,
    /// What came of each probe; empty when a filter does not load.
    pub probed: Vec<Probed>,
    /// What is not wrong and yet worth knowing.
    pub warnings: Vec<String>,
    /// What is wrong beside the filters and the probes.
    pub problems: Vec<String>,
}

/// One filter.
#[derive(Debug)]
pub struct CheckedFilter {
    /// Its name.
    pub name: String,
    /// SHA-256 of its module; empty when the module could not be read.
    pub digest: String,
    /// ABI version of its module; empty when it did not load.
    pub abi: String,
    /// Bytes of its module.
    pub size: usize,
    /// Time to compile, start and configure it, seconds.
    pub seconds: f64,
    /// Why it does not load.
    pub error: Option<String>,
}

impl CheckReport {
    /// Whether the configuration can be served.
    pub fn ok(&self) -> bool {
        self.errors().next().is_none()
    }

    /// Everything that is wrong.
    pub fn errors(&self) -> impl Iterator<Item = String> + '_ {
        let filters = self.filters.iter().filter_map(|filter| filter.error.clone());
        let probes = self.probed.iter().filter(|probed| !probed.ok()).map(ToString::to_string);
        filters.chain(self.problems.iter().cloned()).chain(probes)
    }
}

/// Reads the file, compiles every module, starts and configures every filter, has its probes played, looks names and
/// certificates up.
///
/// # Errors
/// [`RunError`] when the file cannot be read or understood; problems of filters are in the report.
pub fn check(file: &Path, probe: &dyn Probe) -> Result<CheckReport, RunError> {
    check_with(file, probe, &[])
}

/// The same with these files of probes, if there are any, in place of those that the configuration names.
///
/// # Errors
/// As [`check`].
pub fn check_with(file: &Path, probe: &dyn Probe, probes: &[PathBuf]) -> Result<CheckReport, RunError> {
    let files = Files::default();
    let mut plan = load::plan(file, &files)?;
    if !probes.is_empty() {
        plan.reload.probe = probes.to_vec();
    }
    let log = plan::Log { level: plan::LogLevel::Error, ..plan::Log::default() };
    let logging = Logging::start(&log).map_err(|e| serve::no_thread(file, &e))?;
    let _flush = logging.flush_at_end();
    let outside = serve::machine(logging, file)?;
    let traffic = Traffic::default();
    let upstreams = plan
        .upstreams
        .iter()
        .map(|u| Upstream::build(u, 0, &files, &traffic).map(Arc::new).map_err(|e| RunError::upstream(file, u, &e)));
    let upstreams = upstreams.collect::<Result<Vec<_>, _>>()?;
    outside.callouts().set_upstreams(&upstreams);
    let host = Host::new(limits::host(&plan.server, file)?, outside).map_err(RunError::Host)?;
    let recipes = plan.filters.iter().map(|filter| Recipe::read(filter, file, &files)).collect();
    let loaded = Builder { host: &host, file, shards: 1, anew: None }.build(&plan, recipes, &[]);
    let (mut problems, mut probed) = (Vec::new(), Vec::new());
    let working: Option<Vec<_>> = loaded.iter().map(|l| l.as_ref().ok().cloned()).collect();
    if let Some(filters) = working {
        problems.extend(
            build::site(&plan, file, &filters, &Disabled::default(), upstreams, &traffic, 1)
                .err()
                .map(|e| e.to_string()),
        );
        probed = probe::play(probe, &host, probe::read(&plan.reload.probe, &files), &filters);
    }
    problems.extend(certificates::read(&plan, file, &files).err().map(|e| e.to_string()));
    let filters = plan
        .filters
        .iter()
        .zip(loaded)
        .map(|(plan, loaded)| match loaded {
            Ok(l) => CheckedFilter {
                name: plan.name.clone(),
                digest: l.filter.digest().to_string(),
                abi: l.filter.abi().to_string(),
                size: l.recipe.module.len(),
                seconds: (l.compiling + l.starting).as_secs_f64(),
                error: None,
            },
            Err(problem) => CheckedFilter {
                name: plan.name.clone(),
                digest: String::new(),
                abi: String::new(),
                size: 0,
                seconds: 0.0,
                error: Some(problem.to_string()),
            },
        })
        .collect();
    Ok(CheckReport {
        filters,
        routes: plan.routes.len(),
        listeners: plan.listeners.iter().map(|l| l.address.to_string()).collect(),
        upstreams: plan.upstreams.len(),
        probes: plan.reload.probe.len(),
        probed,
        warnings: load::warnings(&plan),
        problems,
    })
}
