//! `sluice schema`: the JSON Schema of the configuration file.

use std::process::ExitCode;

use crate::explain::{self, Failure};

/// Prints the schema.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn run() -> Result<ExitCode, Failure> {
    explain::print_json(&sluice_config::schema())?;
    Ok(ExitCode::SUCCESS)
}
