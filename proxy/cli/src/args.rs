//! The command line as it is written: commands, options, help and examples. What they do stands in `cmd/`.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// The whole command line.
#[derive(Parser)]
#[command(
    name = "sluice",
    version,
    about = "A reverse proxy whose middleware is WebAssembly",
    after_help = "Examples:
  sluice new my-filter                     begin a filter
  sluice dev                               serve it, and build it again whenever its source changes
  sluice check -c conf/quickstart.yaml     find every mistake before it serves
  sluice run -c conf/quickstart.yaml       serve; Ctrl-C drains and ends
  sluice inspect hello.wasm                what a filter needs and sees

Exit status: 0 good, 1 something is wrong and was said, 2 a wrong command line.
`sluice help COMMAND` says more about each command."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One command.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Begin a filter: a folder with its source, a configuration that serves it and the probes that it has to pass
    #[command(after_help = "Examples:
  sluice new my-filter
  sluice new my-filter --lang go --into filters/my-filter

It prints the commands that build it and serve it. Nothing that is there is overwritten.")]
    New {
        /// What it is called: a small letter, then small letters, digits, `-` and `_`
        #[arg(value_parser = filter_name)]
        name: String,
        /// What it is written in
        #[arg(long, value_enum, default_value_t = Language::Rust)]
        lang: Language,
        /// Its folder [default: its name]
        #[arg(long, value_name = "FOLDER")]
        into: Option<PathBuf>,
    },

    /// Serve a configuration until the process is told to stop
    #[command(after_help = "Examples:
  sluice run -c sluice.yaml
  GREETING=hi sluice run -c conf/secrets.yaml     `${GREETING}` in the file becomes `hi`

SIGINT (Ctrl-C) and SIGTERM stop listening, let requests in flight end, and exit with status 0.")]
    Run(ConfigFile),

    /// Build the filters of a configuration, serve it, and build again whenever their source changes
    #[command(after_help = "Examples:
  sluice dev                          what `sluice new` made, from its folder
  sluice dev -c conf/sluice.yaml

It builds the filters with `source: { build: FOLDER }`, as `sluice build` does, and serves as `sluice run` does. A version that does
not build, start or pass its probes never serves: the one before goes on.")]
    Dev {
        /// The configuration file
        #[arg(short, long, value_name = "FILE", default_value = "sluice.yaml")]
        config: PathBuf,
    },

    /// Play the probes of a configuration: what each filter has to do with a request, without a socket
    #[command(after_help = "Examples:
  sluice test
  sluice test -c sluice.yaml more-probes.yaml

Probes are written exchanges (`docs/probes.md`): those of `reload.probe`, or of the files that are named. Filters are taken as they
were built last: `sluice build && sluice test`. Exit status: 0 when all come out as written, 1 when not.")]
    Test {
        /// The configuration file
        #[arg(short, long, value_name = "FILE", default_value = "sluice.yaml")]
        config: PathBuf,
        /// Files of probes, in place of those that the configuration names
        #[arg(value_name = "PROBES")]
        probes: Vec<PathBuf>,
    },

    /// Check a configuration: every mistake of the file, then each filter compiled, started and configured
    #[command(after_help = "Examples:
  sluice check -c sluice.yaml
  sluice check -c sluice.yaml --json | jq .ok

Nothing listens and nothing is sent. Exit status: 0 when the file would be served, 1 when not.")]
    Check {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        output: Output,
    },

    /// Say what a module is: ABI, imports and the capability each needs, exports, memory, size, digest
    #[command(after_help = "Examples:
  sluice inspect filters/rust/hello/hello.wasm
  sluice inspect hello.wasm --json | jq -r .digest
  sluice inspect hello.wasm --policy

The module is read and validated, not run. Exit status: 0 when it is a module, 1 when it is something else.")]
    Inspect {
        /// The module
        #[arg(value_name = "FILE.wasm")]
        file: PathBuf,
        /// Print the grants that it needs, ready to paste under the filter, and nothing else
        #[arg(long)]
        policy: bool,
        #[command(flatten)]
        output: Output,
    },

    /// Build filters from their source, or compile the modules of a configuration for hosts that have no compiler
    #[command(after_help = "Examples:
  sluice build                        the filter in this folder
  sluice build filters/auth           the one in that folder
  sluice build -c sluice.yaml         all with `source: { build: FOLDER }`
  sluice build --precompile -c sluice.yaml --into code --key host.key
  sluice build --precompile -c sluice.yaml --into code     the key is code/key

A folder has a Cargo.toml (built for wasm32-wasip1) or a go.mod; its module is put into it under the folder's own name.

