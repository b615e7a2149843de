//! Probes: written exchanges that have to come out as they say before new versions of filters serve.

use std::{fmt, path::Path, sync::Arc};

use sluice_config::Plan;
use sluice_host::{FilterSpec, Host};

use crate::{
    load::RunError,
    reload::{Files, Version},
};

/// Who can play written exchanges. The server itself knows nothing of how they are written.
pub trait Probe: Send + Sync {
    /// Plays every exchange of a text, each from fresh guests: the filters by their names in the configuration, compiled by
    /// this host. Gives those that did not come out as written; none when all did.
    fn play(&self, host: &Host, text: &str, filters: &[FilterSpec]) -> Vec<Differs>;
}

/// An exchange that did not come out as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differs {
    /// What the text calls it; empty when the text as a whole cannot be played.
    pub name: String,
    /// In which ways, or why it cannot be played.
    pub how: Vec<String>,
}

/// Something of a file of probes that did not come out as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeFailure {
    /// The file.
    pub file: String,
    /// What differs.
    pub differs: Differs,
}

impl fmt::Display for ProbeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, differs: Differs { name, how } } = self;
        match name.as_str() {
            "" => write!(f, "the probes cannot be played")?,
            name => write!(f, "the probe `{name}` did not come out as written")?,
        }
        how.iter().try_for_each(|line| write!(f, "\n  {line}"))?;
        write!(f, "\n  --> {file}")
    }
}

/// Reads the files of probes that a plan names. One that cannot be read differs from everything.
pub(crate) fn read(plan: &Plan, files: &Files) -> Vec<Result<(String, String), ProbeFailure>> {
    let read = |path: &Path| {
        let file = path.display().to_string();
        match files.read_text(path) {
            Ok(text) => Ok((file, text)),
            Err(error) => {
                let how = vec![format!("cannot be read: {error}")];
                Err(ProbeFailure { file, differs: Differs { name: String::new(), how } })
            }
        }
    };
    plan.reload.probe.iter().map(|path| read(path)).collect()
}

/// Plays all of them.
///
/// # Errors
/// [`RunError::Probes`] with everything that differs.
pub(crate) fn play(
    probe: &dyn Probe,
    host: &Host,
    texts: Vec<Result<(String, String), ProbeFailure>>,
    versions: &[Arc<Version>],
) -> Result<(), RunError> {
    if texts.is_empty() {
        return Ok(());
    }
    let filters: Vec<_> = versions.iter().map(|version| version.spec()).collect();
    let mut failures = Vec::new();
    for text in texts {
        match text {
            Ok((file, text)) => failures.extend(
                probe
                    .play(host, &text, &filters)
                    .into_iter()
                    .map(|differs| ProbeFailure { file: file.clone(), differs }),
            ),
            Err(failure) => failures.push(failure),
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(RunError::Probes(failures)) }
}
