//! `sluice check`: whether a configuration would be served, as the server finds out, in text or JSON.

use std::{fmt::Write as _, path::Path, process::ExitCode};

use serde_json::{Value, json};
use sluice_server::{CheckReport, CheckedFilter, RunError};

use crate::explain::{self, Failure, chain, size};

/// Checks a configuration and prints what was found.
///
/// # Errors
/// When the file cannot be read or is wrong; a filter that does not start is part of the report.
pub(crate) fn run(config: &Path, as_json: bool) -> Result<ExitCode, Failure> {
    let report = match sluice_server::check(config) {
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
    }
    Ok(if report.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(config: &Path, report: &CheckReport) -> String {
    let mut out = String::new();
    let width = report.filters.iter().map(|filter| filter.name.chars().count()).max().unwrap_or(0);
    for filter in &report.filters {
        // Writing to a string does not fail.
        let _ = match &filter.error {
            None => writeln!(out, "filter {:width$}  ok  {}", filter.name, facts(filter)),
            Some(error) => writeln!(out, "filter {:width$}  FAILED: {error}", filter.name),
        };
    }
    let counts =
        [count(report.routes, "route"), count(report.upstreams, "upstream"), count(report.filters.len(), "filter")];
    let _ = writeln!(out, "{} on {}", counts.join(", "), report.listeners.join(", "));
    let verdict = if report.ok() { "is good" } else { "would not be served" };
    let _ = writeln!(out, "{} {verdict}", config.display());
    out
}

fn facts(filter: &CheckedFilter) -> String {
    let digest: String = filter.digest.chars().take("sha256:".len() + 12).collect();
    format!("ABI {}, {}, {:.2} s to start, {digest}", filter.abi, size(filter.size as u64), filter.seconds)
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn found(config: &Path, report: &CheckReport) -> Value {
    let filters: Vec<Value> = report
        .filters
        .iter()
        .map(|filter| {
            json!({
                "name": filter.name,
                "ok": filter.error.is_none(),
                "digest": filter.digest,
                "abi": filter.abi,
                "size": filter.size,
                "seconds": filter.seconds,
                "error": filter.error,
            })
        })
        .collect();
    json!({
        "file": config.display().to_string(),
        "ok": report.ok(),
        "filters": filters,
        "routes": report.routes,
        "upstreams": report.upstreams,
        "listeners": report.listeners,
        "warnings": report.warnings,
    })
}

/// The same shape for a file that is wrong: `ok` is false and `errors` says why.
fn refused(config: &Path, error: &RunError) -> Value {
    let errors = match error {
        RunError::Config(errors) => errors.to_json()["errors"].clone(),
        other => json!([{ "message": chain(other) }]),
    };
    json!({ "file": config.display().to_string(), "ok": false, "errors": errors })
}