With --precompile modules become machine code. A host that is built without the compiler (cargo's --no-default-features) runs only
what was made here with its own key, for its version and a CPU like this one:
  server: { cache: { path: code, key: host.key } }
Whoever has the key can have that host run any machine code: keep it where only its user can read it.")]
    Build {
        /// The folder of a filter [default: this one]
        #[arg(value_name = "FOLDER", conflicts_with_all = ["config", "precompile"])]
        folder: Option<PathBuf>,
        /// The configuration file
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Compile modules that are built already
        #[arg(long, requires_all = ["config", "into"])]
        precompile: bool,
        /// The folder for the code
        #[arg(long, value_name = "FOLDER", requires = "precompile")]
        into: Option<PathBuf>,
        /// The key that it is sealed with, made if it is not there [default: the file `key` in the folder]
        #[arg(long, value_name = "FILE", requires = "precompile")]
        key: Option<PathBuf>,
    },

    /// Have a process that serves read its configuration again, as SIGHUP does, or begin with fresh guests of one filter
    #[command(after_help = "Examples:
  sluice reload -c sluice.yaml
  sluice reload --admin 127.0.0.1:9901
  sluice reload hello -c sluice.yaml

With a filter, its module is read again and its guests begin anew, whether it changed or not: what they kept in memory is gone.
Nothing else is read. Requests in flight end on the guests that they have.

The answer comes when the new generation serves, or says why it does not; then the old one goes on.
Exit status: 0 when it serves, 1 when not.")]
    Reload {
        /// The filter's name; without it everything is read again
        filter: Option<String>,
        #[command(flatten)]
        process: Process,
    },

    /// Have a process that serves bring an earlier version of a filter back
    #[command(after_help = "Examples:
  sluice rollback hello -c sluice.yaml
  sluice rollback hello --to 3f5a --admin 127.0.0.1:9901

The version stays until the filter's files change once more. `GET /filters` of the admin listener says which there are.
Exit status: 0 when it serves, 1 when not.")]
    Rollback {
        /// The filter's name
        filter: String,
        /// The beginning of the version's digest; without it the last version before the one that serves
        #[arg(long, value_name = "DIGEST")]
        to: Option<String>,
        #[command(flatten)]
        process: Process,
    },

    /// List the filters of a process that serves: version, state, and what they did
    #[command(after_help = "Examples:
  sluice filters -c sluice.yaml
  sluice filters --admin 127.0.0.1:9901

`GET /filters` of the admin listener says more.")]
    Filters(Process),

    /// Have new requests of a process that serves pass a filter by
    #[command(after_help = "Examples:
  sluice disable hello -c sluice.yaml
  sluice disable auth --force --admin 127.0.0.1:9901

It stays so through reloads, until somebody enables it or the process ends. What a filter with `on_error: fail_closed` keeps
away passes then, so that one has to be forced.
Exit status: 0 when it is so, 1 when not.")]
    Disable {
        /// The filter's name
        filter: String,
        /// Also a filter with `on_error: fail_closed`
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        process: Process,
    },

    /// Have new requests of a process that serves meet a filter again
    #[command(after_help = "Examples:
  sluice enable hello -c sluice.yaml

Exit status: 0 when it is so, 1 when not.")]
    Enable {
        /// The filter's name
        filter: String,
        #[command(flatten)]
        process: Process,
    },

    /// Have a process ask to be left alone: `/ready` says no and clients are told to take other connections
    #[command(after_help = "Examples:
  sluice drain -c sluice.yaml
  sluice drain --off -c sluice.yaml

It serves on; stop it when the requests in flight have ended. Exit status: 0 when it is so, 1 when not.")]
    Drain {
        /// The drain is over
        #[arg(long)]
        off: bool,
        #[command(flatten)]
        process: Process,
    },

    /// Print the JSON Schema of the configuration file
    #[command(after_help = "Examples:
  sluice schema > sluice.schema.json

With this first line in a configuration, editors complete and check it:
  # yaml-language-server: $schema=./sluice.schema.json")]
    Schema,

    /// Print the completions of a shell
    #[command(after_help = "Examples:
  sluice completions bash > ~/.local/share/bash-completion/completions/sluice
  sluice completions zsh > ~/.zfunc/_sluice
  sluice completions fish > ~/.config/fish/completions/sluice.fish")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// What filters are written in.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Language {
    /// On the official SDK `proxy-wasm`
    Rust,
    /// On the official SDK, with plain Go 1.24 or later
    Go,
}

/// Most letters of a name: it becomes that of files.
const MOST: usize = 64;

fn filter_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    if text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(plain) && text.len() <= MOST {
        return Ok(text.to_owned());
    }
    Err(format!("a small letter, then small letters, digits, `-` and `_`, {MOST} at most"))
}

/// Which configuration.
#[derive(Args)]
pub(crate) struct ConfigFile {
    /// The configuration file
    #[arg(short, long = "config", value_name = "FILE")]
    pub(crate) config: PathBuf,
}

/// Which process.
#[derive(Args)]
pub(crate) struct Process {
    /// The configuration file that it serves, which says where its admin listener is
    #[arg(short, long, value_name = "FILE", conflicts_with = "admin")]
    pub(crate) config: Option<PathBuf>,
    /// The address of its admin listener
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9901")]
    pub(crate) admin: SocketAddr,
}

/// How a result is printed.
#[derive(Args)]
pub(crate) struct Output {
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_every_command_has_an_example() {
        let mut command = Cli::command();
        command.build();
        command.clone().debug_assert();
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Examples:\n  "), "{} shows no example", sub.get_name());
            assert!(help.contains(&format!("sluice {}", sub.get_name())), "{}: {help}", sub.get_name());
        }
    }
}
