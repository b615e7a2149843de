//! `sluice inspect`: reads a module and says what it is; nothing of it is run.

use std::{fs::File, io::Read as _, path::Path, process::ExitCode};

use serde_json::json;
use sluice_engine::MAX_MODULE_BYTES;
use sluice_host::CodeError;

use crate::{
    explain::{self, Failure},
    inspect::{Report, json, policy, text},
};

/// Prints the report of a file, or the grants that it needs.
///
/// # Errors
/// When the file cannot be read or is no module.
pub(crate) fn run(file: &Path, only_policy: bool, as_json: bool) -> Result<ExitCode, Failure> {
    let report = read(file).and_then(|bytes| Report::of(&bytes).map_err(|error| format!("{} {error}", file.display())));
    match report {
        Ok(report) if only_policy && as_json => explain::print_json(&policy::json(&report.imports))?,
        Ok(report) if only_policy => explain::print(&explain::visible(&policy::yaml(&report.imports)))?,
        Ok(report) if as_json => explain::print_json(&json::render(file, &report))?,
        Ok(report) => explain::print(&explain::visible(&text::render(file, &report)))?,
        Err(error) if as_json => {
            explain::print_json(&json!({ "file": file.display().to_string(), "error": error }))?;
            return Ok(ExitCode::FAILURE);
        }
        Err(error) => return Err(Failure::new(error)),
    }
    Ok(ExitCode::SUCCESS)
}

/// The bytes of a file, as far as a module may have them: a huge file is refused without being read.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let explain = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let file = File::open(path).map_err(explain)?;
    let length = file.metadata().map_err(explain)?.len();
    if length > MAX_MODULE_BYTES as u64 {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        return Err(format!("{} {}", path.display(), CodeError::TooLarge(length)));
    }
    let mut bytes = Vec::new();
    // A pipe has no length, so the bound stands here too.
    file.take(MAX_MODULE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(explain)?;
    Ok(bytes)
}
