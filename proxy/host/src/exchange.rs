//! One exchange: walks the chain forward with the request and backward with the response, without any I/O.
//!
//! Every filter has, for each direction, a place where it may have stopped and a body that it holds there. Data flows
//! from filter to filter; where one pauses, what it has seen stays with it until it is continued or more comes. That
//! is Envoy's model, with one buffer for each filter where Envoy has one for the stream.

mod call;
mod flow;
mod tcp;
mod visit;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use sluice_engine::Moment;

pub use self::visit::{Visit, Visits};
use crate::{
    Body, Chain, Direction, Event, Fault, Inbox, Message, Phase, Reply, Step, Token, guest::Guest, place::Place,
};

/// One exchange's way through a chain. Dropping it ends every context it opened.
pub struct Exchange {
    chain: Chain,
    slots: Box<[Slot]>,
    /// `None` while a guest has it, and where nobody reads it.
    message: Option<Box<Message>>,
    request: Half,
    response: Half,
    inbox: Option<Arc<Inbox>>,
    finished: bool,
    /// A TCP connection, which has no heads and no trailers.
    tcp: bool,
    /// `None` when nobody asked for them.
    visits: Option<Box<Visits>>,
}

/// One filter's part in an exchange.
#[derive(Default)]
struct Slot {
    guest: Option<Lease>,
    /// Out of the exchange from here on: it failed open, or its guest died.
    skipped: bool,
    request: Held,
    response: Held,
    used: Duration,
    /// When its callbacks since the last visit began, and when the last of them ended.
    met: Option<(Moment, Moment)>,
    /// Hostcalls so far; wraps.
    hostcalls: u32,
    outcome: Outcome,
}

/// A guest and the context in it.
struct Lease {
    place: Arc<Place>,
    number: u64,
    context: u32,
    /// How this exchange ends decides whether the filter is back in service.
    probe: bool,
}

/// What a filter holds back in one direction.
#[derive(Default)]
struct Held {
    stopped: Option<Stopped>,
    body: Body,
    /// The body that is held is the last of it.
    end: bool,
    /// The trailers have come behind what is held.
    trailers: bool,
    /// The filter has seen the body that it holds behind a head.
    shown: bool,
}

/// In which callback a filter stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopped {
    /// The head had the end of the stream when true.
    Headers(bool),
    Body,
    Trailers,
}

impl Stopped {
    fn part(self) -> Part {
        match self {
            Self::Headers(_) => Part::Head,
            Self::Body => Part::Body,
            Self::Trailers => Part::Trailers,
        }
    }
}

/// What of a message a callback is about; a TCP connection's head is that it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Head,
    Body,
    Trailers,
}

/// What came out at the far end in one direction.
#[derive(Default)]
struct Half {
    headers_passed: bool,
    out: Body,
    out_end: bool,
    trailers_passed: bool,
    /// A filter answered, failed or closed: no more callbacks in this direction.
    closed: bool,
    /// The head has come.
    begun: bool,
    /// A filter changed a body's bytes.
    edited: bool,
    /// How long the body is going to be, where the head said so.
    declared: u64,
}

/// How a filter fared in an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Outcome {
    /// It never ran.
    #[default]
    Idle,
    Continued,
    Paused,
    Replied,
    Failed,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 5] = [Self::Idle, Self::Continued, Self::Paused, Self::Replied, Self::Failed];

    /// The word in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Continued => "continued",
            Self::Paused => "paused",
            Self::Replied => "replied",
            Self::Failed => "failed",
        }
    }
}

/// One filter's line in the access log.
#[derive(Debug, Clone)]
pub struct Ran<'a> {
    /// Its name.
    pub filter: &'a Arc<str>,
    /// Which version.
    pub digest: crate::Digest,
    /// Time in its callbacks so far.
    pub used: Duration,
    /// How it fared.
    pub outcome: Outcome,
}

impl Exchange {
    pub(crate) fn new(chain: Chain, message: Option<Box<Message>>) -> Self {
        let slots = chain.links().iter().map(|_| Slot::default()).collect();
        let tcp = message.as_ref().is_some_and(|message| message.tcp);
        Self {
            chain,
            slots,
            message,
            request: Half::default(),
            response: Half::default(),
            inbox: None,
            finished: false,
            tcp,
            visits: None,
        }
    }

    /// The message, for the embedder to put heads in and take them out.
    pub fn message(&mut self) -> &mut Message {
        self.message.get_or_insert_default()
    }

    /// What filters set with `proxy_set_property`; see [`Message::set_properties`].
    pub fn set_properties(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.message.iter().flat_map(|message| message.set_properties())
    }

