//! A report for programs: one object, every key always there.

use std::path::Path;

use serde_json::{Value, json};

use super::{Pages, Report, imports::capability};

/// The report as JSON.
pub(crate) fn render(file: &Path, report: &Report) -> Value {
    let imports = &report.imports;
    let hostcalls: Vec<Value> = imports
        .hostcalls
        .iter()
        .map(|h| json!({ "name": h.name(), "group": h.group(), "capability": capability(*h) }))
        .collect();
    let wasi: Vec<Value> = imports
        .wasi
        .iter()
        .map(|(module, name)| json!({ "module": module, "name": name, "capability": "capabilities.wasi" }))
        .collect();
    let missing: Vec<Value> = imports.missing.iter().map(|m| json!({ "name": m.name, "kind": m.kind })).collect();
    let callbacks: Vec<Value> =
        report.callbacks.iter().map(|c| json!({ "name": c.name, "group": c.group, "sees": c.sees })).collect();
    let pages = |pages: Pages| json!({ "pages": pages.0, "bytes": pages.bytes() });
    json!({
        "file": file.display().to_string(),
        "digest": format!("{:?}", report.digest),
        "abi": report.abi.map(|abi| abi.name()),
        "sdk": report.origin.sdk,
        "languages": report.origin.languages,
        "toolchain": report.origin.tools,
        "size": report.facts.size,
        "code_size": report.facts.code_bytes,
        "function_names": report.facts.has_names,
        "memory": report.memory().map(|(start, most)| json!({ "start": pages(start), "maximum": most.map(pages) })),
        "imports": { "hostcalls": hostcalls, "wasi": wasi, "emscripten": imports.emscripten, "missing": missing },
        "exports": { "callbacks": callbacks, "other": report.others },
        "problems": report.problems,
    })
}
