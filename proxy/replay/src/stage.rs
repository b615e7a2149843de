//! What stands behind the walls in a replay: virtual time, seeded randomness, answers to calls, and a tape of all that
//! is said and sent.

use std::{cell::RefCell, fmt, time::Duration};

use sluice_host::{
    Callout, CapReport, CrashReport, Done, GrpcCall, GrpcEvents, GrpcSink, Job, LogLevel, LogLine, Outside, SlowReport,
};

use crate::{Scripted, Sent, line};

/// 2026-01-01T00:00:00Z: the moment at which every case begins.
const BEGINNING: Duration = Duration::from_secs(1_767_225_600);

/// What is to be done at once is done after this: a filter whose jobs ask for jobs would stop time otherwise.
const AT_ONCE: Duration = Duration::from_micros(1);

/// One log line of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its severity.
    pub level: LogLevel,
    /// The filter's name.
    pub filter: String,
    /// The context that spoke.
    pub context: u32,
    /// The text.
    pub message: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", format!("{:?}", self.level).to_lowercase(), self.filter, self.message)
    }
}

#[derive(Default)]
struct Tape {
    now: Duration,
    seed: u64,
    lines: Vec<Line>,
    crashes: Vec<String>,
    /// What is to be done, and when.
    jobs: Vec<(Duration, Job)>,
    /// Answers to calls, and whether one was taken.
    answers: Vec<(Scripted, bool)>,
    /// Upstreams that exist; without it every one does.
    upstreams: Option<Vec<String>>,
    /// Calls that were sent.
    sent: Vec<Sent>,
}

thread_local! {
    // A case is played on one thread from loading to letting go, so one stage serves any number of threads at once.
    static TAPE: RefCell<Tape> = RefCell::default();
}

/// The [`Outside`] of a replay; what it keeps belongs to the thread that plays.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stage;

impl Stage {
    /// Begins a case: time and randomness start anew, the tape is empty.
    pub fn begin(self) {
        TAPE.take();
    }

    /// Writes down what comes of calls, and to whom they can be made: to whom an answer is for and to these others; to
    /// everyone when neither names anybody.
    pub fn expect_calls(self, answers: &[Scripted], others: Option<&[String]>) {
        let named = answers.iter().map(|a| a.upstream.clone());
        let upstreams: Vec<String> = named.chain(others.into_iter().flatten().cloned()).collect();
        TAPE.with_borrow_mut(|tape| {
            tape.upstreams = (others.is_some() || !upstreams.is_empty()).then_some(upstreams);
            tape.answers = answers.iter().map(|answer| (answer.clone(), false)).collect();
        });
    }

    /// Lets time pass, and does what comes due on the way, in its order.
    pub fn pass(self, time: Duration) {
        let end = TAPE.with_borrow(|tape| tape.now) + time;
        while let Some(job) = self.next_job(end) {
            job();
        }
        TAPE.with_borrow_mut(|tape| tape.now = end);
    }

    /// Lets time pass until the next thing comes due, if one does within this time; says how much passed.
    pub fn pass_to_next(self, most: Duration) -> Option<Duration> {
        let (now, due) = TAPE.with_borrow(|tape| (tape.now, tape.jobs.iter().map(|(due, _)| *due).min()));
        let wait = due?.saturating_sub(now);
        (wait <= most).then(|| {
            self.pass(wait);
            wait
        })
    }

    /// How many calls were sent.
    pub fn calls(self) -> usize {
        TAPE.with_borrow(|tape| tape.sent.len())
    }

    /// Every call that was sent since the beginning, as it stands now.
    pub fn sent(self) -> Vec<Sent> {
        TAPE.with_borrow(|tape| tape.sent.clone())
    }

    /// Changes what is written of a call. A guest may be let go of when its thread ends: the tape is gone by then.
    pub(crate) fn write(number: usize, f: impl FnOnce(&mut Sent)) {
        let _ = TAPE.try_with(|tape| tape.borrow_mut().sent.get_mut(number).map(f));
    }

    /// Notes a call; gives its number and what comes of it.
    fn note(self, sent: Sent, path: &[u8]) -> (usize, Option<Scripted>) {
        TAPE.with_borrow_mut(|tape| {
            let upstream = sent.upstream.clone();
            tape.sent.push(sent);
            let mut fit: Vec<_> = tape.answers.iter_mut().filter(|(a, _)| a.fits(&upstream, path)).collect();
            let at = fit.iter().position(|(_, taken)| !taken).or(fit.len().checked_sub(1));
            let answer = at.map(|at| {
                fit[at].1 = true;
                fit[at].0.clone()
            });
            (tape.sent.len() - 1, answer)
        })
    }

