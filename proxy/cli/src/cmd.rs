//! The commands, one file each: every one turns arguments into a result that is printed, and an exit status.

mod ask;
mod build;
mod check;
mod completions;
mod dev;
mod inspect;
mod new;
mod precompile;
mod run;
mod schema;
mod test;

use std::{path::Path, process::ExitCode};

use sluice_server::Call;

use crate::{args::Command, explain::Failure};

/// Runs one command.
///
/// # Errors
/// [`Failure`], which the caller prints.
pub(crate) fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Run(config) => run::run(&config.config),
        Command::New { name, lang, into } => new::run(&name, lang, into.as_deref()),
        Command::Check { config, output } => check::run(&config.config, output.json),
        Command::Inspect { file, policy, output } => inspect::run(&file, policy, output.json),
        Command::Build { config: Some(config), into: Some(into), key, .. } => {
            precompile::run(&config, &into, key.as_deref())
        }
        Command::Build { config: Some(config), .. } => build::all(&config),
        Command::Build { folder, .. } => build::one(folder.as_deref().unwrap_or(Path::new("."))),
        Command::Dev { config } => dev::run(&config),
        Command::Test { config, probes } => test::run(&config, &probes),
        Command::Reload { filter: None, process } => ask::run(&process, &Call::Reload),
        Command::Reload { filter: Some(filter), process } => ask::run(&process, &Call::Anew { filter }),
        Command::Rollback { filter, to, process } => ask::run(&process, &Call::Rollback { filter, to }),
        Command::Filters(process) => ask::run(&process, &Call::Filters),
        Command::Disable { filter, force, process } => ask::run(&process, &Call::Disable { filter, force }),
        Command::Enable { filter, process } => ask::run(&process, &Call::Enable { filter }),
        Command::Drain { off, process } => ask::run(&process, &Call::Drain { off }),
        Command::Schema => schema::run(),
        Command::Completions { shell } => completions::run(shell),
    }
}
