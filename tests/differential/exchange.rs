//! One exchange, byte for byte: what the client sends, what the origin answers, and in which pieces.

/// What the origin answers: pieces that reach the proxy one by one.
#[derive(Clone)]
pub struct Reply {
    pub pieces: Vec<Vec<u8>>,
    pub close: bool,
    /// The body as HTTP/2 sends it: a frame for each.
    pub parts: Vec<Vec<u8>>,
    /// Of HTTP/2 only.
    pub trailers: Vec<(&'static str, &'static str)>,
}

/// A date of the origin's own, so that no proxy has to add one.
const RESPONSE: &str = "HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

fn owned(parts: &[&str]) -> Vec<Vec<u8>> {
    parts.iter().map(|p| p.as_bytes().to_vec()).collect()
}

impl Reply {
    pub fn ok(body: &str) -> Self {
        Self::with(&[], body)
    }

    pub fn raw(text: &str) -> Self {
        Self { pieces: owned(&[text]), close: false, parts: Vec::new(), trailers: Vec::new() }
    }

    fn parts(mut self, parts: &[&str]) -> Self {
        self.parts = owned(parts);
        self
    }

    pub fn trailers(mut self, trailers: &[(&'static str, &'static str)]) -> Self {
        self.trailers = trailers.to_vec();
        self
    }

    /// With more header lines, each without its line end.
    pub fn with(headers: &[&str], body: &str) -> Self {
        let lines: String = headers.iter().map(|h| format!("{h}\r\n")).collect();
        Self::raw(&format!("{RESPONSE}{lines}Content-Length: {}\r\n\r\n{body}", body.len())).parts(&[body])
    }

    /// The head and nothing else, for HTTP/2: no length, and the body comes with `body`.
    pub fn frames(headers: &[&str], body: &[&str]) -> Self {
        let lines: String = headers.iter().map(|h| format!("{h}\r\n")).collect();
        Self::raw(&format!("{RESPONSE}{lines}\r\n")).parts(body)
    }

    pub fn chunked(chunks: &[&str]) -> Self {
        let mut reply = Self::raw(&format!("{RESPONSE}Transfer-Encoding: chunked\r\n\r\n")).parts(chunks);
        reply.pieces.extend(chunks.iter().map(|c| format!("{:x}\r\n{c}\r\n", c.len()).into_bytes()));
        reply.pieces.push(b"0\r\n\r\n".to_vec());
        reply
    }

    /// All in one write.
    pub fn at_once(mut self) -> Self {
        self.pieces = vec![self.pieces.concat()];
        self
    }

    /// What comes behind the head, in pieces of these sizes and the rest.
    pub fn cut(mut self, sizes: &[usize]) -> Self {
        let mut rest = self.pieces.split_off(1).concat();
        for size in sizes {
            let behind = rest.split_off(*size);
            self.pieces.push(std::mem::replace(&mut rest, behind));
        }
        self.pieces.push(rest);
        self
    }

    /// A length, but the body in pieces.
    pub fn in_pieces(parts: &[&str]) -> Self {
        let length: usize = parts.iter().map(|p| p.len()).sum();
        let mut reply = Self::raw(&format!("{RESPONSE}Content-Length: {length}\r\n\r\n")).parts(parts);
        reply.pieces.extend(owned(parts));
        reply
    }

    /// No length at all: the end of the connection is the end of the body.
    pub fn until_close(body: &str) -> Self {
        Self { close: true, ..Self::raw(&format!("{RESPONSE}\r\n{body}")) }
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
    /// The body as HTTP/2 sends it, and whether its end comes with the last part.
    pub parts: Vec<Vec<u8>>,
    pub ends_by_itself: bool,
    /// What callouts are answered, and how many of them arrive.
    pub service: Reply,
    pub calls: usize,
    /// How many requests reach the origin, where no answer tells that they did.
    pub reaches: usize,
    /// Over only when a guest has logged this.
    pub until_logged: Option<&'static str>,
    /// Metrics that are compared, each with the number of the step of the fixture `store` that reads it.
    pub metrics: Vec<(&'static str, usize)>,
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
        Self {
            name: name.into(),
            pieces: vec![head],
            reply,
            head_only,
            silent: Silent::Nowhere,
            until_served: false,
            parts: Vec::new(),
            ends_by_itself: false,
            service: Self::answer(),
            calls: 0,
            reaches: 0,
            until_logged: None,
            metrics: Vec::new(),
        }
    }

    fn answer() -> Reply {
        Reply::ok("answer")
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
        self.parts = owned(&[body]);
        self
    }

    /// A body with its length, in pieces.
    pub fn parts(mut self, parts: &[&str]) -> Self {
        self.add_line(&format!("Content-Length: {}", parts.iter().map(|p| p.len()).sum::<usize>()));
        self.pieces.extend(owned(parts));
        self.parts = owned(parts);
        self
    }

    /// A body in chunks, each by itself, and so is the end.
    pub fn chunks(mut self, chunks: &[&str]) -> Self {
        self.add_line("Transfer-Encoding: chunked");
        self.pieces.extend(chunks.iter().map(|c| format!("{:x}\r\n{c}\r\n", c.len()).into_bytes()));
        self.pieces.push(b"0\r\n\r\n".to_vec());
        self.parts = owned(chunks);
        self.ends_by_itself = true;
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

    pub fn reaches(mut self, requests: usize) -> Self {
        self.reaches = requests;
        self
    }

    pub fn until_served(mut self) -> Self {
        self.until_served = true;
        self
    }

    /// So many callouts arrive, and this is what they are answered.
    pub fn calls(mut self, calls: usize) -> Self {
        self.calls = calls;
        self
    }

    pub fn service(mut self, reply: Reply) -> Self {
        self.service = reply;
        self
    }

    pub fn until_logged(mut self, text: &'static str) -> Self {
        self.until_logged = Some(text);
        self
    }

    pub fn metric(mut self, name: &'static str, step: usize) -> Self {
        self.metrics.push((name, step));
        self
    }
}
