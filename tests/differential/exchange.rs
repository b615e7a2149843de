//! One exchange, byte for byte: what the client sends, what the origin answers, and in which pieces.

/// What the origin answers: pieces that reach the proxy one by one.
#[derive(Clone)]
pub struct Reply {
    pub pieces: Vec<Vec<u8>>,
    pub close: bool,
}

/// A date of the origin's own, so that no proxy has to add one.
const RESPONSE: &str = "HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

impl Reply {
    pub fn ok(body: &str) -> Self {
        Self::raw(&format!("{RESPONSE}Content-Length: {}\r\n\r\n{body}", body.len()))
    }

    pub fn raw(text: &str) -> Self {
        Self { pieces: vec![text.as_bytes().to_vec()], close: false }
    }

    /// With more header lines, each without its line end.
    pub fn with(headers: &[&str], body: &str) -> Self {
        let lines: String = headers.iter().map(|h| format!("{h}\r\n")).collect();
        Self::raw(&format!("{RESPONSE}{lines}Content-Length: {}\r\n\r\n{body}", body.len()))
    }

    pub fn chunked(chunks: &[&str]) -> Self {
        let mut pieces = vec![format!("{RESPONSE}Transfer-Encoding: chunked\r\n\r\n").into_bytes()];
        pieces.extend(chunks.iter().map(|c| format!("{:x}\r\n{c}\r\n", c.len()).into_bytes()));
        pieces.push(b"0\r\n\r\n".to_vec());
        Self { pieces, close: false }
    }

    /// A length, but the body in pieces.
    pub fn in_pieces(parts: &[&str]) -> Self {
        let length: usize = parts.iter().map(|p| p.len()).sum();
        let mut pieces = vec![format!("{RESPONSE}Content-Length: {length}\r\n\r\n").into_bytes()];
        pieces.extend(parts.iter().map(|p| p.as_bytes().to_vec()));
        Self { pieces, close: false }
    }

    /// No length at all: the end of the connection is the end of the body.
    pub fn until_close(body: &str) -> Self {
        Self { pieces: vec![format!("{RESPONSE}\r\n{body}").into_bytes()], close: true }
    }
}

/// Which proxies keep an exchange for ever.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Silent {
    Nowhere,
    Both,
    Envoy,
    Sluice,
}

/// One request, byte for byte, and what the origin answers to it.
#[derive(Clone)]
pub struct Exchange {
    pub name: String,
    /// Each is written when the proxy has treated the one before.
    pub pieces: Vec<Vec<u8>>,
    pub reply: Reply,
    pub head_only: bool,
    /// Where no answer comes: the client looks, closes, and the guests are told.
    pub silent: Silent,
    /// Sent again until it is not answered 503: a guest that died comes back in its own time.
    pub until_served: bool,
}

impl Exchange {
    /// A request line without version, and header lines without line ends. A `Host` and what Envoy would add are there.
    pub fn new(name: impl Into<String>, line: &str, headers: &[&str]) -> Self {
        let lines: String = headers.iter().map(|h| format!("{h}\r\n")).collect();
        let head = format!("{line} HTTP/1.1\r\nHost: test.example\r\nX-Forwarded-Proto: http\r\n{lines}\r\n");
        Self::raw(name, head.into_bytes(), line.starts_with("HEAD "))
    }

    pub fn raw(name: impl Into<String>, head: Vec<u8>, head_only: bool) -> Self {
        let reply = Reply::ok("origin");
        Self { name: name.into(), pieces: vec![head], reply, head_only, silent: Silent::Nowhere, until_served: false }
    }

    fn add_line(&mut self, line: &str) {
        let head = &mut self.pieces[0];
        head.truncate(head.len() - 2);
        head.extend_from_slice(format!("{line}\r\n\r\n").as_bytes());
    }

    /// A body with its length, in one piece with the head.
    pub fn body(mut self, body: &str) -> Self {
        self.add_line(&format!("Content-Length: {}", body.len()));
        self.pieces[0].extend_from_slice(body.as_bytes());
        self
    }

    /// A body with its length, in pieces.
    pub fn parts(mut self, parts: &[&str]) -> Self {
        self.add_line(&format!("Content-Length: {}", parts.iter().map(|p| p.len()).sum::<usize>()));
        self.pieces.extend(parts.iter().map(|p| p.as_bytes().to_vec()));
        self
    }

    /// A body in chunks, each by itself, and so is the end.
    pub fn chunks(mut self, chunks: &[&str]) -> Self {
        self.add_line("Transfer-Encoding: chunked");
        self.pieces.extend(chunks.iter().map(|c| format!("{:x}\r\n{c}\r\n", c.len()).into_bytes()));
        self.pieces.push(b"0\r\n\r\n".to_vec());
        self
    }

    /// The same in one write with the head.
    pub fn chunks_at_once(mut self, chunks: &[&str]) -> Self {
        self = self.chunks(chunks);
        self.pieces = vec![self.pieces.concat()];
        self
    }

    pub fn expects_continue(&self) -> bool {
        String::from_utf8_lossy(&self.pieces[0]).contains("\r\nExpect: 100-continue\r\n")
    }

    pub fn reply(mut self, reply: Reply) -> Self {
        self.reply = reply;
        self
    }

    pub fn silent(mut self, at: Silent) -> Self {
        self.silent = at;
        self
    }

    pub fn until_served(mut self) -> Self {
        self.until_served = true;
        self
    }
}
