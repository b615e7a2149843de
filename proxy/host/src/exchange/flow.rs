//! How heads, bodies and trailers walk through the filters of an exchange.

use bytes::Bytes;

use super::{Exchange, Part, Stopped, Verdict};
use crate::{Direction, Fault, Phase, Step, Token};

impl Exchange {
    /// Lets the head walk from a position of the chain on.
    pub(super) fn run_headers(&mut self, direction: Direction, from: usize, end: bool) -> Step {
        let phase = self.phase(direction, Part::Head);
        for position in from..self.slots.len() {
            if self.half(direction).closed {
                return Step::Continue;
            }
            let index = self.index(direction, position);
            match self.call(index, phase, end) {
                Verdict::Continue => {}
                Verdict::Pause => {
                    self.held_mut(index, direction).stopped = Some(Stopped::Headers(end));
                    return Step::Hold;
                }
                other => return self.stop(direction, other),
            }
        }
        self.half_mut(direction).headers_passed = true;
        Step::Continue
    }

    /// Lets a piece of the body walk from a position of the chain on; what passes all comes out at the end.
    pub(super) fn run_body(&mut self, direction: Direction, from: usize, chunk: Bytes, mut end: bool) -> Step {
        let phase = self.phase(direction, Part::Body);
        let mut data = chunk;
        for position in from..self.slots.len() {
            if self.half(direction).closed {
                return Step::Continue;
            }
            let index = self.index(direction, position);
            if self.over_cap(index, direction, data.len())
                && let Some(fault) = self.body_too_large(index, phase)
            {
                return self.stop(direction, Verdict::Fail(fault));
            }
            let failed = self.failed_open(index);
            let held = self.held_mut(index, direction);
            if matches!(held.stopped, Some(Stopped::Headers(_))) || (failed && held.stopped.is_some()) {
                held.body.append(data);
                held.end |= end;
                if !failed && self.reads_behind_head(index, direction) {
                    return self.run_body_behind_head(direction, position);
                }
                // A filter that failed open lets go of all that it held, head first.
                return if failed { self.resume(direction, position) } else { Step::Hold };
            }
            if !self.wants_body(index, direction) {
                continue;
            }
            let held = self.held_mut(index, direction);
            held.body.append(data);
            held.end |= end;
            end = held.end;
            match self.call(index, phase, end) {
                Verdict::Continue => {
                    let held = self.held_mut(index, direction);
                    held.stopped = None;
                    data = held.body.take();
                }
                Verdict::Pause => {
                    self.held_mut(index, direction).stopped = Some(Stopped::Body);
                    if !end && self.declared_over_cap(index, direction) {
                        match self.body_too_large(index, phase) {
                            Some(fault) => return self.stop(direction, Verdict::Fail(fault)),
                            None => {
                                let held = self.held_mut(index, direction);
                                held.stopped = None;
                                data = held.body.take();
                                continue;
                            }
                        }
                    }
                    return Step::Hold;
                }
                other => return self.stop(direction, other),
            }
        }
        let half = self.half_mut(direction);
        half.out.append(data);
        half.out_end |= end;
        Step::Continue
    }

    /// Whether a filter that holds a head reads the body meanwhile (`on_headers_stop_iteration`).
    fn reads_behind_head(&self, index: usize, direction: Direction) -> bool {
        let option = self.chain.links().get(index).is_some_and(|link| link.filter.stop_iteration);
        option && !self.tcp && self.wants_body(index, direction)
    }

    /// Shows a filter the body behind the head that it holds. Letting the body pass lets go of the head too.
    fn run_body_behind_head(&mut self, direction: Direction, position: usize) -> Step {
        let index = self.index(direction, position);
        let phase = self.phase(direction, Part::Body);
        let held = self.held_mut(index, direction);
        held.shown = true;
        let end = held.end;
        match self.call(index, phase, end) {
            Verdict::Continue => self.resume(direction, position),
            other => self.stop(direction, other),
        }
    }

    /// Lets the trailers walk from a position of the chain on.
    pub(super) fn run_trailers(&mut self, direction: Direction, from: usize) -> Step {
        let phase = self.phase(direction, Part::Trailers);
        for position in from..self.slots.len() {
            if self.half(direction).closed {
                return Step::Continue;
            }
            let index = self.index(direction, position);
            let failed = self.failed_open(index);
            let held = self.held_mut(index, direction);
            if matches!(held.stopped, Some(Stopped::Headers(_))) || (failed && held.stopped.is_some()) {
                held.trailers = true;
                if !failed && self.reads_behind_head(index, direction) {
                    return match self.call(index, phase, true) {
                        Verdict::Continue => self.resume(direction, position),
                        other => self.stop(direction, other),
                    };
                }
                return if failed { self.resume(direction, position) } else { Step::Hold };
            }
            match self.call(index, phase, true) {
                Verdict::Continue => {
                    // Letting the trailers pass lets go of a body that was held for them.
                    let held = self.held_mut(index, direction);
                    held.trailers = false;
                    if held.stopped.take() == Some(Stopped::Body) {
                        let data = held.body.take();
                        match self.run_body(direction, position + 1, data, false) {
                            Step::Continue | Step::Hold => {}
                            step => return step,
                        }
                    }
                }
                Verdict::Pause => {
                    let held = self.held_mut(index, direction);
                    held.trailers = true;
                    if held.stopped.is_none() {
                        held.stopped = Some(Stopped::Trailers);
                    }
                    return Step::Hold;
                }
                other => return self.stop(direction, other),
            }
        }
        self.half_mut(direction).trailers_passed = true;
        Step::Continue
    }