    /// The chain it walks.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Goes on with another chain; only before the first callback.
    pub fn rechain(&mut self, chain: Chain) {
        if self.slots.iter().all(|s| s.guest.is_none()) {
            self.slots = chain.links().iter().map(|_| Slot::default()).collect();
            self.chain = chain;
        }
    }

    /// The request's head has come; `message().request` holds it. `end`: no body and no trailers follow.
    pub fn request_headers(&mut self, end: bool) -> Step {
        self.request.begun = true;
        self.run_headers(Direction::Request, 0, end)
    }

    /// The response's head has come; `message().response` holds it. `end`: no body and no trailers follow.
    pub fn response_headers(&mut self, end: bool) -> Step {
        self.response.begun = true;
        self.run_headers(Direction::Response, 0, end)
    }

    /// A piece of the request's body has come. `end`: it is the last, and no trailers follow.
    pub fn request_body(&mut self, chunk: Bytes, end: bool) -> Step {
        self.run_body(Direction::Request, 0, chunk, end)
    }

    /// A piece of the response's body has come. `end`: it is the last, and no trailers follow.
    pub fn response_body(&mut self, chunk: Bytes, end: bool) -> Step {
        self.run_body(Direction::Response, 0, chunk, end)
    }

    /// The request's trailers have come; `message().request_trailers` holds them.
    pub fn request_trailers(&mut self) -> Step {
        self.run_trailers(Direction::Request, 0)
    }

    /// The response's trailers have come; `message().response_trailers` holds them.
    pub fn response_trailers(&mut self) -> Step {
        self.run_trailers(Direction::Response, 0)
    }

    /// Tells how long the body of this direction is going to be: a filter that begins to hold more than it may is
    /// stopped at once, while there is still time for a proper answer.
    pub fn declare_length(&mut self, direction: Direction, bytes: u64) {
        self.half_mut(direction).declared = bytes;
    }

    /// Whether the head of this direction passed every filter.
    pub fn headers_passed(&self, direction: Direction) -> bool {
        self.half(direction).headers_passed
    }

    /// Whether the trailers of this direction passed every filter.
    pub fn trailers_passed(&self, direction: Direction) -> bool {
        self.half(direction).trailers_passed
    }

    /// Body bytes that passed every filter since the last call, and whether they are the last.
    pub fn take_body(&mut self, direction: Direction) -> (Bytes, bool) {
        let half = self.half_mut(direction);
        (half.out.take(), half.out_end)
    }

    /// Whether a filter was entered and its context still has to be ended.
    pub fn opened(&self) -> bool {
        self.slots.iter().any(|s| s.guest.is_some())
    }

    /// Whether a filter changed body bytes in this direction.
    pub fn edited(&self, direction: Direction) -> bool {
        self.half(direction).edited
    }

    /// Whether a filter holds this direction.
    pub fn is_held(&self, direction: Direction) -> bool {
        self.slots.iter().any(|s| s.held(direction).stopped.is_some())
    }

    /// Which filter holds this direction, if one does.
    pub fn holder(&self, direction: Direction) -> Option<&Arc<str>> {
        let at = self.slots.iter().position(|s| s.held(direction).stopped.is_some())?;
        self.chain.links().get(at).map(|l| l.filter.name())
    }

    /// Where a paused exchange hears of what other callbacks do to it; `None` when it never paused.
    pub fn inbox(&self) -> Option<&Arc<Inbox>> {
        self.inbox.as_ref()
    }

    /// Carries out what an inbox told.
    pub fn handle(&mut self, event: Event) -> Step {
        match event {
            // The guest died: nothing can continue this stream but its filter's policy.
            Event::Resume { filter, direction } if self.lost(filter) => self.abandon(direction, filter, Token::Trap),
            Event::Resume { filter, direction } => match self.position(direction, filter) {
                Some(position) => self.resume(direction, position),
                None => Step::Continue,
            },
            Event::Answer { filter, call, answer } => {
                let holds = |e: &Self, d: Direction| e.slots.get(filter).is_some_and(|s| s.held(d).stopped.is_some());
                let direction = if holds(self, Direction::Request) { Direction::Request } else { Direction::Response };
                match self.answer(filter, call, *answer) {
                    Verdict::Continue => Step::Hold,
                    verdict => self.stop(direction, verdict),
                }
            }
            Event::Reply(reply) => self.replied(self.open_half(), reply),
            Event::Close => {
                self.close();
                Step::Reset
            }
        }
    }

