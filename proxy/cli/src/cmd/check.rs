//! `sluice check`: whether a configuration would be served, as the server finds out, in text or JSON.

use std::{fmt::Write as _, path::Path, process::ExitCode};

use serde_json::{Value, json};
use sluice_server::{CheckReport, CheckedFilter, RunError};

use crate::{
    explain::{self, Failure, chain, size},
    probe::Rehearsal,
};

/// Checks a configuration and prints what was found.
///
/// # Errors
/// When the file cannot be read or is wrong; what does not load is part of the report.
pub(crate) fn run(config: &Path, as_json: bool) -> Result<ExitCode, Failure> {
    let report = match sluice_server::check(config, &Rehearsal) {
        Ok(report) => report,
        Err(error) if as_json => {
            explain::print_json(&refused(config, &error))?;
            return Ok(ExitCode::FAILURE);
        }
        Err(error) => return Err(error.into()),
    };
    if as_json {
        explain::print_json(&found(config, &report))?;
    } else {
        report.warnings.iter().for_each(|warning| explain::warning(warning));
        explain::print(&explain::visible(&text(config, &report)))?;
        report.errors().for_each(|error| _ = explain::failure(&Failure::new(error)));
    }
    Ok(if report.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(config: &Path, report: &CheckReport) -> String {
    let mut out = String::new();
    let width = report.filters.iter().map(|filter| filter.name.chars().count()).max().unwrap_or(0);
    for filter in &report.filters {
        let outcome = if filter.error.is_none() { facts(filter) } else { "FAILED".to_owned() };
        // Writing to a string does not fail.
        let _ = writeln!(out, "filter {:width$}  {outcome}", filter.name);
    }
    let mut counts =
        vec![count(report.routes, "route"), count(report.upstreams, "upstream"), count(report.filters.len(), "filter")];
    if report.probes > 0 {
        counts.push(format!("probes of {}", count(report.probes, "file")));
    }
    let verdict = if report.ok() { "is good" } else { "would not be served" };
    let _ = writeln!(out, "{} {verdict}: {} on {}", config.display(), counts.join(", "), report.listeners.join(", "));
    out
}

fn facts(filter: &CheckedFilter) -> String {
    let digest: String = filter.digest.chars().take(12).collect();
    format!("ok  ABI {}, {}, sha256:{digest}, ready in {:.2} s", filter.abi, size(filter.size as u64), filter.seconds)
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn found(config: &Path, report: &CheckReport) -> Value {
    // Empty means that it was not known, which JSON has a word for.
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let filters: Vec<Value> = report
        .filters
        .iter()
        .map(|filter| {
            json!({
                "name": filter.name,
                "ok": filter.error.is_none(),
                "digest": known(&filter.digest).map(|digest| format!("sha256:{digest}")),
                "abi": known(&filter.abi),
                "size": filter.size,
                "seconds": filter.seconds,
                "error": filter.error,
            })
        })
        .collect();
    let failed = report.probed.iter().filter(|probed| !probed.ok()).map(ToString::to_string);
    let errors = report.problems.iter().cloned().chain(failed);
    let errors: Vec<Value> = errors.map(|problem| json!({ "message": problem })).collect();
    json!({
        "file": config.display().to_string(),
        "ok": report.ok(),
        "errors": errors,
        "warnings": report.warnings,
        "filters": filters,
        "routes": report.routes,
        "upstreams": report.upstreams,
        "probes": report.probes,
        "listeners": report.listeners,
    })
}

/// A file that is wrong as a whole: `ok` is false and `errors` says why, each with its place where it has one.
fn refused(config: &Path, error: &RunError) -> Value {
    let errors = match error {
        RunError::Config(errors) => errors.to_json()["errors"].clone(),
        other => json!([{ "message": chain(other) }]),
    };
    json!({ "file": config.display().to_string(), "ok": false, "errors": errors })
}
