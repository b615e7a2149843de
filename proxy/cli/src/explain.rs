//! What people read: results on standard output, mistakes on standard error. Nothing else in this crate prints.
//!
//! Colour marks the word before a mistake, on a terminal and without `NO_COLOR`. Text that comes from a file or a module
//! cannot steer the terminal: control characters are replaced.

use std::{
    error::Error,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::builder::styling::{AnsiColor, Style};
use serde_json::Value;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const NOTE: Style = AnsiColor::Cyan.on_default();

/// Why a command did not do what it was told: sentences for a person, each line of which may begin with `error: `.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    /// One sentence, without a full stop.
    pub(crate) fn new(sentence: impl std::fmt::Display) -> Self {
        Self(format!("error: {sentence}"))
    }
}

impl From<sluice_server::RunError> for Failure {
    fn from(error: sluice_server::RunError) -> Self {
        match error {
            // These come with file, line and a quotation, and say `error: ` themselves.
            sluice_server::RunError::Config(errors) => Self(errors.to_string()),
            sluice_server::RunError::Filters(problems) => {
                let all: Vec<String> = problems.iter().map(|problem| format!("error: {problem}")).collect();
                Self(all.join("\n\n"))
            }
            sluice_server::RunError::Probes(failures) => {
                let all: Vec<String> = failures.iter().map(|failure| format!("error: {failure}")).collect();
                Self(all.join("\n\n"))
            }
            other => Self::new(chain(&other)),
        }
    }
}

/// An error and what caused it, in one line; a cause that the text before it names already is not repeated.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = next.source();
    }
    text
}

/// Prints a failure; the status to exit with.
pub(crate) fn failure(failure: &Failure) -> ExitCode {
    let mut out = anstream::stderr().lock();
    for line in visible(&failure.0).lines() {
        // Standard error may be closed; there is nobody left to tell.
        let _ = match line.strip_prefix("error:") {
            Some(rest) => writeln!(out, "{ERROR}error:{ERROR:#}{rest}"),
            None => writeln!(out, "{line}"),
        };
    }
    ExitCode::FAILURE
}

/// Says what should be known and is no mistake.
pub(crate) fn warning(sentence: &str) {
    let _ = writeln!(anstream::stderr(), "{WARNING}warning:{WARNING:#} {}", visible(sentence));
}

/// Says what is done meanwhile; results are printed by [`print`].
pub(crate) fn note(sentence: &str) {
    let _ = writeln!(anstream::stderr(), "{NOTE}{}{NOTE:#}", visible(sentence));
}

/// Prints a result.
///
/// # Errors
/// When standard output takes no more; a reader that left (`| head`) is no mistake.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format_args!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints a result as JSON, in which control characters are escaped anyway.
///
/// # Errors
/// As [`print`].
pub(crate) fn print_json(value: &Value) -> Result<(), Failure> {
    print(&format!("{value:#}\n"))
}

/// The text without what could steer a terminal.
pub(crate) fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c }).collect()
}

/// Bytes as people read them: `512 B`, `204 KiB`, `3.3 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 3] = ["KiB", "MiB", "GiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut whole, mut rest, mut unit) = (bytes / 1024, bytes % 1024, 0);
    while whole >= 1024 && unit + 1 < UNITS.len() {
        (whole, rest, unit) = (whole / 1024, whole % 1024, unit + 1);
    }
    let tenths = rest * 10 / 1024;
    let name = UNITS[unit];
    if whole >= 100 || tenths == 0 { format!("{whole} {name}") } else { format!("{whole}.{tenths} {name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(64 << 10), "64 KiB");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(3_447_629), "3.2 MiB");
        assert_eq!(size(4 << 30), "4 GiB");
    }

    #[test]
    fn no_text_steers_a_terminal() {
        assert_eq!(visible("a\u{1b}[31mb\r\n\tc\u{9b}"), "a\u{fffd}[31mb\u{fffd}\n\tc\u{fffd}");
    }

    #[test]
    fn a_cause_is_said_once() {
        let inner = io::Error::new(io::ErrorKind::NotFound, "no such file");
        let outer = io::Error::other(inner);
        assert_eq!(chain(&outer), "no such file");
    }
}
