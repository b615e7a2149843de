//! What the configuration may read of the machine: environment variables and files named in it.

use std::path::Path;

use sluice_config::World;

/// The real machine.
pub(crate) struct Machine;

impl World for Machine {
    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read(&self, path: &Path) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|e| e.to_string())
    }
}
