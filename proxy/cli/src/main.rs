//! The `sluice` binary: reads the command line, calls one command, explains what went wrong.

mod args;
mod cmd;
mod explain;
mod inspect;
mod probe;
mod source;

use std::process::ExitCode;

use clap::Parser as _;

// An exchange allocates often and little, across threads: this allocator costs about a third of the system's there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // A wrong command line ends here, with status 2.
    let cli = args::Cli::parse();
    cmd::run(cli.command).unwrap_or_else(|failure| explain::failure(&failure))
}
