//! The calls of one guest that are under way: who made each, and what may still come of it.

use std::collections::HashMap;

use bytes::Bytes;

use crate::{GrpcEvent, GrpcSink, state::ContextHash};

/// What a unary call without an answer ends in (`INTERNAL`).
const INTERNAL: u32 = 13;

/// One call.
pub(crate) struct Call {
    /// The context that made it.
    pub(crate) context: u32,
    pub(crate) kind: Kind,
    /// Where its messages go; `None` until the guest is left for the first time, and for HTTP.
    pub(crate) sink: Option<Box<dyn GrpcSink>>,
    /// Bytes that were sent in the running callback and are not with the sink yet.
    pub(crate) unsent: usize,
    /// The guest said which message was its last.
    pub(crate) ended: bool,
    /// The guest closed the call: it hears nothing more of it.
    pub(crate) closing: bool,
    /// The answer of a unary call, which is only one when the call ends well.
    answer: Option<Bytes>,
}

/// How a call is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Once.
    Http,
    /// Once: with a message, or with the status of its end.
    Unary,
    /// By metadata, messages, and an end.
    Stream,
}

/// What a guest is told of something that came on a gRPC call.
pub(crate) enum Told {
    /// There is no such call any more.
    Unknown,
    /// Nothing yet.
    Nothing,
    /// This.
    Event(GrpcEvent),
}

/// The calls of one guest.
#[derive(Default)]
pub(crate) struct Calls {
    open: HashMap<u32, Call, ContextHash>,
    last: u32,
}

impl Calls {
    /// How many are under way.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// The number of the last call.
    pub(crate) fn last(&self) -> u32 {
        self.last
    }

    /// Numbers begin behind this one.
    pub(crate) fn go_on_from(&mut self, last: u32) {
        self.last = last;
    }

    /// Notes a call and gives it a number that no call under way has, and never 0.
    pub(crate) fn begin(&mut self, context: u32, kind: Kind) -> u32 {
        loop {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if !self.open.contains_key(&self.last) {
                break;
            }
        }
        let call = Call { context, kind, sink: None, unsent: 0, ended: false, closing: false, answer: None };
        self.open.insert(self.last, call);
        self.last
    }

    pub(crate) fn get(&self, id: u32) -> Option<&Call> {
        self.open.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut Call> {
        self.open.get_mut(&id)
    }

    /// Forgets a call; a gRPC call that is still open is cancelled by that.
    pub(crate) fn remove(&mut self, id: u32) -> Option<Call> {
        self.open.remove(&id)
    }

    /// What the guest is told of an event, by the kind of its call.
    pub(crate) fn tell(&mut self, id: u32, event: GrpcEvent) -> Told {
        let Some(call) = self.open.get_mut(&id).filter(|call| !call.closing) else { return Told::Unknown };
        if call.kind == Kind::Stream {
            return Told::Event(event);
        }
        match event {
            GrpcEvent::Message(message) => {
                call.answer = Some(message);
                Told::Nothing
            }
            GrpcEvent::Metadata(_) | GrpcEvent::Trailers(_) => Told::Nothing,
            GrpcEvent::Closed { status: 0, .. } => Told::Event(match call.answer.take() {
                Some(message) => GrpcEvent::Message(message),
                None => GrpcEvent::Closed { status: INTERNAL, message: "the server sent no message".into() },
            }),
            closed @ GrpcEvent::Closed { .. } => Told::Event(closed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(status: u32) -> GrpcEvent {
        GrpcEvent::Closed { status, message: String::new() }
    }

    #[test]
    fn a_unary_call_is_answered_once_and_only_at_its_end() {
        let mut calls = Calls::default();
        let id = calls.begin(7, Kind::Unary);
        assert!(matches!(calls.tell(id, GrpcEvent::Metadata(http::HeaderMap::new())), Told::Nothing));
        assert!(matches!(calls.tell(id, GrpcEvent::Message(Bytes::from_static(b"m"))), Told::Nothing));
        assert!(matches!(calls.tell(id, closed(0)), Told::Event(GrpcEvent::Message(m)) if m == "m"));
        let id = calls.begin(7, Kind::Unary);
        assert!(matches!(calls.tell(id, closed(0)), Told::Event(GrpcEvent::Closed { status: INTERNAL, .. })));
        assert!(matches!(calls.tell(id, closed(5)), Told::Event(GrpcEvent::Closed { status: 5, .. })));
        calls.remove(id);
        assert!(matches!(calls.tell(id, closed(0)), Told::Unknown));
    }

    #[test]
    fn numbers_are_unique_among_open_calls_and_never_zero() {
        let mut calls = Calls { last: u32::MAX - 1, ..Calls::default() };
        let ids: Vec<u32> = (0..3).map(|_| calls.begin(1, Kind::Http)).collect();
        assert_eq!(ids, [u32::MAX, 1, 2]);
        calls.last = 0;
        assert_eq!(calls.begin(1, Kind::Http), 3);
        assert_eq!(calls.len(), 4);
    }
}
