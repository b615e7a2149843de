//! `sluice run`: serves a configuration; everything that happens is the server's.

use std::{path::Path, process::ExitCode, sync::Arc};

use crate::{explain::Failure, probe::Rehearsal};

/// Serves until the process is told to stop.
///
/// # Errors
/// When the configuration cannot be served.
pub(crate) fn run(config: &Path) -> Result<ExitCode, Failure> {
    sluice_server::run(config, Arc::new(Rehearsal))?;
    Ok(ExitCode::SUCCESS)
}
