//! What a configuration may ask of the world around it, so that this crate itself opens nothing.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Where `${NAME}` and `{ file: … }` get their values; the embedder decides what they may see.
pub trait World {
    /// The environment variable `name`, when it is set.
    fn env(&self, name: &str) -> Option<String>;

    /// The whole content of a file.
    ///
    /// # Errors
    /// One sentence without the path: `no such file`, `permission denied`, `not UTF-8`.
    fn read(&self, path: &Path) -> Result<String, String>;

    /// The names that may stand in the list `capabilities.<key>` of a filter; `None` when any name may.
    fn capability(&self, key: &str) -> Option<Vec<String>> {
        let _ = key;
        None
    }
}

/// A world in memory, for tests and for checks that must not touch the machine.
#[derive(Clone, Default)]
pub struct Memory {
    env: BTreeMap<String, String>,
    files: BTreeMap<PathBuf, String>,
    capabilities: BTreeMap<String, Vec<String>>,
}

impl Memory {
    /// No variable is set and no file exists.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a variable.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Adds a file; `path` is compared as written, after `Source::dir` was put before a relative one.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<PathBuf>, text: &str) -> Self {
        self.files.insert(path.into(), text.to_owned());
        self
    }

    /// Says which names may stand in `capabilities.<key>`.
    #[must_use]
    pub fn with_capability(mut self, key: &str, names: &[&str]) -> Self {
        self.capabilities.insert(key.to_owned(), names.iter().map(|name| (*name).to_owned()).collect());
        self
    }
}

impl World for Memory {
    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).cloned()
    }

    fn read(&self, path: &Path) -> Result<String, String> {
        self.files.get(path).cloned().ok_or_else(|| "no such file".to_owned())
    }

    fn capability(&self, key: &str) -> Option<Vec<String>> {
        self.capabilities.get(key).cloned()
    }
}
