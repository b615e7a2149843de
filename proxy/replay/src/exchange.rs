//! One exchange of a case: feeds its events to the chain and collects what comes out at both ends.

use std::{collections::VecDeque, time::Duration};

use http::HeaderMap;
use sluice_host::{
    Chain, Direction, Exchange, ExchangeFacts, Head, Message, Outside, PeerType, Reply, RequestHead, ResponseHead,
    Step, TrailersHead,
};

use crate::{
    Exchanged, Seen, Stage, Talk,
    script::{self, Event},
};

/// An exchange under way.
pub(crate) struct Run {
    exchange: Exchange,
    todo: VecDeque<Event>,
    /// The upstream answers before it has the whole request.
    early: bool,
    /// The head was the end, of the request and of the response.
    bare: (bool, bool),
    /// Events that are left until the client goes away.
    patience: Option<usize>,
    pub(crate) seen: Exchanged,
}

impl Run {
    /// Writes down all that will happen.
    pub(crate) fn new(chain: &Chain, talk: &Talk, mut facts: ExchangeFacts) -> Result<Self, String> {
        facts.started = Stage.wall_clock();
        facts.started_monotonic = Stage.monotonic();
        if let Some(connection) = &talk.connection {
            facts.protocol = "";
            let message = Message::new(facts);
            return Ok(Self::of(chain.connect(Box::new(message)), script::connection(connection)));
        }
        let mut message = Message::default();
        message.request = Some(Box::new(RequestHead(script::request(&talk.request)?)));
        message.facts = facts;
        let (sent, answered) = (&talk.request, &talk.upstream);
        let mut todo = VecDeque::new();
        script::write(&mut todo, Direction::Request, None, &sent.body, &sent.trailers)?;
        let at = answered.early.unwrap_or(todo.len()).clamp(1, todo.len());
        let mut answer = VecDeque::new();
        let head = script::response(answered.status, script::fields(&answered.headers)?)?;
        script::write(&mut answer, Direction::Response, Some(head), &answered.body, &answered.trailers)?;
        let rest = todo.split_off(at);
        todo.extend(answer.into_iter().chain(rest));
        let early = answered.early.is_some();
        Ok(Self { early, patience: sent.leaves_after, ..Self::of(chain.open(Box::new(message)), todo) })
    }

    fn of(exchange: Exchange, todo: VecDeque<Event>) -> Self {
        Self { exchange, todo, early: false, bare: (false, false), patience: None, seen: Exchanged::default() }
    }

    /// Feeds one event; false when nothing is left.
    pub(crate) fn advance(&mut self) -> bool {
        if self.patience == Some(0) {
            self.todo.clear();
        }
        self.patience = self.patience.map(|n| n.saturating_sub(1));
        let waits = matches!(self.todo.front(), Some(Event::Headers(Direction::Response, ..))) && !self.asked();
        let event = if waits { None } else { self.todo.pop_front() };
        let fed = event.is_some();
        if let Some(event) = event {
            Stage.pass(Duration::from_millis(1));
            let (name, step) = self.feed(event);
            self.seen.steps.push(format!("{name}: {}", word(&step)));
            self.settle(step);
        }
        let mut told = false;
        while let Some(event) = self.exchange.inbox().and_then(|inbox| inbox.try_next()).filter(|_| !self.over()) {
            told = true;
            let step = self.exchange.handle(event);
            self.seen.steps.push(format!("told: {}", word(&step)));
            self.settle(step);
        }
        fed || told
    }

    /// Whether a filter holds it, and may still let it go on.
    pub(crate) fn waits(&self) -> bool {
        let held = [Direction::Request, Direction::Response].into_iter().any(|d| self.exchange.is_held(d));
        held && !self.over() && self.patience != Some(0)
    }

    /// Whether there is something to answer: an upstream does not answer what it has not been asked.
    fn asked(&self) -> bool {
        self.seen.replied || self.seen.upstream.as_ref().is_some_and(|seen| seen.complete || self.early)
    }

    fn over(&self) -> bool {
        self.seen.fault.is_some() || self.seen.reset
    }

