//! An origin that records what reaches it and answers with exactly the bytes a test wants.

use std::{
    io::{BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use super::wire::{self, Message};

/// What the origin does with a request.
pub enum Reply {
    /// Writes these bytes and keeps the connection.
    Bytes(Vec<u8>),
    /// Writes these pieces with a pause between them.
    Pieces(Vec<Vec<u8>>),
    /// Writes these bytes and closes.
    Close(Vec<u8>),
}

impl Reply {
    /// 200 with a length.
    pub fn ok(body: &str) -> Self {
        Self::Bytes(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
    }

    /// 200 in chunks, each written by itself.
    pub fn chunked(chunks: &[&str]) -> Self {
        let mut pieces = vec![b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()];
        pieces.extend(chunks.iter().map(|c| format!("{:x}\r\n{c}\r\n", c.len()).into_bytes()));
        pieces.push(b"0\r\n\r\n".to_vec());
        Self::Pieces(pieces)
    }
}

/// The origin; stops when the process does.
pub struct Origin {
    pub address: SocketAddr,
    requests: Mutex<mpsc::Receiver<Message>>,
}

impl Origin {
    pub fn start(answer: impl Fn(&Message) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, receiver) = mpsc::channel();
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, sender, answer) = (stream.unwrap(), sender.clone(), answer.clone());
                thread::spawn(move || serve(stream, &sender, &*answer));
            }
        });
        Self { address, requests: Mutex::new(receiver) }
    }

    /// The next request that reached it.
    pub fn request(&self) -> Message {
        self.requests.lock().unwrap().recv_timeout(Duration::from_secs(20)).expect("a request reaches the origin")
    }

    /// Whether nothing reached it so far.
    pub fn untouched(&self) -> bool {
        self.requests.lock().unwrap().try_recv().is_err()
    }
}

fn serve(stream: TcpStream, sender: &mpsc::Sender<Message>, answer: &(dyn Fn(&Message) -> Reply + Send + Sync)) {
    stream.set_nodelay(true).unwrap();
    let mut out = stream.try_clone().unwrap();
    let mut input = BufReader::new(stream);
    while let Ok(Some(request)) = wire::read(&mut input, false) {
        let reply = answer(&request);
        let _ = sender.send(request);
        match reply {
            Reply::Bytes(bytes) => {
                if out.write_all(&bytes).is_err() {
                    return;
                }
            }
            Reply::Pieces(pieces) => {
                for piece in pieces {
                    if out.write_all(&piece).is_err() {
                        return;
                    }
                    // Long enough for the proxy to see each piece by itself; correctness does not depend on it.
                    thread::sleep(Duration::from_millis(15));
                }
            }
            Reply::Close(bytes) => {
                let _ = out.write_all(&bytes);
                return;
            }
        }
    }
}
