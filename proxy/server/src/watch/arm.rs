//! Keeps the system telling of the right directories, and notices where it cannot.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::{
    HEARTBEAT,
    blind::blind,
    inbox::{Inbox, Wanted},
    way::Way,
};

/// How often to follow the ways again when they changed while they were being watched.
const ROUNDS: usize = 8;

/// The watches of the system.
pub(super) struct Arms<R> {
    inbox: Arc<Inbox<R>>,
    /// `None` when the system has none to give.
    watcher: Option<RecommendedWatcher>,
    /// What the watcher was asked to watch.
    asked: BTreeSet<PathBuf>,
    /// What it cannot watch, and why.
    refused: BTreeMap<PathBuf, String>,
    renewed: Instant,
    /// What was logged: each reason for polling only once.
    said: BTreeSet<String>,
}

/// What the system tells of now.
pub(super) struct Armed {
    /// One for each file.
    pub(super) ways: Vec<Way>,
    /// At least one file can change without an event.
    pub(super) blind: bool,
    /// The ways changed all the time; there may be directories that are not watched.
    pub(super) unsteady: bool,
}

impl<R: Send + 'static> Arms<R> {
    pub(super) fn new(inbox: Arc<Inbox<R>>, force_poll: bool) -> Self {
        let mut arms = Self {
            inbox: inbox.clone(),
            watcher: None,
            asked: BTreeSet::new(),
            refused: BTreeMap::new(),
            renewed: Instant::now(),
            said: BTreeSet::new(),
        };
        if !force_poll {
            match notify::recommended_watcher(move |event| inbox.hear(event)) {
                Ok(watcher) => arms.watcher = Some(watcher),
                Err(error) => tracing::warn!(
                    "the system gives no file events ({}); files are looked at from time to time instead. \
                     The limit is fs.inotify.max_user_instances, or the number of open files (ulimit -n)",
                    plain(&error)
                ),
            }
        }
        arms
    }

    /// Sees to it that what leads to these files is watched. A look at the files must follow: what happens before it
    /// may be without an event.
    pub(super) fn arm(&mut self, files: &[&Path]) -> Armed {
        let mut ways = follow(files);
        if self.watcher.is_none() {
            return Armed { ways, blind: true, unsteady: false };
        }
        if self.renewed.elapsed() >= HEARTBEAT {
            // Watches get lost without a word when something is mounted or unmounted.
            self.inbox.disarm();
        }
        let mut steady = false;
        for _ in 0..ROUNDS {
            let wanted = Wanted {
                dirs: ways.iter().flat_map(Way::watched).map(|dir| (dir.path.clone(), dir.id)).collect(),
                entries: ways.iter().flat_map(|way| way.entries.iter().cloned()).collect(),
            };
            steady = self.inbox.is_armed(&wanted);
            if steady {
                break;
            }
            self.renew(wanted);
            // What was put elsewhere just before it was watched shows now.
            ways = follow(files);
        }
        let blind = self.is_blind(&ways, files);
        Armed { ways, blind, unsteady: !steady }
    }

    /// Lets go of everything and asks again, in this order: one directory can have two paths.
    fn renew(&mut self, wanted: Wanted) {
        let Some(watcher) = &mut self.watcher else { return };
        for path in std::mem::take(&mut self.asked) {
            // It is no error that a directory which is gone is not watched any more.
            let _ = watcher.unwatch(&path);
        }
        self.refused.clear();
        self.renewed = Instant::now();
        let paths: Vec<_> = wanted.dirs.keys().cloned().collect();
        self.inbox.arm(wanted);
        let mut gone = false;
        for path in paths {
            match watcher.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.asked.insert(path);
                }
                Err(error) if is_gone(&error) => gone = true,
                Err(error) => {
                    self.refused.insert(path, plain(&error));
                }
            }
        }
        if gone {
            // The next round finds another way, or the same one once more.
            self.inbox.disarm();
        }
    }

    /// Whether any of the files can change without an event; says why, once.
    fn is_blind(&mut self, ways: &[Way], files: &[&Path]) -> bool {
        let needed: BTreeSet<&Path> = ways.iter().flat_map(Way::needed).map(PathBuf::as_path).collect();
        let mut is_blind = false;
        // A file can be a mount of its own.
        for path in needed.iter().copied().chain(files.iter().copied()) {
            if let Some(blind) = blind(path) {
                is_blind = true;
                if self.said.insert(blind.name.to_owned()) {
                    let what = "files are looked at from time to time";
                    let (at, name) = (path.display(), blind.name);
                    if blind.certain {
                        tracing::warn!(
                            "{at} is on {name}, where changes by others come without an event; {what}. \
                             SIGHUP takes over a change at once"
                        );
                    } else {
                        tracing::info!("{at} is on {name}, where some changes come without an event; {what} as well");
                    }
                }
            }
            if let Some(why) = self.refused.get(path) {
                is_blind = true;
                if self.said.insert(why.clone()) {
                    tracing::warn!(
                        "{} cannot be watched: {why}; files are looked at from time to time instead",
                        path.display()
                    );
                }
            }
        }
        is_blind
    }
}

fn follow(files: &[&Path]) -> Vec<Way> {
    files.iter().map(|file| Way::to(file)).collect()
}

/// It was there a moment ago.
fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        _ => false,
    }
}

/// The error without the paths, and with what to do.
fn plain(error: &notify::Error) -> String {
    match &error.kind {
        ErrorKind::MaxFilesWatch => {
            "too many watches on this machine; a higher fs.inotify.max_user_watches (sysctl) helps".to_owned()
        }
        ErrorKind::Io(error) => error.to_string(),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arms(force_poll: bool) -> Arms<()> {
        Arms::new(Arc::default(), force_poll)
    }

    #[test]
    fn files_without_events_are_polled() {
        assert!(arms(false).arm(&[Path::new("/proc/self/comm")]).blind);
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(arms(true).arm(&[file.path()]).blind);
        // Where the tests run, temporary files may be on a file system without events.
        assert_eq!(arms(false).arm(&[file.path()]).blind, blind(file.path()).is_some());
    }

    #[test]
    fn what_cannot_be_watched_is_polled_and_said_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().canonicalize().unwrap().join("file");
        let mut arms = arms(false);
        let ways = follow(&[&file]);
        for needed in ways[0].needed() {
            arms.refused.insert(needed.clone(), "no watches are left".to_owned());
        }
        assert!(arms.is_blind(&ways, &[&file]));
        assert!(arms.said.contains("no watches are left"));
    }

    #[test]
    fn watches_are_kept_while_the_ways_stay_and_let_go_with_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().canonicalize().unwrap().join("file");
        let mut arms = arms(false);
        assert!(!arms.arm(&[&file]).unsteady);
        assert!(arms.asked.contains(file.parent().unwrap()));
        let renewed = arms.renewed;
        assert!(!arms.arm(&[&file]).unsteady);
        assert_eq!(arms.renewed, renewed);
        arms.arm(&[]);
        assert!(arms.asked.is_empty());
    }
}
