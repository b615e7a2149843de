//! Compiles what a configuration names for hosts that cannot compile.

use std::{path::Path, sync::Arc};

use sluice_config::Position;
use sluice_host::{Cache, Host, HostOptions, Isolation};

use crate::{
    load::{self, FilterProblem, Place, RunError},
    logging::Logging,
    reload::{Files, Recipe},
    serve,
};

/// One filter whose code is in the folder now.
#[derive(Debug)]
pub struct Precompiled {
    /// Its name.
    pub name: String,
    /// SHA-256 of its module.
    pub digest: String,
    /// Bytes of its module.
    pub size: usize,
    /// It was there already.
    pub known: bool,
}

/// Compiles every module of a configuration into a folder, sealed with the key in this file, or in the file `key` of the
/// folder; a key that is not there is made.
///
/// # Errors
/// [`RunError`] for a configuration that cannot be read, modules that are none, and a folder that cannot be used.
pub fn precompile(file: &Path, folder: &Path, key: Option<&Path>) -> Result<Vec<Precompiled>, RunError> {
    let files = Files::default();
    let plan = load::plan(file, &files)?;
    let logging = Logging::start(&plan.telemetry.log).map_err(|e| serve::no_thread(file, &e))?;
    let _flush = logging.flush_at_end();
    let cache = Cache::open(folder, key, u64::MAX);
    let cache = cache.map_err(|e| RunError::setup(file, Position::default(), e.to_string()))?;
    let options = HostOptions { cache: Some(Arc::new(cache)), ..HostOptions::default() };
    let host = Host::new(options, serve::machine(logging, file)?).map_err(RunError::Host)?;
    let (mut done, mut problems) = (Vec::new(), Vec::new());
    for filter in &plan.filters {
        let compiled = Recipe::read(filter, file, &files).and_then(|recipe| {
            // A host without a compiler takes no snapshots, whatever the isolation is.
            let code = host.compile(&recipe.module, Isolation::Shared).map_err(|e| FilterProblem {
                name: filter.name.clone(),
                at: Place::new(file, filter.at),
                module: recipe.path().display().to_string(),
                message: e.to_string(),
            })?;
            let (digest, size) = (recipe.digest.to_string(), recipe.module.len());
            Ok(Precompiled { name: filter.name.clone(), digest, size, known: code.was_cached() })
        });
        match compiled {
            Ok(filter) => done.push(filter),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(done) } else { Err(RunError::Filters(problems)) }
}
