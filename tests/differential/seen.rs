//! What was seen of one exchange, by everyone who could see something.

use std::io::{BufReader, Read};

use crate::harness::wire::{self, Message};

/// A message as it came over the wire, as far as it came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    pub line: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub framing: String,
    pub body: Vec<u8>,
    /// `whole`, or how it broke off.
    pub end: String,
    /// Of HTTP/2 only.
    pub trailers: Vec<(String, Vec<u8>)>,
}

/// One exchange on one side.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// Answers, interim ones included.
    pub client: Vec<Seen>,
    /// `open` or `closed`, when the exchange is over.
    pub connection: String,
    pub upstream: Vec<Seen>,
    /// Callouts, in the order of their first lines.
    pub service: Vec<Seen>,
    /// `<filter> <level> <text>`.
    pub guest: Vec<String>,
    /// `<name> <value>`, as an operator reads it in Envoy and the guest in Sluice, whose page of metrics is not there yet.
    pub metrics: Vec<String>,
}

impl Seen {
    fn whole(message: Message) -> Self {
        let framing = format!("{:?}", message.framing);
        let Message { line, headers, body, .. } = message;
        Self { line, headers, framing, body, end: "whole".to_owned(), trailers: Vec::new() }
    }

    fn broken(bytes: &[u8], error: &std::io::Error) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let line = text.lines().next().unwrap_or_default().to_owned();
        let end = match error.kind() {
            std::io::ErrorKind::WouldBlock => "nothing more comes".to_owned(),
            kind => format!("broken off: {kind:?}"),
        };
        let body = text.split_once("\r\n\r\n").map(|(_, b)| b.as_bytes().to_vec()).unwrap_or_default();
        Self { line, headers: Vec::new(), framing: String::new(), body, end, trailers: Vec::new() }
    }

    pub fn status(&self) -> u16 {
        self.line.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0)
    }

    pub fn header(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        Some(String::from_utf8_lossy(&found.1).into_owned())
    }

    /// Takes a field out, and says whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.headers.len();
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        before != self.headers.len()
    }
}

/// Keeps what went through, for messages that break off.
pub struct Tee<R> {
    inner: R,
    pub kept: Vec<u8>,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.kept.extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}

/// Reads messages from one connection.
pub struct Messages<R>(BufReader<Tee<R>>);

impl<R: Read> Messages<R> {
    pub fn new(inner: R) -> Self {
        Self(BufReader::new(Tee { inner, kept: Vec::new() }))
    }

    /// The next one; `None` at the end of the connection, if nothing of a message came before it.
    pub fn next(&mut self, head_only: bool) -> Option<Seen> {
        self.0.get_mut().kept = self.0.buffer().to_vec();
        match wire::read(&mut self.0, head_only) {
            Ok(Some(message)) => Some(Seen::whole(message)),
            Ok(None) => None,
            Err(error) if self.0.get_ref().kept.is_empty() && error.kind() != std::io::ErrorKind::WouldBlock => None,
            Err(error) => Some(Seen::broken(&self.0.get_ref().kept, &error)),
        }
    }
}