    fn feed(&mut self, event: Event) -> (String, Step) {
        let exchange = &mut self.exchange;
        match event {
            Event::Headers(Direction::Request, _, end) => {
                self.bare.0 = end;
                (format!("request headers end={end}"), exchange.request_headers(end))
            }
            Event::Headers(Direction::Response, head, end) => {
                self.bare.1 = end;
                exchange.message().response = head.map(|h| Box::new(ResponseHead(h)) as Box<dyn Head>);
                (format!("response headers end={end}"), exchange.response_headers(end))
            }
            Event::Connected => ("connected".into(), exchange.connected()),
            Event::Data(direction, bytes, end) => {
                let side = if direction == Direction::Request { "downstream" } else { "upstream" };
                (format!("{side} data size={} end={end}", bytes.len()), exchange.data(direction, bytes, end))
            }
            Event::Closed(direction) => {
                exchange.closed(direction, PeerType::Remote);
                ("closed".into(), Step::Continue)
            }
            Event::Body(direction, bytes, end) => {
                let facts = &mut exchange.message().facts;
                let size = bytes.len();
                match direction {
                    Direction::Request => {
                        facts.request_bytes += size as u64;
                        (format!("request body size={size} end={end}"), exchange.request_body(bytes, end))
                    }
                    Direction::Response => {
                        facts.response_bytes += size as u64;
                        (format!("response body size={size} end={end}"), exchange.response_body(bytes, end))
                    }
                }
            }
            Event::Trailers(direction, map) => {
                let trailers: Option<Box<dyn Head>> = Some(Box::new(TrailersHead(map)));
                match direction {
                    Direction::Request => {
                        exchange.message().request_trailers = trailers;
                        ("request trailers".into(), exchange.request_trailers())
                    }
                    Direction::Response => {
                        exchange.message().response_trailers = trailers;
                        ("response trailers".into(), exchange.response_trailers())
                    }
                }
            }
        }
    }

    /// Carries out what the chain said, then collects what came out.
    fn settle(&mut self, step: Step) {
        match step {
            Step::Continue | Step::Hold => {}
            Step::Reply(reply) => self.reply(*reply),
            Step::Fail(fault) => {
                self.seen.fault = Some(format!("{} in {} of {}", fault.token.name(), fault.phase.name(), fault.filter));
                self.todo.clear();
                return;
            }
            Step::Reset => {
                self.seen.reset = true;
                self.todo.clear();
                return;
            }
        }
        collect(&mut self.exchange, Direction::Request, self.bare.0, &mut self.seen.upstream);
        collect(&mut self.exchange, Direction::Response, self.bare.1, &mut self.seen.client);
    }

    /// An answer to the request walks back through the chain; one to the response takes its place, if that can be.
    fn reply(&mut self, reply: Reply) {
        let answered = self.exchange.message().response.is_some();
        self.todo.clear();
        self.seen.replied = true;
        let mut map = HeaderMap::new();
        for (name, value) in reply.headers {
            map.append(name, value);
        }
        let Ok(head) = script::response(reply.status, map) else { return };
        if !answered {
            let body = if reply.body.is_empty() { Vec::new() } else { vec![reply.body] };
            script::schedule(&mut self.todo, Direction::Response, Some(head), body, None);
        } else if self.seen.client.is_none() {
            let mut seen = Seen { complete: true, body: reply.body.to_vec(), ..Seen::default() };
            ResponseHead(head).visit(&mut |n, v| seen.pairs.push((n.to_vec(), v.to_vec())));
            self.seen.client = Some(seen);
        } else {
            self.seen.reset = true;
        }
    }

    /// The exchange is over.
    pub(crate) fn finish(mut self) -> Exchanged {
        self.todo.clear();
        let holds = [Direction::Request, Direction::Response].map(|d| self.exchange.holder(d).map(ToString::to_string));
        self.seen.held = holds.into_iter().flatten().next().filter(|_| !self.over() && !self.seen.replied);
        for (direction, side) in
            [(Direction::Request, &mut self.seen.upstream), (Direction::Response, &mut self.seen.client)]
        {
            if let Some(seen) = side.as_mut().filter(|_| self.exchange.edited(direction)) {
                seen.correct_length();
            }
        }
        self.exchange.finish();
        self.seen.outcomes =
            self.exchange.ran().map(|ran| (ran.filter.to_string(), ran.outcome.name().to_owned())).collect();
        self.seen
    }
}

/// Takes what passed every filter.
fn collect(exchange: &mut Exchange, direction: Direction, bare: bool, side: &mut Option<Seen>) {
    if !exchange.headers_passed(direction) || side.as_ref().is_some_and(|seen| seen.complete) {
        return;
    }
    let (bytes, end) = exchange.take_body(direction);
    let passed = exchange.trailers_passed(direction);
    let message = exchange.message();
    let (head, trailers) = match direction {
        Direction::Request => (&message.request, &message.request_trailers),
        Direction::Response => (&message.response, &message.response_trailers),
    };
    let list = |head: &Option<Box<dyn Head>>| {
        let mut pairs = Vec::new();
        if let Some(head) = head {
            head.visit(&mut |n, v| pairs.push((n.to_vec(), v.to_vec())));
        }
        pairs
    };
    let seen = side.get_or_insert_with(|| Seen { pairs: list(head), ..Seen::default() });
    if !bytes.is_empty() {
        seen.pieces.push(bytes.to_vec());
        seen.body.extend_from_slice(&bytes);
    }
    if bare || end || passed {
        seen.complete = true;
        seen.trailers = list(trailers);
    }
}

fn word(step: &Step) -> &'static str {
    match step {
        Step::Continue => "continue",
        Step::Hold => "hold",
        Step::Reply(_) => "reply",
        Step::Fail(_) => "fail",
        Step::Reset => "reset",
    }
}
