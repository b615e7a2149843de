//! The end of a thread that sends: it is told once, and waited for no longer than is said.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    time::Instant,
};

use parking_lot::Mutex;
use tokio::sync::watch;

/// Whoever ends the thread.
pub(super) struct Ending {
    tell: watch::Sender<bool>,
    over: Mutex<Receiver<()>>,
}

/// The thread that is ended.
pub(super) struct Ended {
    told: watch::Receiver<bool>,
    /// Dropped when everything is sent.
    _over: SyncSender<()>,
}

/// Both sides.
pub(super) fn ending() -> (Ending, Ended) {
    let (tell, told) = watch::channel(false);
    let (is_over, over) = sync_channel(0);
    (Ending { tell, over: Mutex::new(over) }, Ended { told, _over: is_over })
}

impl Ending {
    /// Tells the thread.
    pub(super) fn tell(&self) {
        self.tell.send_replace(true);
    }

    /// Waits until it is over. What it still has then is lost; `what` that is, for the log.
    pub(super) fn wait(&self, until: Instant, what: &str) {
        let rest = until.saturating_duration_since(Instant::now());
        if self.over.lock().recv_timeout(rest) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the last {what} may not have been sent: the collector did not answer in time");
        }
    }
}

impl Ended {
    /// Whether it is to send what is left and end.
    pub(super) fn is_told(&self) -> bool {
        *self.told.borrow()
    }

    /// Waits until it is.
    pub(super) fn told(&self) -> impl Future<Output = ()> + use<> {
        let mut told = self.told.clone();
        // Nobody who could tell it any more is the same.
        async move { _ = told.wait_for(|told| *told).await }
    }
}
