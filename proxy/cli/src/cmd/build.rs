//! `sluice build`: builds filters from their folders.

use std::{path::Path, process::ExitCode};

use sluice_server::FilterSource;

use crate::{
    explain::{self, Failure},
    source::{self, Say},
};

/// Builds the filter in a folder.
///
/// # Errors
/// When it does not build.
pub(crate) fn one(folder: &Path) -> Result<ExitCode, Failure> {
    let module = sluice_server::module_of(folder);
    let module = module.map_err(|error| Failure::new(format_args!("{}: {error}", folder.display())))?;
    source::build(folder, &module, Say::Everything)?;
    Ok(ExitCode::SUCCESS)
}

/// Builds every filter of a configuration that is built from a folder.
///
/// # Errors
/// When the configuration is wrong, or builds nothing.
pub(crate) fn all(config: &Path) -> Result<ExitCode, Failure> {
    Ok(if built(&sources(config)?, Say::Everything) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a configuration builds.
///
/// # Errors
/// As [`all`].
pub(crate) fn sources(config: &Path) -> Result<Vec<FilterSource>, Failure> {
    let sources = sluice_server::sources(config)?;
    if sources.is_empty() {
        return Err(Failure::new(format_args!(
            "{}: no filter has `source: {{ build: FOLDER }}`, so there is nothing to build",
            config.display()
        )));
    }
    Ok(sources)
}

/// Builds these, and says what does not build; whether all did.
pub(crate) fn built(sources: &[FilterSource], say: Say) -> bool {
    let mut all = true;
    // Filters may share a folder.
    let mut done: Vec<&Path> = Vec::new();
    for source in sources {
        if done.contains(&source.folder.as_path()) {
            continue;
        }
        done.push(&source.folder);
        if let Err(failure) = source::build(&source.folder, &source.module, say) {
            explain::failure(&failure);
            all = false;
        }
    }
    all
}
