//! A gRPC call under way: plays what a case has as its events, and writes down what the filter sends.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use sluice_host::{GrpcCall, GrpcEvent, GrpcEvents, GrpcSink, Outside};

use crate::{Scripted, Stage};

/// What a call that nobody answers ends in (`UNIMPLEMENTED`), and one that takes too long (`DEADLINE_EXCEEDED`).
const UNIMPLEMENTED: u32 = 12;
const DEADLINE_EXCEEDED: u32 = 4;

/// Begins a call: what comes on it is put behind what is to come.
pub(crate) fn open(
    stage: &Stage,
    number: usize,
    call: &GrpcCall,
    answer: Option<Scripted>,
    events: GrpcEvents,
) -> Box<dyn GrpcSink> {
    let over = Arc::new(AtomicBool::new(false));
    let events = Arc::new(Mutex::new(events));
    for (after, event) in coming(call, answer) {
        let (over, events) = (over.clone(), events.clone());
        let tell = move || {
            let last = matches!(event, GrpcEvent::Closed { .. });
            if !over.fetch_or(last, Ordering::Relaxed) {
                let listens = (events.lock().unwrap_or_else(PoisonError::into_inner))(event);
                over.fetch_or(!listens, Ordering::Relaxed);
            }
        };
        stage.later(after, Box::new(tell));
    }
    Box::new(Line { number, over })
}

/// What comes, each with the time since the call.
fn coming(call: &GrpcCall, answer: Option<Scripted>) -> Vec<(Duration, GrpcEvent)> {
    let Some(answer) = answer else {
        let message = format!("nobody answers {} in a replay", call.upstream);
        return vec![(Duration::ZERO, GrpcEvent::Closed { status: UNIMPLEMENTED, message })];
    };
    // A case is refused before it is played when its events cannot be sent.
    let mut coming = answer.timed_events().unwrap_or_default();
    if let Some(timeout) = call.timeout {
        coming.retain(|(after, _)| *after <= timeout);
        if !coming.iter().any(|(_, event)| matches!(event, GrpcEvent::Closed { .. })) {
            coming.push((timeout, GrpcEvent::Closed { status: DEADLINE_EXCEEDED, message: "timeout".into() }));
        }
    }
    coming
}

/// The sending half of a gRPC call: writes down what is sent.
struct Line {
    number: usize,
    /// Nothing comes any more.
    over: Arc<AtomicBool>,
}

impl GrpcSink for Line {
    fn send(&mut self, message: Bytes, end: bool) {
        Stage::write(self.number, |sent| {
            sent.messages.push(message.to_vec());
            sent.ended |= end;
        });
    }

    fn queued(&self) -> usize {
        0
    }

    fn close(self: Box<Self>) {
        Stage::write(self.number, |sent| sent.closed = true);
        self.over.store(true, Ordering::Relaxed);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.over.swap(true, Ordering::Relaxed) {
            Stage::write(self.number, |sent| sent.cancelled = true);
        }
    }
}