    /// The next job that is due by then; its time becomes now.
    fn next_job(self, end: Duration) -> Option<Job> {
        TAPE.with_borrow_mut(|tape| {
            let (at, (due, _)) = tape.jobs.iter().enumerate().min_by_key(|(i, (due, _))| (*due, *i))?;
            let due = *due;
            (due <= end).then(|| {
                tape.now = tape.now.max(due);
                tape.jobs.remove(at).1
            })
        })
    }

    /// Log lines since the last call.
    pub fn lines(self) -> Vec<Line> {
        TAPE.with_borrow_mut(|tape| std::mem::take(&mut tape.lines))
    }

    /// Deaths of guests since the last call.
    pub fn crashes(self) -> Vec<String> {
        TAPE.with_borrow_mut(|tape| std::mem::take(&mut tape.crashes))
    }
}

impl Outside for Stage {
    fn wall_clock(&self) -> Duration {
        BEGINNING + TAPE.with_borrow(|tape| tape.now)
    }

    // Never zero: Go's runtime takes that for a broken clock and does not start.
    fn monotonic(&self) -> Duration {
        Duration::from_secs(3600) + TAPE.with_borrow(|tape| tape.now)
    }

    // SplitMix64: fit for tests, and for nothing else.
    fn random(&self, buffer: &mut [u8]) {
        TAPE.with_borrow_mut(|tape| {
            for part in buffer.chunks_mut(8) {
                tape.seed = tape.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = tape.seed;
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                part.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..part.len()]);
            }
        });
    }

    fn log_level(&self, _filter: &str) -> LogLevel {
        LogLevel::Trace
    }

    fn log(&self, line: &LogLine<'_>) {
        let line =
            Line { level: line.level, filter: line.filter.into(), context: line.context, message: line.message.into() };
        TAPE.with_borrow_mut(|tape| tape.lines.push(line));
    }

    fn crashed(&self, report: &CrashReport<'_>) {
        let text = format!("{} in {}: {:?}: {}", report.filter, report.phase.name(), report.crash.kind, report.crash);
        TAPE.with_borrow_mut(|tape| tape.crashes.push(text));
    }

    fn slow(&self, report: &SlowReport<'_>) {
        // What it used is not the same in every run; the budget is.
        let message =
            format!("slow in {}: above the warning of its budget of {:?}", report.phase.name(), report.budget);
        TAPE.with_borrow_mut(|tape| {
            tape.lines.push(Line { level: LogLevel::Warn, filter: report.filter.into(), context: 0, message });
        });
    }

    // Among the lines of the filter, where it stands in the server's log too.
    fn capped(&self, report: &CapReport<'_>) {
        let message = report.to_string();
        TAPE.with_borrow_mut(|tape| {
            tape.lines.push(Line { level: LogLevel::Warn, filter: report.filter.into(), context: 0, message });
        });
    }

    fn later(&self, delay: Duration, job: Job) {
        TAPE.with_borrow_mut(|tape| {
            tape.jobs.push((tape.now + delay.max(AT_ONCE), job));
        });
    }

    fn reaches(&self, upstream: &str) -> bool {
        TAPE.with_borrow(|tape| tape.upstreams.as_ref().is_none_or(|names| names.iter().any(|name| name == upstream)))
    }

    // Whom no answer is for fails as soon as time passes; who is too late, or never comes, at the call's timeout.
    fn send(&self, callout: Callout, done: Done) {
        let (_, answer) = self.note(Sent::http(&callout), &callout.path);
        let Some(answer) = answer else {
            let failure = format!("nobody answers {} in a replay", callout.upstream);
            return self.later(Duration::ZERO, Box::new(move || done(Err(failure))));
        };
        let after = Duration::from_millis(answer.after_ms);
        match answer.outcome() {
            Ok(Some(outcome)) if after <= callout.timeout => self.later(after, Box::new(move || done(outcome))),
            _ => self.later(callout.timeout, Box::new(move || done(Err("timeout".into())))),
        }
    }

    fn open(&self, call: GrpcCall, events: GrpcEvents) -> Box<dyn GrpcSink> {
        let (number, answer) = self.note(Sent::grpc(&call), call.path.as_bytes());
        line::open(self, number, &call, answer, events)
    }
}
