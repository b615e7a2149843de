//! From a configuration file to a plan, and all that can go wrong on the way to serving it.

use std::{fmt, net::SocketAddr, path::Path};

use sluice_config::{Errors, Plan, Position, Source, parse, plan};

use crate::{probe::Probed, reload::Files, upstream::UpstreamError};

/// Why a configuration cannot be served.
#[derive(Debug)]
pub enum RunError {
    /// The file cannot be read.
    Read {
        /// The file.
        file: String,
        /// The system's words.
        error: std::io::Error,
    },
    /// The file says something that makes no sense; every error of it.
    Config(Errors),
    /// Filters that do not load; every one of them.
    Filters(Vec<FilterProblem>),
    /// Probes that did not come out as written; all of them.
    Probes(Vec<Probed>),
    /// Anything else that is named in the file and cannot be used: upstreams, certificates, addresses.
    Setup {
        /// Where in the file.
        at: Place,
        /// What is wrong, as a sentence.
        message: String,
        /// What to do.
        help: Option<String>,
    },
    /// The host cannot be set up on this machine.
    Host(sluice_host::HostError),
}

/// A place in the configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    file: String,
    line: usize,
    column: usize,
}

/// One filter that does not load.
#[derive(Debug, Clone)]
pub struct FilterProblem {
    /// Its name.
    pub name: String,
    /// Where it stands in the configuration.
    pub at: Place,
    /// The module's file.
    pub module: String,
    /// What is wrong, completing "the module …" or standing alone.
    pub message: String,
}

impl Place {
    pub(crate) fn new(file: &Path, at: Position) -> Self {
        Self { file: file.display().to_string(), line: at.line, column: at.column }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl fmt::Display for FilterProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "filter `{}`: {} {}\n  --> {}", self.name, self.module, self.message, self.at)
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { file, error } => write!(f, "cannot read {file}: {error}"),
            Self::Config(errors) => errors.fmt(f),
            Self::Filters(problems) => each(f, problems),
            Self::Probes(failures) => each(f, failures),
            Self::Setup { at, message, help } => {
                write!(f, "{message}\n  --> {at}")?;
                help.as_ref().map_or(Ok(()), |h| write!(f, "\n  = help: {h}"))
            }
            Self::Host(error) => error.fmt(f),
        }
    }
}

/// One below the other.
fn each(f: &mut fmt::Formatter<'_>, problems: &[impl fmt::Display]) -> fmt::Result {
    problems.iter().enumerate().try_for_each(|(i, problem)| write!(f, "{}{problem}", if i > 0 { "\n\n" } else { "" }))
}

impl std::error::Error for RunError {}

impl RunError {
    pub(crate) fn setup(file: &Path, at: Position, message: impl Into<String>) -> Self {
        Self::Setup { at: Place::new(file, at), message: message.into(), help: None }
    }

    /// An address that cannot be listened on.
    pub(crate) fn address(file: &Path, at: Position, address: SocketAddr, error: &std::io::Error) -> Self {
        Self::Setup {
            at: Place::new(file, at),
            message: format!("cannot listen on {address}: {error}"),
            help: (error.kind() == std::io::ErrorKind::AddrInUse).then(|| {
                "another program listens there; stop it or choose another port (0 takes any free one)".to_owned()
            }),
        }
    }

    /// The access log, which cannot go where it is to go.
    pub(crate) fn access_log(file: &Path, plan: &Plan, why: &str) -> Self {
        let at = plan.telemetry.access_log.as_ref().map_or_else(Position::default, |log| log.at);
        Self::setup(file, at, format!("telemetry.access_log: {why}"))
    }

    pub(crate) fn upstream(file: &Path, upstream: &plan::Upstream, error: &UpstreamError) -> Self {
        Self::setup(file, upstream.at, format!("upstream `{}`: {error}", upstream.name))
    }
}

/// Reads and parses a configuration file.
///
/// # Errors
/// [`RunError::Read`] or [`RunError::Config`].
pub(crate) fn plan(file: &Path, files: &Files) -> Result<Plan, RunError> {
    let name = file.display().to_string();
    let text = files.read_text(file).map_err(|error| RunError::Read { file: name.clone(), error })?;
    let dir = file.parent().unwrap_or(Path::new("."));
    parse(Source { text: &text, name: &name, dir }, files).map_err(RunError::Config)
}

/// What somebody should know of a file that is right; said at every start.
pub(crate) fn warnings(plan: &Plan) -> Vec<String> {
    let mut warnings = Vec::new();
    for upstream in &plan.upstreams {
        if let plan::UpstreamKind::Servers(servers) = &upstream.kind
            && servers.tls.as_ref().is_some_and(|tls| !tls.verify)
        {
            warnings.push(format!("upstream `{}`: its certificate is not verified (tls.verify: false)", upstream.name));
        }
    }
    warnings
}
