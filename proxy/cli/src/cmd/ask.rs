//! `sluice reload`, `rollback`, `filters`, `disable`, `enable` and `drain`: asks a process that serves, and prints what came of
//! it.

use std::process::ExitCode;

use sluice_server::Call;

use crate::{
    args::Process,
    explain::{self, Failure},
};

/// Asks and waits.
///
/// # Errors
/// When nobody answers, or the answer is no.
pub(crate) fn run(process: &Process, call: &Call) -> Result<ExitCode, Failure> {
    let address = match &process.config {
        Some(file) => sluice_server::admin_address(file)?,
        None => process.admin,
    };
    let words = sluice_server::ask(address, call).map_err(Failure::new)?;
    explain::print(&explain::visible(&format!("{words}\n")))?;
    Ok(ExitCode::SUCCESS)
}
