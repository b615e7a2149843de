//! Where the watching thread sleeps, and where events of the system and wishes of other threads wait for it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use notify::{
    Event, EventKind,
    event::{AccessKind, AccessMode, ModifyKind},
};
use parking_lot::{Condvar, Mutex};

use super::way::DirId;

/// What happened and was not looked at yet. Any number of events takes no more room than there are directories.
pub(super) struct Inbox<R> {
    state: Mutex<State<R>>,
    bell: Condvar,
}

struct State<R> {
    asked: VecDeque<R>,
    /// Directories in which something happened.
    stirred: BTreeSet<PathBuf>,
    /// Of which the system tells, as far as is known.
    armed: Wanted,
}

/// What events are wanted of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) dirs: BTreeMap<PathBuf, DirId>,
    /// What counts in them. Others come and go, which may be a new way; what is written into others is nothing: a log
    /// beside the configuration changes with every request.
    pub(super) entries: BTreeSet<PathBuf>,
}

/// Why a wait is over.
pub(super) enum Woken<R> {
    Asked(R),
    /// It is time to look; something happened in these directories.
    Look {
        stirred: BTreeSet<PathBuf>,
    },
}

impl<R> Default for Inbox<R> {
    fn default() -> Self {
        let state = State { asked: VecDeque::new(), stirred: BTreeSet::new(), armed: Wanted::default() };
        Self { state: Mutex::new(state), bell: Condvar::new() }
    }
}

impl<R> Inbox<R> {
    /// Sleeps until somebody asks, or until a look is due: at `due`, and from `earliest` on as soon as anything happened.
    pub(super) fn wait(&self, due: Instant, earliest: Instant) -> Woken<R> {
        let mut state = self.state.lock();
        loop {
            if let Some(reason) = state.asked.pop_front() {
                return Woken::Asked(reason);
            }
            let until = if state.stirred.is_empty() { due } else { due.min(earliest) };
            if Instant::now() >= until {
                return Woken::Look { stirred: std::mem::take(&mut state.stirred) };
            }
            self.bell.wait_until(&mut state, until);
        }
    }

    /// What the system says, on the thread of `notify`.
    pub(super) fn hear(&self, event: notify::Result<Event>) {
        let mut state = self.state.lock();
        let quiet = state.stirred.is_empty();
        match event {
            Ok(event) if !event.need_rescan() => state.note(&event),
            // Events were lost: anything may have happened.
            _ => state.forget_all(),
        }
        // A sleeper that was rung once needs no second bell.
        if quiet && !state.stirred.is_empty() {
            self.bell.notify_one();
        }
    }

    /// Whether exactly these are watched, and none was taken away or replaced since.
    pub(super) fn is_armed(&self, wanted: &Wanted) -> bool {
        self.state.lock().armed == *wanted
    }

    /// To be said before the system is asked, so that a loss that it tells meanwhile is not forgotten.
    pub(super) fn arm(&self, wanted: Wanted) {
        self.state.lock().armed = wanted;
    }

    /// Nothing counts as watched.
    pub(super) fn disarm(&self) {
        self.state.lock().armed = Wanted::default();
    }
}

impl Wanted {
    /// Whether what is written there may matter.
    fn counts(&self, path: &Path) -> bool {
        self.entries.contains(path) || self.dirs.contains_key(path) || self.dirs.is_empty()
    }
}

impl<R> State<R> {
    fn note(&mut self, event: &Event) {
        // Whoever reads a file changes nothing; we are among them.
        if matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)) {
            return;
        }
        let written = matches!(
            event.kind,
            EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)) | EventKind::Access(_)
        );
        if written && !event.paths.iter().any(|path| self.armed.counts(path)) {
            return;
        }
        let moved = matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)));
        self.stirred.extend(event.paths.iter().filter_map(|path| path.parent()).map(PathBuf::from));
        let dirs: Vec<_> = event.paths.iter().filter(|path| self.armed.dirs.contains_key(*path)).cloned().collect();
        if moved && !dirs.is_empty() {
            // `notify` lets go of everything below, and an inode that is used again looks like the old directory.
            self.forget_all();
        }
        self.stirred.extend(dirs);
    }

    fn forget_all(&mut self) {
        let armed = std::mem::take(&mut self.armed);
        self.stirred.extend(armed.dirs.into_keys());
        // Even without any directory left a look has to follow.
        self.stirred.insert(PathBuf::new());
    }
}

