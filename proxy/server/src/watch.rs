//! Watches files: says which of them have other contents than before, however that came about.
//!
//! It knows paths and bytes, and nothing of what they mean. Events of the system only say when to look; what counts is
//! the digest of what is read then. So editors' temporary files, touched files and events that come twice change
//! nothing, and a time stamp that was set back hides nothing. The best way to change a file under it is to write a new
//! one beside it and rename that into place.

mod arm;
mod blind;
mod file;
mod inbox;
#[cfg(test)]
mod tests;
mod way;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use sluice_host::Digest;

pub(crate) use self::inbox::Waker;
use self::{
    arm::{Armed, Arms},
    file::Watched,
    inbox::{Inbox, Woken},
};

/// How often everything is looked at although no event came: a mount over a directory and a write through a hard link
/// elsewhere cause none.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// After an event in its directory a file is read again, although nothing of its stamp changed, once in this time.
const DOUBT: Duration = Duration::from_secs(5);
/// The same where there are no events.
const DOUBT_WHEN_POLLING: Duration = Duration::from_secs(60);
/// Looks are this many times as long apart as they take, so that no more than a fifth of a core goes into reading.
const REST: u32 = 4;
/// Looks that find nothing new are this much closer than `debounce`.
const QUICK: u32 = 10;
/// How many times `debounce` lie between looks at files that are long past the patience, or cannot be read now.
const SELDOM: u32 = 10;

/// How to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// For how long a file must stay as it is before it counts, 10 ms to 1 min; changes of several files within it are
    /// one change.
    pub(crate) debounce: Duration,
    /// How often to look where the system tells nothing, 10 ms to 1 day.
    pub(crate) poll: Duration,
    /// How long other files that changed wait for one that does not come to rest.
    pub(crate) patience: Duration,
    /// Never ask the system for events.
    pub(crate) force_poll: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            debounce: Duration::from_millis(100),
            poll: Duration::from_secs(2),
            patience: Duration::from_secs(30),
            force_poll: false,
        }
    }
}

/// What the caller has of a file; what differs from it is a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Baseline {
    /// It read this.
    Read(Digest),
    /// It wanted to read the file and could not.
    Missing,
    /// It did not try: what was told of the file last, and for a new one, what is there now.
    Known,
}

/// Why [`Watch::changed`] returned.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change<R> {
    /// These files, in order of their paths; each once.
    Files(Vec<Changed>),
    /// A [`Waker`] was used.
    Asked(R),
}

/// A file with other contents than before. `None` is a file that is not there, is not a regular one or may not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changed {
    /// The path as it was given.
    pub(crate) path: PathBuf,
    /// What the caller had, or was told last.
    pub(crate) before: Option<Digest>,
    /// What is there now. Only the first 256 MiB count.
    pub(crate) after: Option<Digest>,
}

/// Watches a set of files. `R` is what those who wake it have to say.
pub(crate) struct Watch<R> {
    options: Options,
    inbox: Arc<Inbox<R>>,
    arms: Arms<R>,
    files: BTreeMap<PathBuf, Watched>,
    /// `None` asks for one at once.
    last: Option<Look>,
}

/// A look at all files.
struct Look {
    ended: Instant,
    took: Duration,
    /// Nothing tells of changes of at least one of the files.
    blind: bool,
    /// Directories changed faster than they could be watched.
    unsteady: bool,
}

