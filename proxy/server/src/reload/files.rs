//! Reads files and remembers what was in them, so that a change of any of them can be seen.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;
use sluice_config::World;
use sluice_host::{Digest, FOREIGN, Hostcall, wasi_names};

/// Every file that was read, with what it held; `None` for one that could not be read.
#[derive(Default)]
pub(crate) struct Files(Mutex<BTreeMap<PathBuf, Option<Digest>>>);

impl Files {
    /// The whole content of a file.
    ///
    /// # Errors
    /// Those of the system; that the file was wanted is remembered all the same.
    pub(crate) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let read = std::fs::read(path);
        self.0.lock().insert(path.to_owned(), read.as_deref().ok().map(Digest::of));
        read
    }

    /// The content of a text file.
    ///
    /// # Errors
    /// Those of the system, and for bytes that are not UTF-8.
    pub(crate) fn read_text(&self, path: &Path) -> io::Result<String> {
        String::from_utf8(self.read(path)?).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
    }

    /// What a file held when it was read.
    pub(crate) fn digest(&self, path: &Path) -> Option<Digest> {
        self.0.lock().get(path).copied().flatten()
    }

    /// All of them.
    pub(crate) fn into_seen(self) -> BTreeMap<PathBuf, Option<Digest>> {
        self.0.into_inner()
    }
}

/// What the configuration may know of the machine: environment variables, files named in it, and names that this host has.
impl World for Files {
    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read(&self, path: &Path) -> Result<String, String> {
        self.read_text(path).map_err(|e| e.to_string())
    }

    fn capability(&self, key: &str) -> Option<Vec<String>> {
        let names: Vec<&str> = match key {
            "hostcalls" => Hostcall::ALL.iter().map(|call| call.name()).collect(),
            "wasi" => wasi_names::FUNCTIONS.to_vec(),
            "foreign" => FOREIGN.to_vec(),
            _ => return None,
        };
        Some(names.into_iter().map(str::to_owned).collect())
    }
}
