//! HTTP/1.1 messages read from a socket, with their framing kept visible.

use std::io::{BufRead, BufReader, Read};

/// How a body was framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    None,
    Length(usize),
    Chunked,
    Close,
}

/// A request or a response as it came over the wire.
#[derive(Debug, Clone)]
pub struct Message {
    /// `GET /x HTTP/1.1` or `HTTP/1.1 200 OK`.
    pub line: String,
    /// Names with their case, values as bytes, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    pub framing: Framing,
}

impl Message {
    pub fn status(&self) -> u16 {
        self.line.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap()
    }

    /// All values under a name, joined by `, `; empty when there is none.
    pub fn header(&self, name: &str) -> String {
        let values: Vec<String> = self
            .headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| String::from_utf8_lossy(v).into_owned())
            .collect();
        values.join(", ")
    }

    pub fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("not JSON ({e}): {}", self.text()))
    }

    /// From the echo's answer: the request header as it would have reached an upstream.
    pub fn echoed(&self, name: &str) -> Option<String> {
        let json = self.json();
        let values: Vec<String> = json["headers"]
            .as_array()
            .expect("the echo's headers")
            .iter()
            .filter(|p| p[0].as_str().unwrap().eq_ignore_ascii_case(name))
            .map(|p| p[1].as_str().unwrap().to_owned())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }
}

/// Reads one message. `None` at the end of the stream. `no_body` for answers to HEAD.
pub fn read(stream: &mut BufReader<impl Read>, no_body: bool) -> std::io::Result<Option<Message>> {
    let mut head = Vec::new();
    loop {
        let before = head.len();
        if stream.read_until(b'\n', &mut head)? == 0 {
            return if head.is_empty() { Ok(None) } else { Err(cut("in the head")) };
        }
        if &head[before..] == b"\r\n" {
            break;
        }
    }
    let mut slots = [httparse::EMPTY_HEADER; 256];
    let (line, headers) = if head.starts_with(b"HTTP/") {
        let mut r = httparse::Response::new(&mut slots);
        r.parse(&head).map_err(bad)?;
        let line = format!("HTTP/1.{} {} {}", r.version.unwrap(), r.code.unwrap(), r.reason.unwrap_or(""));
        (line, copy(r.headers))
    } else {
        let mut r = httparse::Request::new(&mut slots);
        r.parse(&head).map_err(bad)?;
        (format!("{} {} HTTP/1.{}", r.method.unwrap(), r.path.unwrap(), r.version.unwrap()), copy(r.headers))
    };
    let mut message = Message { line, headers, body: Vec::new(), framing: Framing::None };
    let response = message.line.starts_with("HTTP/");
    let bodiless = no_body || (response && (message.status() < 200 || matches!(message.status(), 204 | 304)));
    if bodiless {
        return Ok(Some(message));
    }
    if message.header("transfer-encoding").eq_ignore_ascii_case("chunked") {
        message.framing = Framing::Chunked;
        message.body = chunks(stream)?;
    } else if message.has("content-length") {
        let length = message.header("content-length").parse().map_err(|_| cut("content-length"))?;
        message.framing = Framing::Length(length);
        message.body = vec![0; length];
        stream.read_exact(&mut message.body)?;
    } else if response {
        message.framing = Framing::Close;
        stream.read_to_end(&mut message.body)?;
    }
    Ok(Some(message))
}

fn copy(headers: &[httparse::Header<'_>]) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|h| (h.name.to_owned(), h.value.to_vec())).collect()
}

fn chunks(stream: &mut BufReader<impl Read>) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let size =
            usize::from_str_radix(line.trim().split(';').next().unwrap(), 16).map_err(|_| cut("in a chunk's size"))?;
        let at = body.len();
        body.resize(at + size + 2, 0);
        stream.read_exact(&mut body[at..])?;
        if &body[at + size..] != b"\r\n" {
            return Err(cut("behind a chunk"));
        }
        body.truncate(at + size);
        if size == 0 {
            return Ok(body);
        }
    }
}

fn cut(place: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::UnexpectedEof, format!("cut off {place}"))
}

fn bad(e: httparse::Error) -> std::io::Error {
    std::io::Error::other(e.to_string())
}
