//! What becomes of an exchange that a filter holds: something is told, nothing is for too long, or its client leaves.

use std::time::Duration;

use pingora_core::ErrorType;
use pingora_proxy::Session;
use sluice_host::{Event, Inbox};
use tokio::time::Instant;

/// Longest that a paused exchange waits for somebody to continue it.
pub(crate) const PAUSE_LIMIT: Duration = Duration::from_secs(30);

/// The client went away: nobody waits for the answer.
pub(crate) struct ClientGone;

/// One wait, which may take several events.
pub(crate) struct Wait(Instant);

impl Wait {
    pub(crate) fn begin() -> Self {
        Self(Instant::now() + PAUSE_LIMIT)
    }

    /// The next event; `None` when it was waited for too long.
    pub(crate) async fn next(
        &self,
        session: &mut Session,
        inbox: &Inbox,
    ) -> std::result::Result<Option<Event>, ClientGone> {
        tokio::select! {
            event = tokio::time::timeout_at(self.0, std::future::poll_fn(|cx| inbox.poll_next(cx))) => Ok(event.ok()),
            () = gone(session) => Err(ClientGone),
        }
    }

    /// The next event, whatever the client does; `None` when it was waited for too long.
    pub(crate) async fn event(&self, inbox: &Inbox) -> Option<Event> {
        tokio::time::timeout_at(self.0, std::future::poll_fn(|cx| inbox.poll_next(cx))).await.ok()
    }

    /// The same from a hook that cannot wait, on a thread that Tokio is told about.
    pub(crate) fn next_blocking(
        &self,
        session: &mut Session,
        inbox: &Inbox,
    ) -> std::result::Result<Option<Event>, ClientGone> {
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(self.next(session, inbox)))
    }
}

/// Ends when the client closes the connection; never while its request is not read to the end.
pub(crate) async fn gone(session: &mut Session) {
    if session.downstream_session.is_body_done() {
        match session.downstream_session.read_body_or_idle(true).await {
            Err(e) if matches!(e.etype(), ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::H2Error) => {
                return;
            }
            // A client that sends its next request early is still there, but its first byte was taken to see that, so
            // what follows must never be read as a request.
            _ => session.set_keepalive(None),
        }
    }
    std::future::pending().await
}
