//! Where a paused exchange hears from other callbacks of the guests it stopped in.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

use crate::{CalloutOutcome, Direction, Reply};

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
    /// A callout of this stream is over.
    Callout {
        /// Index of the filter in the chain.
        filter: usize,
        /// The number that the filter knows it by.
        call: u32,
        /// What came of it.
        outcome: Box<CalloutOutcome>,
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
}

impl Parked {
    pub(crate) fn resume(&self, direction: Direction) {
        self.inbox.post(Event::Resume { filter: self.filter, direction });
    }
}
