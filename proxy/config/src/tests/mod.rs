//! Tests of the whole way from text to plan.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod conf;
mod hostile;
mod mistakes;
mod plans;
mod rendering;

use std::path::Path;

use crate::{Errors, Memory, Plan, Source, parse};

/// What every file needs, so that a test shows only what it is about.
const BASE: &str = "\
listeners: [{ address: 127.0.0.1:8080 }]
upstreams: { app: { endpoints: [\"127.0.0.1:9000\"] } }
routes: [{ upstream: app }]
";

fn read_in(world: &Memory, text: &str) -> Result<Plan, Errors> {
    parse(Source { text, name: "sluice.yaml", dir: Path::new("/etc/sluice") }, world)
}

fn read(text: &str) -> Result<Plan, Errors> {
    read_in(&Memory::new(), text)
}

/// `line:column path: message (help)` of each error.
fn problems(text: &str) -> Vec<String> {
    lines(&read(text).unwrap_err())
}

fn lines(errors: &Errors) -> Vec<String> {
    let line = |error: &crate::Error| {
        let help = error.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{}:{} {}: {}{help}", error.at.line, error.at.column, error.path, error.message)
    };
    errors.errors.iter().map(line).collect()
}

/// The same for a file that has `text` after the base.
fn problems_after_base(text: &str) -> Vec<String> {
    problems(&format!("{BASE}{text}"))
}
