//! The outside of a fuzzed host: the bytes decide, virtual time passes when they say so, and a ledger is kept of what
//! has to come to an end.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use sluice_host::{
    Callout, CalloutResponse, CapReport, CrashKind, CrashReport, Done, GrpcCall, GrpcEvent, GrpcEvents, GrpcSink, Job,
    LogLevel, LogLine, Outside, SlowReport,
};

/// Most jobs that one passing of time does: a filter may ask for a job in every job.
const MAX_JOBS: usize = 32;

/// Longer than a root may take from its `proxy_on_done` to `proxy_done`.
const ENDING: Duration = Duration::from_secs(6);

/// A call that a filter made and that is not over.
enum Pending {
    Http(Done),
    Grpc(GrpcEvents),
}

#[derive(Default)]
struct Tape {
    data: Vec<u8>,
    at: usize,
    now: Duration,
    jobs: Vec<(Duration, Job)>,
    pending: Vec<Pending>,
    /// Halves of gRPC calls that were not dropped.
    sinks: Arc<AtomicUsize>,
    /// Streams created and deleted, as their guests say, and guests that died.
    created: usize,
    deleted: usize,
    crashes: usize,
    /// What must not have happened.
    wrong: Vec<String>,
}

thread_local! {
    static TAPE: RefCell<Tape> = RefCell::default();
}

/// Begins with these bytes.
pub(crate) fn begin(data: &[u8]) {
    // What is left of the last time is dropped outside of the tape: it may write into it.
    drop(TAPE.take());
    TAPE.with_borrow_mut(|tape| tape.data = data.to_vec());
}

/// The next byte; zeros behind the end.
pub(crate) fn byte() -> u8 {
    TAPE.with_borrow_mut(|tape| {
        tape.at += 1;
        tape.data.get(tape.at - 1).copied().unwrap_or_default()
    })
}

/// Whether bytes are left.
pub(crate) fn more() -> bool {
    TAPE.with_borrow(|tape| tape.at < tape.data.len())
}

/// Lets time pass and does what comes due, within reason.
pub(crate) fn pass(time: Duration) {
    pass_with(time, MAX_JOBS);
}

/// How many of so many jobs were done.
fn pass_with(time: Duration, most: usize) -> usize {
    let end = TAPE.with_borrow(|tape| tape.now) + time;
    let mut jobs = 0;
    while jobs < most {
        let next = TAPE.with_borrow_mut(|tape| {
            let (at, (due, _)) = tape.jobs.iter().enumerate().min_by_key(|(i, (due, _))| (*due, *i))?;
            let due = *due;
            (due <= end).then(|| {
                tape.now = tape.now.max(due);
                tape.jobs.remove(at).1
            })
        });
        let Some(job) = next else { break };
        job();
        jobs += 1;
    }
    TAPE.with_borrow_mut(|tape| tape.now = end);
    jobs
}

/// Something comes on one of the calls under way; false when there is none, or nobody listens.
pub(crate) fn answer() -> bool {
    let (which, what) = (byte(), byte());
    let taken = TAPE.with_borrow_mut(|tape| {
        let count = tape.pending.len();
        (count > 0).then(|| tape.pending.swap_remove(usize::from(which) % count))
    });
    let map = || HeaderMap::from_iter([(HeaderName::from_static("x-a"), HeaderValue::from_static("1"))]);
    match taken {
        None => false,
        Some(Pending::Http(done)) => {
            done(match what % 4 {
                0 => Err("connection refused".into()),
                1 => Ok(CalloutResponse { status: 200, ..CalloutResponse::default() }),
                _ => Ok(CalloutResponse { status: 404, headers: map(), body: "no".into(), trailers: map() }),
            });
            true
        }
        Some(Pending::Grpc(mut events)) => {
            let event = match what % 5 {
                0 => GrpcEvent::Metadata(map()),
                1 => GrpcEvent::Trailers(map()),
                2 => GrpcEvent::Closed { status: u32::from(what / 5), message: "over".into() },
                n => GrpcEvent::Message(Bytes::from(vec![n; usize::from(what)])),
            };
            let over = matches!(event, GrpcEvent::Closed { .. });
            let listens = events(event);
            if listens && !over {
                TAPE.with_borrow_mut(|tape| tape.pending.push(Pending::Grpc(events)));
            }
            listens
        }
    }
}

