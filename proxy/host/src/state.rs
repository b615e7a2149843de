//! What a guest's store holds: who it is, which context runs, the lent message and what the callback asked for.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use sluice_abi::MapType;
use sluice_engine::Inside;
use wasmtime::Memory;

use crate::{
    Callout, Direction, GrpcCall, Message, Phase, Reply, answered::Answered, calls::Calls, caps::Full,
    errands::Address, filter::Identity, gate::Allocator, head_size::Size, host::Services, inbox::Parked,
    shared::Registrant, wasi::Stdio,
};

/// The store of a guest as Wasmtime sees it.
pub(crate) type Held = Inside<State>;

/// What a guest's store holds.
pub(crate) struct State {
    /// Which filter this is and what it was granted.
    pub(crate) identity: Arc<Identity>,
    /// Shared data, queues, metrics and the outside.
    pub(crate) services: Arc<Services>,
    /// The guest's memory; `None` only while a start function runs.
    pub(crate) memory: Option<Memory>,
    /// The guest's allocator; moved out while it runs.
    pub(crate) allocator: Option<Allocator>,
    /// Bytes of a result on their way to the guest; kept so that its capacity is.
    pub(crate) scratch: Vec<u8>,
    /// What runs.
    pub(crate) phase: Phase,
    /// The allocator runs below a hostcall: nearly nothing else is allowed.
    pub(crate) allocating: bool,
    /// The context of the running callback.
    pub(crate) current: u32,
    /// The context that hostcalls act on; reset to `current` before every callback.
    pub(crate) effective: u32,
    /// Live contexts: the root of each, and its own id for a root.
    pub(crate) contexts: HashMap<u32, u32, ContextHash>,
    /// Root contexts in the order of the filter's configurations.
    pub(crate) roots: Vec<Root>,
    /// Streams that paused, so that other callbacks of this guest can continue them.
    pub(crate) paused: HashMap<u32, Parked, ContextHash>,
    /// The message of a stream.
    pub(crate) message: Option<Box<Message>>,
    /// The context that the message belongs to.
    pub(crate) message_of: u32,
    /// Calls under way.
    pub(crate) calls: Calls,
    /// What came back on the call whose callback runs.
    pub(crate) answered: Option<Answered>,
    /// Where this guest lives, once it has started.
    pub(crate) address: Option<Address>,
    /// Queues that were registered before the guest had an address, each with its root.
    pub(crate) registered: Vec<(u32, u32)>,
    /// What hostcalls asked the outside for; sent when the guest is left.
    pub(crate) outgoing: Vec<Outgoing>,
    /// Whether the running callback may change request headers, response headers.
    pub(crate) writable: Writable,
    /// What the running callback asked for.
    pub(crate) asked: Asked,
    /// Roots that said that they are done with what they needed time for.
    pub(crate) done: Vec<u32>,
    /// What the running callback measured last and has only added to since: many additions are not each a walk.
    pub(crate) measured: Option<(MapType, Size)>,
    /// Hostcalls since the message was lent; wraps.
    pub(crate) hostcalls: u32,
    /// Log lines of the running callback and their bytes.
    pub(crate) logged: Logged,
    /// Half lines on standard output and error.
    pub(crate) stdio: Stdio,
    /// The last line the guest logged, for error texts.
    pub(crate) last_log: String,
    /// Hostcalls that were refused once already, so that each is logged once.
    pub(crate) refused: u64,
}

/// One root context.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    /// Its context id.
    pub(crate) id: u32,
    /// Index into the filter's configurations.
    pub(crate) configuration: usize,
    /// Tick period asked for, milliseconds; 0 is off.
    pub(crate) tick_period: u32,
    /// Counts the calls that set it, so that a timer of an older period ends by itself.
    pub(crate) ticks_set: u32,
    /// It was told that it is over and asked for time: `proxy_done` ends it.
    pub(crate) ending: bool,
}

/// What the outside has to be asked for.
pub(crate) enum Outgoing {
    /// An HTTP callout with its number.
    Call(u32, Callout),
    /// A gRPC call with its number.
    Open(u32, GrpcCall),
    /// A message on a gRPC stream.
    Message { call: u32, message: Bytes, end: bool },
    /// Nothing more is wanted of a gRPC call.
    Close(u32),
    /// The next tick of a root.
    Tick { root: u32, set: u32, period: Duration },
    /// The guest put an item into this queue: the root that is registered for it then is told.
    Queue(u32),
}

