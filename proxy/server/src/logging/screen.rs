//! The lines of the log, without what a terminal or a viewer would obey in them, whoever they come from.

use std::{
    fmt::Write as _,
    io::{self, Write},
    sync::Arc,
};

use sluice_host::is_obeyed;
use tracing_subscriber::fmt::MakeWriter;

use crate::lines::Lines;

/// What a line may hold.
#[derive(Clone, Copy)]
pub(super) enum Screen {
    /// A JSON object: escapes are those of JSON.
    Json,
    /// Text, with the colours that it was given.
    Human { colours: bool },
}

/// Where lines go from whoever says something: nobody waits for who reads them.
pub(super) struct Sender {
    pub(super) screen: Screen,
    pub(super) lines: Arc<Lines>,
}

impl<'a> MakeWriter<'a> for Sender {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

impl Write for &Sender {
    /// Takes whole lines: nothing writes less.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let plain = line.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n'));
        self.lines.send(if plain { text.into_owned() } else { self.screen.escape(&text) });
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Screen {
    fn escape(self, line: &str) -> String {
        let mut out = String::with_capacity(line.len() + 16);
        for c in line.chars() {
            match self {
                _ if c == '\n' || !is_obeyed(c) => out.push(c),
                Self::Json => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                    // Writing to a string does not fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }),
                Self::Human { colours } if c == '\t' || (colours && c == '\u{1b}') => out.push(c),
                Self::Human { .. } => out.extend(c.escape_unicode()),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_obeyed_is_escaped_as_the_format_wants_it() {
        let line = "a\u{202e}b\u{e0041}é\t\u{1b}[31m\n";
        let human = |colours| Screen::Human { colours }.escape(line);
        assert_eq!(human(false), "a\\u{202e}b\\u{e0041}é\t\\u{1b}[31m\n");
        assert_eq!(human(true), "a\\u{202e}b\\u{e0041}é\t\u{1b}[31m\n");
        let text = "a\u{202e}b\u{e0041}é";
        let json = Screen::Json.escape(&format!("{{\"message\":\"{text}\"}}\n"));
        assert!(json.is_ascii() || json.chars().all(|c| c == '\n' || !is_obeyed(c)), "{json}");
        let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(read["message"], text);
    }
}
