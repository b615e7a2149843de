//! A report in Markdown: said at once, and kept as a file.

#![allow(clippy::print_stdout, reason = "it is what a benchmark is for")]

use std::{fs, path::PathBuf, time::SystemTime};

use crate::root;

/// What was said so far.
#[derive(Default)]
pub struct Report(String);

impl Report {
    pub fn say(&mut self, line: impl AsRef<str>) {
        println!("{}", line.as_ref());
        self.0.push_str(line.as_ref());
        self.0.push('\n');
    }

    pub fn heading(&mut self, text: &str) {
        self.say(format!("\n## {text}\n"));
    }

    pub fn table(&mut self, columns: &[&str]) {
        self.say(format!("| {} |", columns.join(" | ")));
        self.say(format!("|{}", " --- |".repeat(columns.len())));
    }

    pub fn row(&mut self, cells: &[String]) {
        self.say(format!("| {} |", cells.join(" | ")));
    }

    /// Writes `benches/report/<today>-<name>.md`.
    pub fn keep(&self, name: &str) {
        let folder = Self::folder();
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{}-{name}.md", Self::today())), &self.0).unwrap();
    }

    /// `2026-11-25`, the first part of the names of reports and their charts.
    pub fn today() -> String {
        humantime::format_rfc3339_seconds(SystemTime::now()).to_string()[..10].to_owned()
    }

    /// Where reports are kept.
    pub fn folder() -> PathBuf {
        root().join("benches/report")
    }
}
