//! `sluice build --precompile`: compiles modules for hosts that have no compiler.

use std::{fmt::Write as _, path::Path, process::ExitCode};

use crate::explain::{self, Failure, size};

/// Compiles every module of a configuration into a folder and says what is there now.
///
/// # Errors
/// When the configuration, a module or the folder cannot be used.
pub(crate) fn run(config: &Path, folder: &Path, key: Option<&Path>) -> Result<ExitCode, Failure> {
    let filters = sluice_server::precompile(config, folder, key)?;
    let width = filters.iter().map(|filter| filter.name.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for filter in &filters {
        let done = if filter.known { "was there" } else { "compiled" };
        // Writing to a string does not fail.
        let _ = writeln!(out, "{:width$}  {done}  {}  {}", filter.name, &filter.digest[..12], size(filter.size as u64));
    }
    let key = key.map_or_else(|| folder.join("key"), Path::to_owned);
    let _ = writeln!(
        out,
        "sealed with {}; serve with server: {{ cache: {{ path: {}, key: {} }} }}",
        key.display(),
        folder.display(),
        key.display()
    );
    explain::print(&explain::visible(&out))?;
    Ok(ExitCode::SUCCESS)
}
