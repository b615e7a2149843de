//! A TCP connection's way through a chain: its bytes flow as bodies do, between being opened and being closed.

use sluice_abi::PeerType;

use super::{Exchange, Verdict, call::Lent};
use crate::{Body, Direction, Phase, Step, state::Writable, wasi};

impl Exchange {
    /// A client has connected. Bytes may be given in only behind this.
    pub fn connected(&mut self) -> Step {
        self.request.begun = true;
        self.response.headers_passed = true;
        self.run_headers(Direction::Request, 0, false)
    }

    /// Bytes have come from the client ([`Direction::Request`]) or from the upstream. `end`: they are the last.
    pub fn data(&mut self, direction: Direction, chunk: bytes::Bytes, end: bool) -> Step {
        self.run_body(direction, 0, chunk, end)
    }

    /// The connection of one side was closed; tells every filter that saw it opened. To be called once for each side.
    pub fn closed(&mut self, direction: Direction, peer: PeerType) {
        for index in 0..self.slots.len() {
            // A filter that dies of it is out; there is nothing left that its policy could change.
            drop(self.tell_of_close(index, direction, peer));
        }
    }

    fn tell_of_close(&mut self, index: usize, direction: Direction, peer: PeerType) -> Option<Verdict> {
        let slot = self.slots.get(index).filter(|slot| !slot.skipped)?;
        let lease = slot.guest.as_ref()?;
        let (place, context) = (lease.place.clone(), lease.context);
        let mut entered = place.enter(lease.number)?;
        let guest = entered.guest()?;
        let phase = match direction {
            Direction::Request => Phase::DownstreamClose,
            Direction::Response => Phase::UpstreamClose,
        };
        let message = self.message.take().unwrap_or_default();
        let lent = Lent::give(guest, context, message, direction, phase, Body::default(), Writable::default());
        let result = guest.closed(phase, context, peer);
        let took = guest.last_used();
        let (message, _) = lent.take(guest);
        self.message = Some(message);
        wasi::flush(guest.state());
        self.slots.get_mut(index)?.used += took;
        result.err().map(|crash| self.crashed(index, entered, phase, &crash))
    }
}
