//! `sluice completions`: made from the command line's own declaration, so they cannot lag behind it.

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::{
    args::Cli,
    explain::{self, Failure},
};

/// Prints the completions of a shell.
///
/// # Errors
/// When they cannot be written.
pub(crate) fn run(shell: Shell) -> Result<ExitCode, Failure> {
    // Into memory first: the generator ends the process when its writer fails, as it does under `| head`.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sluice", &mut script);
    explain::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