impl<R: Send + 'static> Watch<R> {
    /// Watches nothing yet. Where the system has no events to give, it says so in the log once and polls. Times out of
    /// range are taken for the nearest that is in it.
    pub(crate) fn new(options: Options) -> Self {
        let options = Options {
            debounce: options.debounce.clamp(Duration::from_millis(10), Duration::from_mins(1)),
            poll: options.poll.clamp(Duration::from_millis(10), Duration::from_hours(24)),
            ..options
        };
        let inbox = Arc::new(Inbox::default());
        let arms = Arms::new(inbox.clone(), options.force_poll);
        Self { options, inbox, arms, files: BTreeMap::new(), last: None }
    }

    /// A handle for other threads.
    pub(crate) fn waker(&self) -> Waker<R> {
        Waker(self.inbox.clone())
    }

    /// Watches these files and no others from now on. A relative path begins at the working directory. What changed since the caller read them is found.
    pub(crate) fn set(&mut self, files: impl IntoIterator<Item = (PathBuf, Baseline)>) {
        let mut before = std::mem::take(&mut self.files);
        let now = Instant::now();
        for (path, baseline) in files {
            // A path that is given twice is one file all the same.
            let file = before.remove(&path).or_else(|| self.files.remove(&path)).unwrap_or_default();
            let file = file.based_on(baseline, &path, now);
            self.files.insert(path, file);
        }
        self.last = None;
    }

    /// Waits until files have changed and are at rest, or until somebody wakes it. What it tells it tells once: a
    /// caller that cannot use the new contents need not do anything.
    pub(crate) fn changed(&mut self) -> Change<R> {
        loop {
            let (due, earliest) = self.next();
            match self.inbox.wait(due, earliest) {
                Woken::Asked(reason) => return Change::Asked(reason),
                Woken::Look { stirred } => self.look(&stirred),
            }
            let changed = self.at_rest();
            if !changed.is_empty() {
                return Change::Files(changed);
            }
        }
    }

    /// When to look next when nothing happens, and when at the earliest when something does.
    fn next(&self) -> (Instant, Instant) {
        let now = Instant::now();
        let Some(last) = &self.last else { return (now, now) };
        // Only what is pending has to be found the same twice, `debounce` apart: what begins with a temporary file is seen
        // at once when that is renamed.
        let pending = self.files.values().any(Watched::is_pending);
        let apart = if pending { self.options.debounce } else { self.options.debounce / QUICK };
        let soon = last.ended + apart.max(last.took * REST);
        let seldom = soon.max(last.ended + self.options.debounce * SELDOM);
        let tick = last.ended + if last.blind { self.options.poll } else { HEARTBEAT };
        let patience = self.options.patience;
        let due = self.files.values().filter_map(|file| {
            if file.in_trouble() || file.is_hopeless(last.ended, patience) {
                Some(seldom)
            } else if file.is_pending() {
                Some(soon)
            } else {
                file.doubted_at(doubt(last.blind)).map(|at| at.max(soon))
            }
        });
        let due = due.chain(last.unsteady.then_some(soon)).chain([tick]).min().unwrap_or(tick);
        (due, soon)
    }

    /// Looks at all files. Watching comes first: what happens from then on causes an event, and the next look.
    fn look(&mut self, stirred: &BTreeSet<PathBuf>) {
        let began = Instant::now();
        let paths: Vec<_> = self.files.keys().map(PathBuf::as_path).collect();
        let Armed { ways, blind, unsteady } = self.arms.arm(&paths);
        for ((path, file), way) in self.files.iter_mut().zip(&ways) {
            if blind || way.needed().any(|dir| stirred.contains(dir)) {
                file.stir();
            }
            file.look(path, Instant::now(), doubt(blind));
        }
        let ended = Instant::now();
        self.last = Some(Look { ended, took: ended.duration_since(began), blind, unsteady });
    }

    /// The files that changed, once all that change are at rest or past the patience.
    fn at_rest(&mut self) -> Vec<Changed> {
        let Options { debounce, patience, .. } = self.options;
        let now = Instant::now();
        let mut waits = false;
        for (path, file) in &mut self.files {
            if file.is_pending() && !file.is_at_rest(debounce) {
                if file.is_hopeless(now, patience) {
                    file.complain(path, patience);
                } else {
                    waits = true;
                }
            }
        }
        if waits {
            return Vec::new();
        }
        self.files.iter_mut().filter_map(|(path, file)| file.take_change(path, debounce)).collect()
    }
}

/// For how long a stamp is believed after something happened around the file.
fn doubt(blind: bool) -> Duration {
    if blind { DOUBT_WHEN_POLLING } else { DOUBT }
}
