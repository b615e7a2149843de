//! Where cases find their modules, and the promise that every hostcall has cases.

use std::{fs, path::PathBuf};

mod covered;

/// A module by its name among the built fixtures, or as text where it begins with a bracket.
///
/// # Errors
/// What is missing, and what makes it.
pub fn read(module: &str) -> Result<Vec<u8>, String> {
    if module.trim_start().starts_with('(') {
        return wat::parse_str(module).map_err(|e| e.to_string());
    }
    let path =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.build/fixtures")).join(format!("{module}.wasm"));
    fs::read(&path).map_err(|e| format!("{}: {e}; run `tools/build-guests.sh fixtures` first", path.display()))
}
