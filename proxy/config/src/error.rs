//! What is wrong with a file: every finding with its place, in words, and how to put it right.

use std::fmt;

use serde_json::{Value, json};

use crate::plan::Position;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Where; line and column start at 1.
    pub at: Position,
    /// Which setting, such as `filters.auth.limits.memory` or `routes[2].match`; empty for the file as a whole.
    pub path: String,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// What would put it right.
    pub help: Option<String>,
}

/// Everything that is wrong with one file; [`Display`](fmt::Display) renders it for a terminal, without colour.
#[derive(Clone)]
pub struct Errors {
    /// Name of the file, as given in [`Source`](crate::Source).
    pub file: String,
    /// In the order of the file; at least one.
    pub errors: Vec<Error>,
    /// For the quoted lines.
    text: String,
}

impl Error {
    pub(crate) fn new(at: Position, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { at, path: path.into(), message: message.into(), help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Errors {
    pub(crate) fn new(file: &str, text: &str, mut errors: Vec<Error>) -> Self {
        errors.sort_by_key(|error| (error.at.line, error.at.column));
        errors.dedup();
        Self { file: file.to_owned(), errors, text: text.to_owned() }
    }

    /// `{"file": …, "errors": [{"line": 1, "column": 1, "path": …, "message": …, "help": … or null}]}`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let errors: Vec<Value> = self
            .errors
            .iter()
            .map(|error| {
                json!({
                    "line": error.at.line,
                    "column": error.at.column,
                    "path": error.path,
                    "message": error.message,
                    "help": error.help,
                })
            })
            .collect();
        json!({ "file": self.file, "errors": errors })
    }
}

impl std::error::Error for Errors {}

impl fmt::Debug for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Errors").field("file", &self.file).field("errors", &self.errors).finish_non_exhaustive()
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<&str> = self.text.trim_start_matches('\u{feff}').lines().collect();
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let Position { line, column } = error.at;
            let gutter = " ".repeat(line.to_string().len());
            writeln!(f, "error: {}", visible(&error.message))?;
            writeln!(f, "{gutter}--> {}:{line}:{column}", self.file)?;
            if let Some(source) = lines.get(line.saturating_sub(1)) {
                let (source, under) = excerpt(source, column);
                writeln!(f, "{gutter} |")?;
                writeln!(f, "{line} | {source}")?;
                writeln!(f, "{gutter} | {under}")?;
            }
            if let Some(help) = &error.help {
                writeln!(f, "{gutter} = help: {}", visible(help))?;
            }
        }
        Ok(())
    }
}

/// The part of a line around a column that fits a terminal, and the marks to set under it.
fn excerpt(line: &str, column: usize) -> (String, String) {
    const BEFORE: usize = 80;
    const WIDTH: usize = 160;
    let column = column.saturating_sub(1);
    let start = column.saturating_sub(BEFORE);
    let shown: Vec<char> = line.chars().skip(start).take(WIDTH).collect();
    let here = column - start;
    let pad: String = (0..here).map(|i| if shown.get(i) == Some(&'\t') { '\t' } else { ' ' }).collect();
    (visible(&shown.iter().collect::<String>()), pad + &"^".repeat(word(&shown, here)))
}

/// How many characters the word at `start` has: a quoted string whole, else up to a space or a bracket; at least one.
fn word(line: &[char], start: usize) -> usize {
    let rest = line.get(start..).unwrap_or_default();
    let length = match rest.first() {
        Some(quote @ ('"' | '\'')) => rest.iter().skip(1).position(|c| c == quote).map_or(rest.len(), |end| end + 2),
        Some('{' | '[') => 1,
        _ => rest
            .iter()
            .enumerate()
            .position(|(i, c)| {
                matches!(c, ' ' | '\t' | ',' | '}' | ']') || (*c == ':' && matches!(rest.get(i + 1), None | Some(' ')))
            })
            .unwrap_or(rest.len()),
    };
    length.max(1)
}

/// Text of a file must not steer the reader's terminal.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}