    /// Goes on behind a filter that paused. It is not called again for what it has seen; what came meanwhile and what
    /// the later filters have not seen walks on.
    pub(super) fn resume(&mut self, direction: Direction, position: usize) -> Step {
        if self.half(direction).closed {
            return Step::Continue;
        }
        let index = self.index(direction, position);
        let Some(stopped) = self.held_mut(index, direction).stopped.take() else { return Step::Continue };
        match self.unpark(index) {
            Verdict::Continue => {}
            verdict => return self.stop(direction, verdict),
        }
        let held = self.held_mut(index, direction);
        let (trailers, end) = (held.trailers, held.end);
        let step = match stopped {
            Stopped::Headers(head_end) => {
                let data = held.body.take();
                held.end = false;
                held.trailers = false;
                // A filter that has not seen the body which came while it held the head sees it now, and the trailers.
                let next = if std::mem::take(&mut held.shown) { position + 1 } else { position };
                match self.run_headers(direction, position + 1, head_end) {
                    Step::Continue | Step::Hold => {}
                    step => return step,
                }
                if !data.is_empty() || end {
                    match self.run_body(direction, next, data, end) {
                        Step::Continue | Step::Hold => {}
                        step => return step,
                    }
                }
                return if trailers { self.run_trailers(direction, next) } else { self.flowing(direction) };
            }
            Stopped::Body => {
                let data = held.body.take();
                held.end = false;
                self.run_body(direction, position + 1, data, end)
            }
            Stopped::Trailers => Step::Continue,
        };
        match step {
            Step::Continue | Step::Hold if trailers => {
                self.held_mut(index, direction).trailers = false;
                self.run_trailers(direction, position + 1)
            }
            step => step,
        }
    }

    /// What a caller sees who asks how this direction stands.
    fn flowing(&self, direction: Direction) -> Step {
        if self.is_held(direction) { Step::Hold } else { Step::Continue }
    }

    pub(super) fn stop(&mut self, direction: Direction, verdict: Verdict) -> Step {
        match verdict {
            Verdict::Reply(reply) => self.replied(direction, reply),
            Verdict::Fail(fault) => {
                self.half_mut(direction).closed = true;
                Step::Fail(Box::new(fault))
            }
            Verdict::Close => {
                self.close();
                Step::Reset
            }
            Verdict::Continue => Step::Continue,
            Verdict::Pause => Step::Hold,
        }
    }

    /// Whether holding these bytes too would pass the filter's cap. A chunk that it does not have to hold may be
    /// larger: only what piles up counts.
    fn over_cap(&self, index: usize, direction: Direction, more: usize) -> bool {
        let (Some(slot), Some(link)) = (self.slots.get(index), self.chain.links().get(index)) else { return false };
        let held = slot.held(direction);
        held.stopped.is_some() && held.body.len() + more > link.filter.blueprint.identity.caps.body_buffer
    }

    fn body_too_large(&mut self, index: usize, phase: Phase) -> Option<Fault> {
        self.chain.links().get(index)?.filter.blueprint.body_too_large();
        self.fail(index, Token::BodyTooLarge, phase)
    }

    fn declared_over_cap(&self, index: usize, direction: Direction) -> bool {
        let cap = self.chain.links().get(index).map_or(usize::MAX, |l| l.filter.blueprint.identity.caps.body_buffer);
        usize::try_from(self.half(direction).declared).unwrap_or(usize::MAX) > cap
    }

    /// Whether the filter is out of the exchange; one that failed closed would have ended it.
    fn failed_open(&self, index: usize) -> bool {
        self.slots.get(index).is_some_and(|slot| slot.skipped)
    }

    fn wants_body(&self, index: usize, direction: Direction) -> bool {
        let (Some(slot), Some(link)) = (self.slots.get(index), self.chain.links().get(index)) else { return false };
        let exports = link.filter.exports;
        let exported = match (self.tcp, direction) {
            (false, Direction::Request) => exports.request_body,
            (false, Direction::Response) => exports.response_body,
            (true, Direction::Request) => exports.downstream_data,
            (true, Direction::Response) => exports.upstream_data,
        };
        exported && !slot.skipped
    }
}
