//! Probes: written exchanges that have to come out as they say before new versions of filters serve.

use std::{fmt, path::PathBuf, sync::Arc};

use sluice_host::{FilterSpec, Host};

use crate::{
    load::RunError,
    reload::{Files, Version},
};

/// Who can play written exchanges. The server itself knows nothing of how they are written.
pub trait Probe: Send + Sync {
    /// Plays every exchange of a text, each from fresh guests: the filters by their names in the configuration, compiled by
    /// this host. Gives each in the order of the text; a text that cannot be played gives one without a name.
    fn play(&self, host: &Host, text: &str, filters: &[FilterSpec]) -> Vec<Played>;
}

/// What came of one written exchange.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Played {
    /// What the text calls it; empty when the text as a whole cannot be played.
    pub name: String,
    /// In which ways it did not come out as written, or why it cannot be played; empty when all is well.
    pub differs: Vec<String>,
    /// What the filters logged.
    pub logged: Vec<String>,
}

/// An exchange and the file that it is written in. The text says in which ways it differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// The file.
    pub file: String,
    /// What came of it.
    pub played: Played,
}

impl Probed {
    /// Whether it came out as written.
    pub fn ok(&self) -> bool {
        self.played.differs.is_empty()
    }
}

impl fmt::Display for Probed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.played.name.as_str() {
            "" => write!(f, "the probes cannot be played")?,
            name => write!(f, "the probe `{name}` did not come out as written")?,
        }
        self.played.differs.iter().try_for_each(|line| write!(f, "\n  {line}"))?;
        write!(f, "\n  --> {}", self.file)
    }
}

/// A file and its text, or why that cannot be read.
pub(crate) type Text = Result<(String, String), Probed>;

/// Reads files of probes. One that cannot be read differs from everything.
pub(crate) fn read(paths: &[PathBuf], files: &Files) -> Vec<Text> {
    let read = |path: &PathBuf| {
        let file = path.display().to_string();
        match files.read_text(path) {
            Ok(text) => Ok((file, text)),
            Err(error) => {
                let differs = vec![format!("cannot be read: {error}")];
                Err(Probed { file, played: Played { differs, ..Played::default() } })
            }
        }
    };
    paths.iter().map(read).collect()
}

/// Plays all of them.
pub(crate) fn play(probe: &dyn Probe, host: &Host, texts: Vec<Text>, versions: &[Arc<Version>]) -> Vec<Probed> {
    if texts.is_empty() {
        return Vec::new();
    }
    let filters: Vec<_> = versions.iter().map(|version| version.spec()).collect();
    let mut all = Vec::new();
    for text in texts {
        match text {
            Ok((file, text)) => {
                let played = probe.play(host, &text, &filters).into_iter();
                all.extend(played.map(|played| Probed { file: file.clone(), played }));
            }
            Err(unread) => all.push(unread),
        }
    }
    all
}

/// # Errors
/// [`RunError::Probes`] with everything that differs.
pub(crate) fn all_ok(probed: Vec<Probed>) -> Result<(), RunError> {
    let failures: Vec<_> = probed.into_iter().filter(|probed| !probed.ok()).collect();
    if failures.is_empty() { Ok(()) } else { Err(RunError::Probes(failures)) }
}
