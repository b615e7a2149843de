//! `/events`: those that are kept as a list, and those that come as a stream.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{
    HeaderMap, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use serde::Deserialize;
use tokio::{
    select,
    sync::{
        broadcast::{Receiver, error::RecvError},
        mpsc::{Sender, channel},
    },
    time::timeout,
};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};

use super::{Status, answer};
use crate::reload::Event;

/// How often a stream without events says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Pieces of a stream that wait for its client. What it is behind then it is told, and no memory is spent on it.
const AHEAD: usize = 16;

#[derive(Deserialize)]
pub(super) struct Since {
    since: Option<u64>,
}

pub(super) async fn events(
    State(status): State<Arc<Status>>,
    query: Result<Query<Since>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let since = match query {
        Ok(Query(Since { since })) => since,
        Err(error) => return answer::error(StatusCode::BAD_REQUEST, error.body_text()),
    };
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if !text(ACCEPT.as_str()).is_some_and(|accept| accept.contains("text/event-stream")) {
        let (kept, _) = status.events.since(since.unwrap_or(0));
        return answer::json(&kept.iter().map(Arc::as_ref).collect::<Vec<_>>());
    }
    let Ok(place) = status.streams.clone().try_acquire_owned() else {
        return answer::error(StatusCode::SERVICE_UNAVAILABLE, "too many streams are open");
    };
    // A client that comes back says so here, with the address it had before.
    let last = text("last-event-id").and_then(|id| id.trim().parse().ok()).or(since).unwrap_or(0);
    let (kept, listener) = status.events.since(last);
    let (pieces, stream) = channel(AHEAD);
    tokio::spawn(async move {
        let _place = place;
        // None: the client has gone.
        let _ = tell(last, kept, listener, &pieces, HEARTBEAT).await;
    });
    let stream = ReceiverStream::new(stream).map(Ok::<_, Infallible>);
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(stream)).into_response()
}

async fn tell(
    last: u64,
    kept: Vec<Arc<Event>>,
    mut listener: Receiver<Arc<Event>>,
    pieces: &Sender<Bytes>,
    heartbeat: Duration,
) -> Option<()> {
    let gap = kept.first().map_or(0, |first| first.id.saturating_sub(last + 1));
    if last > 0 && gap > 0 {
        pieces.send(missed(gap)).await.ok()?;
    }
    for event in kept {
        pieces.send(piece(&event)).await.ok()?;
    }
    loop {
        let heard = select! {
            heard = timeout(heartbeat, listener.recv()) => heard,
            // The place is free at once, and not when something happens next.
            () = pieces.closed() => return None,
        };
        let next = match heard {
            Ok(Ok(event)) => piece(&event),
            Ok(Err(RecvError::Lagged(count))) => missed(count),
            Ok(Err(RecvError::Closed)) => return None,
            Err(_) => Bytes::from_static(b": still here\n\n"),
        };
        pieces.send(next).await.ok()?;
    }
}

/// One event. JSON has no line ends of its own here.
fn piece(event: &Event) -> Bytes {
    let json = serde_json::to_string(event).unwrap_or_default();
    format!("id: {}\ndata: {json}\n\n", event.id).into()
}

fn missed(count: u64) -> Bytes {
    format!("event: missed\ndata: {{\"missed\":{count}}}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reload::{Cause, Events, What};

    fn record(events: &Events, count: u64) {
        for n in 0..count {
            events.record(What::Refused {
                generation: n,
                cause: Cause::Signal,
                error: "two\nlines".into(),
                total_ms: 0.0,
            });
        }
    }

    #[tokio::test]
    async fn a_listener_that_is_too_slow_is_told_how_many_it_missed() {
        let events = Arc::new(Events::default());
        let (kept, listener) = events.since(0);
        let (pieces, mut stream) = channel(1);
        // Nobody reads meanwhile.
        record(&events, 300);
        let told = tokio::spawn(async move { tell(0, kept, listener, &pieces, HEARTBEAT).await });
        let first = stream.recv().await.expect("a piece");
        assert_eq!(first, "event: missed\ndata: {\"missed\":44}\n\n");
        for id in 45..=300 {
            let piece = stream.recv().await.expect("a piece");
            assert!(piece.starts_with(format!("id: {id}\ndata: {{").as_bytes()), "{piece:?}");
            assert_eq!(piece.iter().filter(|b| **b == b'\n').count(), 3, "{piece:?}");
        }
        drop(stream);
        assert_eq!(told.await.expect("it ends"), None, "with its client");
    }

    #[tokio::test]
    async fn a_stream_without_events_says_that_it_is_alive() {
        let events = Events::default();
        let (kept, listener) = events.since(0);
        let (pieces, mut stream) = channel(1);
        tokio::spawn(async move { tell(0, kept, listener, &pieces, Duration::from_millis(1)).await });
        assert_eq!(stream.recv().await.expect("a piece"), ": still here\n\n");
    }

    #[tokio::test]
    async fn who_comes_back_too_late_is_told_what_is_lost() {
        let events = Events::default();
        record(&events, 1010);
        let (kept, listener) = events.since(3);
        let oldest = kept.first().map(|event| event.id).expect("some are kept");
        let (pieces, mut stream) = channel(1);
        tokio::spawn(async move { tell(3, kept, listener, &pieces, HEARTBEAT).await });
        let missed = format!("event: missed\ndata: {{\"missed\":{}}}\n\n", oldest - 4);
        assert_eq!(stream.recv().await.expect("a piece"), missed);
        assert!(stream.recv().await.expect("a piece").starts_with(format!("id: {oldest}\n").as_bytes()));
    }
}
