//! One exchange under the fuzzer: what was given to it, what came out, and what has to hold between the two.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use sluice_host::{
    Chain, Direction, Exchange, Message, PeerType, RequestHead, RequestParts, ResponseHead, ResponseParts, Step,
    TrailersHead,
};

pub(crate) const BOTH: [Direction; 2] = [Direction::Request, Direction::Response];

/// What has to hold for the bytes.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Promise {
    /// Filters change them, answer and close.
    Nothing,
    /// What comes out is a beginning of what went in.
    Order,
    /// And all of it comes out, once nobody holds anything.
    All,
}

/// One direction.
#[derive(Default)]
struct Side {
    begun: bool,
    ended: bool,
    sent: Vec<u8>,
    passed: Vec<u8>,
    end_passed: bool,
    /// The head was the end.
    bare: bool,
}

/// One exchange.
pub(crate) struct Flow {
    exchange: Exchange,
    sides: [Side; 2],
    tcp: bool,
    promise: Promise,
    /// A filter answered the request.
    replied: bool,
    /// It failed, or was reset: nothing more is given to it.
    pub(crate) over: bool,
}

fn fields() -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static("x-a"), HeaderValue::from_static("0"))])
}

impl Flow {
    pub(crate) fn new(chain: &Chain, tcp: bool, promise: Promise) -> Self {
        let mut message = Box::<Message>::default();
        let exchange = if tcp {
            chain.connect(message)
        } else {
            let mut parts = http::Request::new(()).into_parts().0;
            parts.headers = fields();
            message.request = Some(Box::new(RequestHead(RequestParts(parts))));
            chain.open(message)
        };
        Self { exchange, sides: Default::default(), tcp, promise, replied: false, over: false }
    }

    fn side(&mut self, direction: Direction) -> &mut Side {
        &mut self.sides[usize::from(direction == Direction::Response)]
    }

    /// The next event of one side: its head, then pieces, then perhaps trailers. The byte chooses.
    pub(crate) fn feed(&mut self, direction: Direction, choice: u8) {
        let asked = self.exchange.headers_passed(Direction::Request) || self.replied;
        let connected = self.side(Direction::Request).begun;
        let waits = direction == Direction::Response && if self.tcp { !connected } else { !asked };
        if waits || self.over || self.side(direction).ended {
            return;
        }
        let step = match (self.side(direction).begun, choice) {
            (false, _) => self.head(direction, choice.is_multiple_of(8)),
            (true, 0..16) if !self.tcp => self.trailers(direction),
            (true, _) => self.piece(direction, choice),
        };
        self.settle(step);
    }

    fn head(&mut self, direction: Direction, end: bool) -> Step {
        let tcp = self.tcp;
        let side = self.side(direction);
        side.begun = true;
        if tcp {
            // Both sides begin with the connection.
            return if direction == Direction::Request { self.exchange.connected() } else { Step::Continue };
        }
        side.ended = end;
        side.bare = end;
        match direction {
            Direction::Request => self.exchange.request_headers(end),
            Direction::Response => {
                let mut parts = http::Response::new(()).into_parts().0;
                parts.headers = fields();
                self.exchange.message().response = Some(Box::new(ResponseHead(ResponseParts(parts))));
                self.exchange.response_headers(end)
            }
        }
    }

    fn trailers(&mut self, direction: Direction) -> Step {
        self.side(direction).ended = true;
        let trailers = Some(Box::new(TrailersHead(fields())) as _);
        match direction {
            Direction::Request => {
                self.exchange.message().request_trailers = trailers;
                self.exchange.request_trailers()
            }
            Direction::Response => {
                self.exchange.message().response_trailers = trailers;
                self.exchange.response_trailers()
            }
        }
    }

    fn piece(&mut self, direction: Direction, choice: u8) -> Step {
        let (tcp, end) = (self.tcp, choice >= 224);
        let side = self.side(direction);
        // Every byte is another than its neighbours, so that a change of order shows.
        let piece: Vec<u8> = (0..choice % 19).map(|i| (side.sent.len() as u8).wrapping_add(i)).collect();
        side.sent.extend_from_slice(&piece);
        side.ended = end;
        let piece = Bytes::from(piece);
        match direction {
            _ if tcp => self.exchange.data(direction, piece, end),
            Direction::Request => self.exchange.request_body(piece, end),
            Direction::Response => self.exchange.response_body(piece, end),
        }
    }

    /// Hears what other callbacks did to it.
    pub(crate) fn listen(&mut self) {
        while let Some(event) = self.exchange.inbox().and_then(|inbox| inbox.try_next()).filter(|_| !self.over) {
            let step = self.exchange.handle(event);
            self.settle(step);
        }
    }

    pub(crate) fn give_up(&mut self, direction: Direction) {
        if !self.over {
            let step = self.exchange.give_up(direction);
            self.settle(step);
        }
    }

    /// One side of a connection closes.
    pub(crate) fn close(&mut self, direction: Direction) {
        if self.tcp && self.side(Direction::Request).begun {
            self.exchange.closed(direction, PeerType::Remote);
        }
    }

    pub(crate) fn finish(&mut self) {
        self.over = true;
        self.exchange.finish();
        assert!(!self.exchange.opened(), "a context is left");
    }

    fn settle(&mut self, step: Step) {
        match step {
            Step::Continue | Step::Hold => {}
            Step::Reply(reply) => {
                assert!((200..=599).contains(&reply.status));
                assert!(self.promise == Promise::Nothing, "nobody was granted an answer");
                assert!(!self.tcp, "an answer on a connection");
                self.over = self.side(Direction::Response).begun;
                self.replied = true;
            }
            Step::Fail(fault) => {
                assert!(self.promise != Promise::All, "{fault} fails open");
                self.over = true;
            }
            Step::Reset => {
                assert!(self.promise == Promise::Nothing, "nobody was granted a reset");
                self.over = true;
            }
        }
        BOTH.into_iter().for_each(|d| self.check(d));
    }

    /// Takes what passed, and looks at it.
    fn check(&mut self, direction: Direction) {
        let promised = self.promise != Promise::Nothing;
        if !self.exchange.headers_passed(direction) {
            let early = self.exchange.take_body(direction).0;
            assert!(early.is_empty(), "a body before its head");
            return;
        }
        let (bytes, end) = self.exchange.take_body(direction);
        let trailers = self.exchange.trailers_passed(direction);
        let side = self.side(direction);
        assert!(bytes.is_empty() || !side.end_passed, "bytes behind the end");
        side.passed.extend_from_slice(&bytes);
        side.end_passed |= end || trailers || side.bare;
        if promised {
            assert!(side.sent.starts_with(&side.passed), "{:?} went in, {:?} came out", side.sent, side.passed);
            assert!(!side.end_passed || side.sent == side.passed, "the end came too early");
        }
    }

    /// Loses patience with every filter that holds something.
    pub(crate) fn drain(&mut self) {
        for _ in 0..16 {
            self.listen();
            for direction in BOTH {
                if self.exchange.is_held(direction) {
                    self.give_up(direction);
                }
            }
        }
        self.listen();
        if self.promise != Promise::All {
            return;
        }
        for direction in BOTH {
            assert!(!self.exchange.is_held(direction), "{direction:?} is still held");
            let passed = self.exchange.headers_passed(direction);
            let tcp = self.tcp;
            let side = self.side(direction);
            assert!(tcp || passed == side.begun, "the head of {direction:?}");
            assert_eq!(side.sent, side.passed, "{direction:?}");
            assert!(tcp || side.ended == side.end_passed, "the end of {direction:?}");
        }
    }
}
