//! A client that controls each byte.

use std::{
    io::{BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use super::wire::{self, Message};

/// One connection.
pub struct Client {
    out: TcpStream,
    input: BufReader<TcpStream>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { out: stream.try_clone().unwrap(), input: BufReader::new(stream) }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.out.write_all(bytes.as_ref()).unwrap();
        self
    }

    /// Like [`Self::send`], for a peer that may have closed already.
    pub fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.out.write_all(bytes)
    }

    pub fn read(&mut self) -> Message {
        wire::read(&mut self.input, false).expect("a whole answer").expect("an answer")
    }

    pub fn try_read(&mut self) -> std::io::Result<Option<Message>> {
        wire::read(&mut self.input, false)
    }

    pub fn read_head_only(&mut self) -> Message {
        wire::read(&mut self.input, true).expect("a whole answer").expect("an answer")
    }

    /// True when the peer closed and nothing more is there.
    pub fn at_end(&mut self) -> bool {
        let mut byte = [0];
        matches!(self.input.read(&mut byte), Ok(0) | Err(_))
    }

    pub fn into_stream(self) -> TcpStream {
        self.out
    }

    /// A request with these header lines (each without line end) and a body with a length.
    pub fn request(&mut self, line: &str, headers: &[&str], body: &str) -> Message {
        let mut head = format!("{line} HTTP/1.1\r\nHost: test.example\r\n");
        headers.iter().for_each(|h| head.push_str(&format!("{h}\r\n")));
        if !body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        self.send(format!("{head}\r\n{body}"));
        if line.starts_with("HEAD ") { self.read_head_only() } else { self.read() }
    }

    /// The same with the body in chunks, each written by itself.
    pub fn chunked(&mut self, line: &str, headers: &[&str], chunks: &[&str]) -> Message {
        let mut head = format!("{line} HTTP/1.1\r\nHost: test.example\r\nTransfer-Encoding: chunked\r\n");
        headers.iter().for_each(|h| head.push_str(&format!("{h}\r\n")));
        self.send(head + "\r\n");
        for chunk in chunks {
            std::thread::sleep(Duration::from_millis(10));
            // The answer may come before the body is sent.
            let _ = self.try_send(format!("{:x}\r\n{chunk}\r\n", chunk.len()).as_bytes());
        }
        let _ = self.try_send(b"0\r\n\r\n");
        self.read()
    }
}