    /// Gives up waiting for the filter that holds this direction: it failed, by its own policy.
    pub fn give_up(&mut self, direction: Direction) -> Step {
        let Some(index) = self.slots.iter().position(|s| s.held(direction).stopped.is_some()) else {
            return Step::Continue;
        };
        self.abandon(direction, index, Token::PausedTooLong)
    }

    /// A filter that holds this direction failed: the exchange does too, or goes on without it.
    fn abandon(&mut self, direction: Direction, index: usize, token: Token) -> Step {
        let Some(stopped) = self.slots.get(index).and_then(|s| s.held(direction).stopped) else {
            return Step::Continue;
        };
        match self.fail(index, token, self.phase(direction, stopped.part())) {
            Some(fault) => self.stop(direction, Verdict::Fail(fault)),
            None => match self.position(direction, index) {
                Some(position) => self.resume(direction, position),
                None => Step::Continue,
            },
        }
    }

    /// The exchange is over: every open context gets done, log and delete. Called by `Drop` if nobody did.
    pub fn finish(&mut self) {
        if !std::mem::replace(&mut self.finished, true) {
            // What came on a call and found the stream waiting is not lost when the stream ends first.
            while let Some(event) = self.inbox.as_ref().and_then(|inbox| inbox.try_next()) {
                if let Event::Answer { filter, call, answer } = event {
                    let _ = self.answer(filter, call, *answer);
                }
            }
            (0..self.slots.len()).for_each(|index| self.end_context(index));
        }
    }

    /// How every filter of the chain fared, in chain order.
    pub fn ran(&self) -> impl Iterator<Item = Ran<'_>> {
        self.chain.links().iter().zip(&self.slots).map(|(link, slot)| Ran {
            filter: link.filter.name(),
            digest: link.filter.digest(),
            used: slot.used,
            outcome: slot.outcome,
        })
    }

    /// The callback for a part of a message.
    fn phase(&self, direction: Direction, part: Part) -> Phase {
        match (self.tcp, direction, part) {
            (true, Direction::Request, Part::Head) => Phase::NewConnection,
            (true, Direction::Request, _) => Phase::DownstreamData,
            (true, Direction::Response, _) => Phase::UpstreamData,
            (false, Direction::Request, Part::Head) => Phase::RequestHeaders,
            (false, Direction::Request, Part::Body) => Phase::RequestBody,
            (false, Direction::Request, Part::Trailers) => Phase::RequestTrailers,
            (false, Direction::Response, Part::Head) => Phase::ResponseHeaders,
            (false, Direction::Response, Part::Body) => Phase::ResponseBody,
            (false, Direction::Response, Part::Trailers) => Phase::ResponseTrailers,
        }
    }

    fn half(&self, direction: Direction) -> &Half {
        match direction {
            Direction::Request => &self.request,
            Direction::Response => &self.response,
        }
    }

    fn half_mut(&mut self, direction: Direction) -> &mut Half {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }

    /// Index in the chain of the filter at this position of the walk: responses walk backward.
    fn index(&self, direction: Direction, position: usize) -> usize {
        match direction {
            Direction::Request => position,
            Direction::Response => self.slots.len() - 1 - position,
        }
    }

    /// The inverse of [`Self::index`]; `None` for an index outside of the chain.
    fn position(&self, direction: Direction, index: usize) -> Option<usize> {
        (index < self.slots.len()).then(|| self.index(direction, index))
    }

    /// The half that an answer from outside of a callback belongs to: the response's once its head has come.
    fn open_half(&self) -> Direction {
        if self.response.begun { Direction::Response } else { Direction::Request }
    }

    fn replied(&mut self, direction: Direction, reply: Box<Reply>) -> Step {
        // An answer to the request ends the request's walk; the answer itself then walks the response's.
        self.half_mut(direction).closed = true;
        Step::Reply(reply)
    }

    fn close(&mut self) {
        self.request.closed = true;
        self.response.closed = true;
    }
}

impl Slot {
    /// Adds what the guest's last callback took.
    fn took(&mut self, guest: &Guest) {
        self.used += guest.last_used();
        if let Some((began, ended)) = guest.last_call() {
            self.met = Some((self.met.map_or(began, |(first, _)| first), ended));
        }
    }

    fn held(&self, direction: Direction) -> &Held {
        match direction {
            Direction::Request => &self.request,
            Direction::Response => &self.response,
        }
    }

    fn held_mut(&mut self, direction: Direction) -> &mut Held {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.finish();
    }
}

/// What one callback led to.
enum Verdict {
    Continue,
    Pause,
    Reply(Box<Reply>),
    Fail(Fault),
    Close,
}
