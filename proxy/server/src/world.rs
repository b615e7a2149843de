//! What the configuration may read of the machine, and the names that this host knows.

use std::path::Path;

use sluice_config::World;
use sluice_host::{FOREIGN, Hostcall, wasi_names};

/// The real machine.
pub(crate) struct Machine;

impl World for Machine {
    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read(&self, path: &Path) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|e| e.to_string())
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
