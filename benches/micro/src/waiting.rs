//! What guests asked the outside for, kept until the scene answers it or forgets it.

use std::cell::RefCell;

use bytes::Bytes;
use http::HeaderMap;
use sluice_host::{CalloutResponse, Done, GrpcEvent, GrpcEvents, GrpcSink, Job};

/// One thing that was asked for.
pub(crate) enum Waiting {
    /// The answer to an HTTP call.
    Http(Done),
    /// What comes on a gRPC call.
    Grpc(GrpcEvents),
    /// Work of the host's own that is due at once.
    Job(Job),
}

thread_local! {
    // A scene is made ready and run on one thread, so those of other threads do not meet it.
    static WAITING: RefCell<Vec<Waiting>> = RefCell::default();
}

/// Keeps it: nothing may come back before the guest was left.
pub(crate) fn keep(waiting: Waiting) {
    WAITING.with_borrow_mut(|all| all.push(waiting));
}

/// Answers everything, also what is asked for meanwhile; says how much it was.
pub(crate) fn answer() -> u64 {
    let mut count = 0;
    loop {
        let all = WAITING.take();
        if all.is_empty() {
            return count;
        }
        count += all.len() as u64;
        all.into_iter().for_each(Waiting::answer);
    }
}

/// Lets go of everything.
pub(crate) fn forget() {
    drop(WAITING.take());
}

impl Waiting {
    fn answer(self) {
        match self {
            Self::Http(done) => {
                let body = Bytes::from_static(b"{\"allowed\":true}");
                done(Ok(CalloutResponse { status: 200, body, ..CalloutResponse::default() }));
            }
            Self::Grpc(mut events) => {
                events(GrpcEvent::Metadata(HeaderMap::new()));
                events(GrpcEvent::Message(Bytes::from_static(b"a message")));
                events(GrpcEvent::Trailers(HeaderMap::new()));
                events(GrpcEvent::Closed { status: 0, message: String::new() });
            }
            Self::Job(job) => job(),
        }
    }
}

/// The sending half of a gRPC call: what is sent is gone.
pub(crate) struct Sink;

impl GrpcSink for Sink {
    fn send(&mut self, _message: Bytes, _end: bool) {}

    fn queued(&self) -> usize {
        0
    }

    fn close(self: Box<Self>) {}
}
