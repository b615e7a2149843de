//! Going away while the process lives on: `/ready` says no, and clients are told to take other connections.
//!
//! Answers of HTTP/1.1 say `connection: close`. Connections of HTTP/2 that are open are told by GOAWAY: their streams end in
//! peace and the next ones come on another connection. Pingora sends it when the process ends; here it hears of that and of
//! this by one channel.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use async_trait::async_trait;
use pingora_core::{apps::ServerApp, protocols::Stream, server::ShutdownWatch};
use tokio::sync::watch;

use crate::{listen::is_probe, traffic::Traffic};

/// Whether the process is to be left alone; one for the process.
pub(crate) struct Leave {
    asked: AtomicBool,
    /// True when the process ends; anything that is sent has connections say goodbye.
    connections: watch::Sender<bool>,
}

impl Default for Leave {
    fn default() -> Self {
        Self { asked: AtomicBool::new(false), connections: watch::Sender::new(false) }
    }
}

impl Leave {
    /// Asked once for each request.
    #[inline]
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Relaxed)
    }

    /// From now on, or not any more. False when it was so before.
    pub(crate) fn ask(&self, on: bool) -> bool {
        let news = self.asked.swap(on, Relaxed) != on;
        if news && on {
            self.connections.send_replace(false);
        }
        news
    }

    /// The process ends.
    pub(crate) fn end(&self) {
        self.connections.send_replace(true);
    }
}

/// An application whose connections are counted and hear of it.
pub(crate) struct Leaving<A> {
    pub(crate) app: Arc<A>,
    pub(crate) leave: Arc<Leave>,
    pub(crate) traffic: Arc<Traffic>,
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> ServerApp for Leaving<A> {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        // Called once for each: how many requests come on it is known below.
        let digest = stream.get_socket_digest();
        let client =
            digest.as_ref().and_then(|digest| digest.peer_addr()).and_then(|address| address.as_inet().copied());
        let _open = (!client.is_some_and(is_probe)).then(|| self.traffic.http.open());
        if *shutdown.borrow() {
            return self.app.process_new(stream, shutdown).await;
        }
        // One that comes while others leave is served like any other: what was said before does not concern it.
        self.app.process_new(stream, &self.leave.connections.subscribe()).await
    }

    async fn cleanup(&self) {
        self.app.cleanup().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_told_when_it_begins_and_not_when_it_is_over() {
        let leave = Leave::default();
        let open = leave.connections.subscribe();
        let told = || open.has_changed().expect("it is there");
        assert!(!leave.ask(false) && !told());
        assert!(leave.ask(true) && leave.is_asked() && told());
        let mut later = leave.connections.subscribe();
        assert!(!leave.ask(true) && leave.ask(false) && !leave.is_asked());
        assert!(!later.has_changed().expect("it is there"), "it came meanwhile and stays");
        leave.end();
        assert!(*later.borrow_and_update());
    }
}
