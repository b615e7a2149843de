//! An origin that keeps what reaches it and answers in pieces, each when the proxy has treated the one before.

use std::{
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

use crate::{
    http2,
    plan::Reply,
    seen::{Messages, Seen},
    side::Sync,
};

#[derive(Default)]
struct State {
    reply: Option<Reply>,
    arrived: Vec<Seen>,
    /// Connections that the proxy has in the middle of a request.
    busy: usize,
}

/// The origin of one proxy; stops when the process does.
pub struct Origin {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

pub struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    sync: Mutex<Option<Sync>>,
}

impl Origin {
    pub fn start(http2: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), sync: Mutex::default() });
        let owner = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, shared) = (stream.unwrap(), shared.clone());
                thread::spawn(move || if http2 { http2::serve(&shared, stream) } else { shared.serve(&stream) });
            }
        });
        Self { address, shared: owner }
    }

    /// The proxy in front of it, to wait for between two pieces.
    pub fn behind(&self, sync: Sync) {
        *self.shared.sync.lock().unwrap() = Some(sync);
    }

    pub fn answer(&self, reply: &Reply) {
        self.shared.state.lock().unwrap().reply = Some(reply.clone());
    }

    /// What arrived since the last call; waits for requests of which the beginning came.
    pub fn take(&self) -> Vec<Seen> {
        let state = self.shared.state.lock().unwrap();
        let idle = self.shared.changed.wait_timeout_while(state, Duration::from_secs(5), |s| s.busy > 0);
        std::mem::take(&mut idle.unwrap().0.arrived)
    }

    /// Waits until so many requests arrived.
    pub fn wait_for(&self, count: usize) {
        let state = self.shared.state.lock().unwrap();
        let few = |s: &mut State| s.arrived.len() < count;
        drop(self.shared.changed.wait_timeout_while(state, Duration::from_secs(5), few).unwrap());
    }
}

impl Shared {
    /// A request begins to arrive.
    pub fn begin(&self) {
        self.state.lock().unwrap().busy += 1;
    }

    /// It has arrived, or as much of it as came; what it is answered.
    pub fn arrived(&self, request: Option<Seen>) -> Reply {
        let mut state = self.state.lock().unwrap();
        state.arrived.extend(request);
        state.busy -= 1;
        self.changed.notify_all();
        state.reply.clone().expect("an exchange is being played")
    }

    /// Between two pieces.
    pub fn wait(&self) {
        let sync = self.sync.lock().unwrap().clone();
        sync.expect("the proxy is up").wait();
    }

    fn serve(&self, stream: &TcpStream) {
        stream.set_nodelay(true).unwrap();
        let mut messages = Messages::new(stream.try_clone().unwrap());
        loop {
            // Only when the first byte is there does a request begin.
            if !matches!(stream.peek(&mut [0]), Ok(1)) {
                return;
            }
            self.begin();
            let request = messages.next(false);
            let whole = request.as_ref().is_some_and(|r| r.end == "whole");
            // How much of a request that ends early comes here is a matter of moments.
            let reply = self.arrived(request.filter(|_| whole));
            if !whole || !self.write(stream, &reply) {
                return;
            }
        }
    }

    fn write(&self, mut stream: &TcpStream, reply: &Reply) -> bool {
        for (index, piece) in reply.pieces.iter().enumerate() {
            if index > 0 {
                self.wait();
            }
            if stream.write_all(piece).is_err() {
                return false;
            }
        }
        !reply.close
    }
}
