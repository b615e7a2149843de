//! Where a paused exchange hears from other callbacks of the guests it stopped in.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

use crate::{Answer, Direction, Reply};

/// Most events that may wait, and most bytes in them, before gRPC messages are refused.
const MAX_EVENTS: usize = 1024;
const MAX_BYTES: usize = 16 << 20;

/// What happened to a paused stream while it waited.
#[derive(Debug)]
pub enum Event {
    /// Continue this direction at this position of the chain.
    Resume {
        /// Index of the filter in the chain.
        filter: usize,
        /// Which direction.
        direction: Direction,
    },
    /// Answer with this.
    Reply(Box<Reply>),
    /// Close the stream.
    Close,
    /// Something came on a call of this stream.
    Answer {
        /// Index of the filter in the chain.
        filter: usize,
        /// The number that the filter knows it by.
        call: u32,
        /// What came.
        answer: Box<Answer>,
    },
}

/// One exchange's inbox; events wait until the embedder takes them.
#[derive(Debug, Default)]
pub struct Inbox {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    events: Vec<Event>,
    waker: Option<Waker>,
}

impl Inbox {
    pub(crate) fn post(&self, event: Event) {
        let waker = {
            let mut inner = self.inner.lock();
            inner.events.push(event);
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether so much waits already that a peer has to stop sending.
    pub(crate) fn is_full(&self) -> bool {
        let inner = self.inner.lock();
        let bytes = |event: &Event| if let Event::Answer { answer, .. } = event { answer.size() } else { 0 };
        inner.events.len() >= MAX_EVENTS || inner.events.iter().map(bytes).sum::<usize>() >= MAX_BYTES
    }

    /// Takes what came on calls of this filter; other events stay.
    pub(crate) fn answers(&self, filter: usize) -> Vec<(u32, Box<Answer>)> {
        let mut inner = self.inner.lock();
        let (answers, rest) = std::mem::take(&mut inner.events)
            .into_iter()
            .partition(|event| matches!(event, Event::Answer { filter: f, .. } if *f == filter));
        inner.events = rest;
        let answers: Vec<Event> = answers;
        answers
            .into_iter()
            .filter_map(
                |event| if let Event::Answer { call, answer, .. } = event { Some((call, answer)) } else { None },
            )
            .collect()
    }

    /// Drops continues that came while there was nothing to continue.
    pub(crate) fn forget_resume(&self, filter: usize, direction: Direction) {
        let stale = |event: &Event| matches!(event, Event::Resume { filter: f, direction: d } if *f == filter && *d == direction);
        self.inner.lock().events.retain(|event| !stale(event));
    }

    /// The oldest event; without one, the task is woken when one comes.
    pub fn poll_next(&self, context: &mut Context<'_>) -> Poll<Event> {
        let mut inner = self.inner.lock();
        if inner.events.is_empty() {
            inner.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(inner.events.remove(0))
    }

    /// The oldest event, if there is one.
    pub fn try_next(&self) -> Option<Event> {
        let mut inner = self.inner.lock();
        if inner.events.is_empty() { None } else { Some(inner.events.remove(0)) }
    }
}

/// A paused stream as its guest knows it: where to tell it, and which place of the chain it stopped at.
#[derive(Debug, Clone)]
pub(crate) struct Parked {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) filter: usize,
    /// It is a TCP connection.
    pub(crate) tcp: bool,
}

impl Parked {
    pub(crate) fn resume(&self, direction: Direction) {
        self.inbox.post(Event::Resume { filter: self.filter, direction });
    }
}