/// Header maps that may be changed now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Writable {
    pub(crate) request: bool,
    pub(crate) response: bool,
    pub(crate) request_trailers: bool,
    pub(crate) response_trailers: bool,
}

/// What the running callback asked for; carried out when it has returned.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// A local response for the current stream.
    pub(crate) reply: Option<Box<Reply>>,
    /// Continue the request, the response.
    pub(crate) resume_request: bool,
    pub(crate) resume_response: bool,
    /// Close the stream.
    pub(crate) close: bool,
}

/// What the running callback wrote into the log.
#[derive(Debug, Default)]
pub(crate) struct Logged {
    pub(crate) lines: usize,
    pub(crate) bytes: usize,
}

impl State {
    pub(crate) fn new(identity: Arc<Identity>, services: Arc<Services>) -> Self {
        Self {
            identity,
            services,
            memory: None,
            allocator: None,
            scratch: Vec::new(),
            phase: Phase::Instantiate,
            allocating: false,
            current: 0,
            effective: 0,
            contexts: HashMap::default(),
            roots: Vec::new(),
            paused: HashMap::default(),
            message: None,
            message_of: 0,
            calls: Calls::default(),
            answered: None,
            address: None,
            registered: Vec::new(),
            outgoing: Vec::new(),
            writable: Writable::default(),
            asked: Asked::default(),
            done: Vec::new(),
            measured: None,
            hostcalls: 0,
            logged: Logged::default(),
            stdio: Stdio::default(),
            last_log: String::new(),
            refused: 0,
        }
    }

    /// Tells of a cap that was met; it stands where the guest's last words do, as a guest often dies of it.
    pub(crate) fn capped(&mut self, full: Full) {
        let report = self.identity.capped(&*self.services.outside, full);
        self.last_log = report.to_string();
    }

    /// Makes this guest the one that is told of new items in the queues it registered, as soon as it can be found; and
    /// of those that a guest died over.
    pub(crate) fn announce(&mut self) {
        let Some(address) = &self.address else { return };
        let registered = std::mem::take(&mut self.registered);
        // A request's own guest is gone when items come: with it beside, the root guest is told.
        for (queue, root) in registered.into_iter().filter(|_| address.lasting) {
            let untold = self.services.queues.registered(queue, Registrant { address: address.clone(), root });
            self.outgoing.extend((0..untold).map(|_| Outgoing::Queue(queue)));
        }
    }

    /// Forgets that a stream paused. Whether it did is asked for after every callback, and nearly none did.
    #[inline]
    pub(crate) fn unpark(&mut self, context: u32) -> bool {
        !self.paused.is_empty() && self.paused.remove(&context).is_some()
    }

    /// The root of the effective context.
    pub(crate) fn effective_root(&mut self) -> Option<&mut Root> {
        let root = *self.contexts.get(&self.effective)?;
        self.roots.iter_mut().find(|r| r.id == root)
    }

    /// The message, if the effective context is the stream it belongs to.
    pub(crate) fn message(&self) -> Option<&Message> {
        if self.effective == self.message_of { self.message.as_deref() } else { None }
    }

    /// The message, if the effective context is the stream it belongs to.
    pub(crate) fn message_mut(&mut self) -> Option<&mut Message> {
        if self.effective == self.message_of { self.message.as_deref_mut() } else { None }
    }

    /// Whether the effective stream is a TCP connection; `None` when it is not known to be either.
    pub(crate) fn is_tcp(&self) -> Option<bool> {
        let parked = || self.paused.get(&self.effective).map(|parked| parked.tcp);
        self.message().map(|message| message.tcp).or_else(parked)
    }

    /// The body in hand, if it is that of this direction.
    pub(crate) fn body_mut(&mut self, direction: Direction) -> Option<&mut crate::Body> {
        if matches!(self.phase, Phase::RequestHeaders | Phase::ResponseHeaders | Phase::NewConnection) {
            return None;
        }
        match self.message_mut()?.body.as_mut() {
            Some((d, body)) if *d == direction => Some(body),
            _ => None,
        }
    }
}

/// Context ids are small numbers given out in order: multiplying spreads them well enough.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct ContextHasher(u64);
pub(crate) type ContextHash = std::hash::BuildHasherDefault<ContextHasher>;

impl std::hash::Hasher for ContextHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.write_u32(u32::from(*b)));
    }
    fn write_u32(&mut self, value: u32) {
        self.0 = (self.0 ^ u64::from(value)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
