//! `sluice test`: plays the probes of a configuration and says of each how it came out.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use sluice_server::Probed;

use crate::{
    explain::{self, Failure},
    probe::Rehearsal,
};

/// Plays them and prints what came of them.
///
/// # Errors
/// When the configuration cannot be read or is wrong, and when there are no probes.
pub(crate) fn run(config: &Path, probes: &[PathBuf]) -> Result<ExitCode, Failure> {
    let report = sluice_server::check_with(config, &Rehearsal, probes)?;
    if report.probes == 0 {
        return Err(Failure::new(format_args!(
            "{}: there are no probes; name files of them, here or under `reload: {{ probe: [FILE] }}` (docs/probes.md)",
            config.display()
        )));
    }
    explain::print(&explain::visible(&text(&report.probed)))?;
    // Without the filters there is nothing to play.
    let filters = report.filters.iter().filter_map(|filter| filter.error.as_ref());
    filters.for_each(|error| _ = explain::failure(&Failure::new(error)));
    let good = report.probed.iter().all(Probed::ok) && report.filters.iter().all(|filter| filter.error.is_none());
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(probed: &[Probed]) -> String {
    let (mut out, mut file) = (String::new(), "");
    // Writing to a string does not fail.
    for one in probed {
        if one.file != file {
            file = &one.file;
            let _ = writeln!(out, "{file}");
        }
        let word = if one.ok() { "ok    " } else { "FAILED" };
        let name = if one.played.name.is_empty() { "the probes cannot be played" } else { &one.played.name };
        let _ = writeln!(out, "  {word}  {name}");
        if !one.ok() {
            let logged = one.played.logged.iter().map(|line| format!("log: {line}"));
            for text in one.played.differs.iter().cloned().chain(logged) {
                let _ = writeln!(out, "          {}", text.replace('\n', "\n          "));
            }
        }
    }
    let failed = probed.iter().filter(|one| !one.ok()).count();
    let _ = writeln!(out, "{} ok, {failed} failed", probed.len() - failed);
    out
}