/// Wakes [`super::Watch::changed`] from any thread; also when it does not wait at the moment.
pub(crate) struct Waker<R>(pub(super) Arc<Inbox<R>>);

impl<R> Clone for Waker<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<R> Waker<R> {
    /// Makes it return with this reason. Reasons are handed over one by one, in order, before any change of files.
    pub(crate) fn wake(&self, reason: R) {
        self.0.state.lock().asked.push_back(reason);
        self.0.bell.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, Flag, MetadataKind, RemoveKind};

    use super::*;

    const CLOSED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));

    fn inbox() -> Inbox<&'static str> {
        let inbox = Inbox::default();
        let dirs = ["/a", "/a/b"].map(|dir| (PathBuf::from(dir), (1, 2))).into();
        inbox.arm(Wanted { dirs, entries: [PathBuf::from("/a/b/file")].into() });
        inbox
    }

    fn heard(inbox: &Inbox<&'static str>, kind: EventKind, path: &str) -> Vec<String> {
        inbox.hear(Ok(Event::new(kind).add_path(path.into())));
        inbox.state.lock().stirred.iter().map(|dir| dir.display().to_string()).collect()
    }

    #[test]
    fn reading_stirs_nothing() {
        let inbox = inbox();
        assert!(heard(&inbox, EventKind::Access(AccessKind::Open(AccessMode::Any)), "/a/b/file").is_empty());
        assert!(heard(&inbox, EventKind::Access(AccessKind::Close(AccessMode::Read)), "/a/b/file").is_empty());
        assert_eq!(heard(&inbox, CLOSED, "/a/b/file"), ["/a/b"]);
    }

    #[test]
    fn what_is_written_into_other_files_stirs_nothing() {
        let written = [EventKind::Modify(ModifyKind::Data(DataChange::Any)), CLOSED];
        for kind in written {
            let inbox = inbox();
            assert!(heard(&inbox, kind, "/a/b/access.log").is_empty());
            assert_eq!(heard(&inbox, kind, "/a/b/file"), ["/a/b"]);
        }
        let inbox = inbox();
        // A directory on the way may be closed to us.
        let closed = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
        assert_eq!(heard(&inbox, closed, "/a/b"), ["/a", "/a/b"]);
        inbox.disarm();
        assert!(!heard(&inbox, CLOSED, "/a/b/other").is_empty(), "while nothing is known, all counts");
    }

    #[test]
    fn any_number_of_events_is_one_look_of_their_directory() {
        let inbox = inbox();
        for n in 0..1_000 {
            let stirred = heard(&inbox, EventKind::Create(CreateKind::File), &format!("/a/b/{n}"));
            assert_eq!(stirred, ["/a/b"]);
        }
        let now = Instant::now();
        assert!(matches!(inbox.wait(now, now), Woken::Look { stirred } if stirred == ["/a/b".into()].into()));
        assert!(matches!(inbox.wait(now, now), Woken::Look { stirred } if stirred.is_empty()));
        assert!(!inbox.state.lock().armed.dirs.is_empty());
    }

    #[test]
    fn a_lost_directory_disarms_and_a_lost_file_does_not() {
        let removed = EventKind::Remove(RemoveKind::Any);
        let inbox = inbox();
        assert_eq!(heard(&inbox, removed, "/a/b/file"), ["/a/b"]);
        assert!(!inbox.state.lock().armed.dirs.is_empty());
        assert_eq!(heard(&inbox, removed, "/a/b"), ["", "/a", "/a/b"]);
        assert!(inbox.state.lock().armed.dirs.is_empty());
    }

    #[test]
    fn lost_events_stir_everything() {
        for lost in [Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan)), Err(notify::Error::generic("lost"))] {
            let inbox = inbox();
            inbox.hear(lost);
            assert!(inbox.state.lock().armed.dirs.is_empty());
            assert_eq!(inbox.state.lock().stirred.len(), 3);
        }
    }

    #[test]
    fn reasons_come_first_and_in_order() {
        let inbox = Arc::new(inbox());
        let waker = Waker(inbox.clone());
        waker.wake("one");
        waker.clone().wake("two");
        let now = Instant::now();
        for word in ["one", "two"] {
            assert!(matches!(inbox.wait(now, now), Woken::Asked(reason) if reason == word));
        }
        assert!(matches!(inbox.wait(now, now), Woken::Look { .. }));
    }
}
