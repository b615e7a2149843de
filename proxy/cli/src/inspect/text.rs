//! A report for people: facts first, then what the filter sees, then what it needs.

use std::{fmt::Write as _, path::Path};

use super::{Pages, Report};
use crate::explain::size;

/// Lists are broken at this column.
const WIDTH: usize = 110;
/// Where values begin.
const INDENT: usize = 16;

/// The report as text.
pub(crate) fn render(file: &Path, report: &Report) -> String {
    let mut out = format!("{}\n", file.display());
    facts(&mut out, report);
    sees(&mut out, report);
    needs(&mut out, report);
    if !report.others.is_empty() {
        out.push_str("\nother exports\n");
        row(&mut out, "", &report.others);
    }
    if !report.problems.is_empty() {
        out.push_str("\nnot a filter that runs here\n");
        for problem in &report.problems {
            row(&mut out, "!", &[problem.as_str()]);
        }
    }
    out
}

fn facts(out: &mut String, report: &Report) {
    let facts = &report.facts;
    let abi = report.abi.map_or_else(|| "none that is known here".to_owned(), |abi| format!("Proxy-Wasm {abi}"));
    row(out, "ABI", &[abi]);
    row(out, "SDK", &[report.origin.sdk.unwrap_or("unknown")]);
    row(out, "language", &or(&report.origin.languages, "unknown"));
    row(out, "toolchain", &or(&report.origin.tools, "unknown"));
    row(out, "digest", &[format!("{:?}", report.digest)]);
    row(
        out,
        "size",
        &[format!("{} ({} bytes), {} of it code", size(facts.size as u64), facts.size, size(facts.code_bytes as u64))],
    );
    row(out, "memory", &[memory(report)]);
    let names = if facts.has_names {
        "function names are kept, so a backtrace can be read"
    } else {
        "no function names, so a backtrace shows numbers"
    };
    row(out, "names", &[names]);
}

fn memory(report: &Report) -> String {
    let pages = |pages: Pages| format!("{} pages ({})", pages.0, size(pages.bytes()));
    match report.memory() {
        None => "none of its own".to_owned(),
        Some((start, None)) => format!("{} at start, no maximum of its own", pages(start)),
        Some((start, Some(most))) => format!("{} at start, {} at most", pages(start), pages(most)),
    }
}

fn sees(out: &mut String, report: &Report) {
    out.push_str("\nexports callbacks for\n");
    if report.callbacks.is_empty() {
        row(out, "", &["nothing"]);
    }
    for group in report.callbacks.chunk_by(|a, b| a.group == b.group) {
        row(out, group[0].group, &group.iter().map(|callback| callback.sees).collect::<Vec<_>>());
    }
}

fn needs(out: &mut String, report: &Report) {
    let imports = &report.imports;
    out.push_str("\nimports, and the capability each needs\n");
    for (group, capability, names) in imports.groups() {
        row(out, group, &[format!("[{capability}]")]);
        row(out, "", &names);
    }
    if !imports.wasi.is_empty() {
        row(out, "WASI", &["[capabilities.wasi, granted by default]"]);
        let mut names: Vec<&str> = imports.wasi.iter().map(|(_, name)| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        row(out, "", &names);
    }
    if !imports.emscripten.is_empty() {
        row(out, "Emscripten", &["[default]"]);
        row(out, "", &imports.emscripten);
    }
    for missing in &imports.missing {
        row(out, "MISSING", &[format!("{} {}", missing.name, missing.kind)]);
    }
    if report.facts.imports.is_empty() {
        row(out, "", &["nothing"]);
    }
}

fn or<'a>(list: &'a [String], otherwise: &'a str) -> Vec<&'a str> {
    if list.is_empty() { vec![otherwise] } else { list.iter().map(String::as_str).collect() }
}

/// A label and values, with commas between, broken into lines.
fn row(out: &mut String, label: &str, values: &[impl AsRef<str>]) {
    let mut line = format!("  {label:<width$}", width = INDENT - 2);
    let mut column = INDENT;
    for (index, value) in values.iter().enumerate() {
        let value = value.as_ref();
        let comma = if index + 1 < values.len() { "," } else { "" };
        let length = value.chars().count() + comma.len();
        if column > INDENT && column + 1 + length > WIDTH {
            // Writing to a string does not fail.
            let _ = writeln!(out, "{line}");
            line = " ".repeat(INDENT);
            column = INDENT;
        }
        if column > INDENT {
            line.push(' ');
            column += 1;
        }
        line.push_str(value);
        line.push_str(comma);
        column += length;
    }
    let _ = writeln!(out, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_break_and_stand_in_one_column() {
        let mut out = String::new();
        row(&mut out, "names", &["proxy_get_header_map_value"; 5]);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.len(), 2, "{out}");
        assert!(lines.iter().all(|line| line.len() <= WIDTH), "{out}");
        assert!(lines[1].starts_with("                proxy_get"), "{out}");
    }
}