/// No stream is left anywhere: whatever was created in a guest that lives was deleted.
pub(crate) fn no_stream_is_left() {
    TAPE.with_borrow(|tape| {
        assert!(tape.wrong.is_empty(), "{:?}", tape.wrong);
        assert!(tape.deleted <= tape.created, "{} created, {} deleted", tape.created, tape.deleted);
        assert!(tape.crashes > 0 || tape.created == tape.deleted, "{} created, {} deleted", tape.created, tape.deleted);
    });
}

/// No filter is left: when the time is over that roots may take for their end, nothing reaches a guest any more, and no
/// call is kept open.
pub(crate) fn no_guest_is_left() {
    // Behind the last byte guests ask for nothing, so only ticks go on, a thousand a second at most.
    assert!(pass_with(ENDING, 50_000) < 50_000, "guests that do not end");
    let sinks = TAPE.with_borrow(|tape| tape.sinks.load(Ordering::Relaxed));
    assert_eq!(sinks, 0, "gRPC calls that nobody cancelled");
    loop {
        let Some(pending) = TAPE.with_borrow_mut(|tape| tape.pending.pop()) else { break };
        match pending {
            Pending::Http(done) => done(Err("late".into())),
            Pending::Grpc(mut events) => assert!(!events(GrpcEvent::Message("late".into())), "somebody listens"),
        }
    }
    no_stream_is_left();
}

/// What the host asks.
pub(crate) struct World;

impl Outside for World {
    fn wall_clock(&self) -> Duration {
        Duration::from_secs(1) + TAPE.with_borrow(|tape| tape.now)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(1) + TAPE.with_borrow(|tape| tape.now)
    }

    fn random(&self, buffer: &mut [u8]) {
        buffer.iter_mut().for_each(|b| *b = byte());
    }

    fn log_level(&self, _: &str) -> LogLevel {
        LogLevel::Trace
    }

    // A panic here would be the guest's end and no more: what is wrong is said afterwards.
    fn log(&self, line: &LogLine<'_>) {
        TAPE.with_borrow_mut(|tape| match line.message {
            "+" => tape.created += 1,
            "-" => tape.deleted += 1,
            text if text.starts_with('!') || text.starts_with("cannot be read") => {
                tape.wrong.push(format!("context {}: {text}", line.context));
            }
            _ => {}
        });
    }

    fn slow(&self, _: &SlowReport<'_>) {}
    fn capped(&self, _: &CapReport<'_>) {}

    fn crashed(&self, report: &CrashReport<'_>) {
        TAPE.with_borrow_mut(|tape| {
            tape.crashes += 1;
            if !matches!(report.crash.kind, CrashKind::Trap) {
                tape.wrong.push(format!("{:?} in {}: {}", report.crash.kind, report.phase.name(), report.crash));
            }
        });
    }

    fn later(&self, delay: Duration, job: Job) {
        TAPE.with_borrow_mut(|tape| tape.jobs.push((tape.now + delay, job)));
    }

    fn reaches(&self, upstream: &str) -> bool {
        upstream == "u"
    }

    fn send(&self, _: Callout, done: Done) {
        TAPE.with_borrow_mut(|tape| tape.pending.push(Pending::Http(done)));
    }

    fn open(&self, _: GrpcCall, events: GrpcEvents) -> Box<dyn GrpcSink> {
        TAPE.with_borrow_mut(|tape| {
            tape.pending.push(Pending::Grpc(events));
            tape.sinks.fetch_add(1, Ordering::Relaxed);
            Box::new(Sink(tape.sinks.clone()))
        })
    }
}

/// Counts itself.
struct Sink(Arc<AtomicUsize>);

impl GrpcSink for Sink {
    fn send(&mut self, _: Bytes, _: bool) {}

    fn queued(&self) -> usize {
        0
    }

    fn close(self: Box<Self>) {}
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
