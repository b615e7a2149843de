//! Real files in folders of their own, each case with events and with polling.
//!
//! Nothing waits for nothing to happen: that a deed is no change shows in the next change, which is of another file.

mod contents;
mod deeds;
mod places;
mod rules;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::*;

/// Shorter than the heartbeat, so that it cannot do the work of events.
const LONG: Duration = Duration::from_secs(25);
const DEBOUNCE: Duration = Duration::from_millis(100);

/// What the test tells the watching thread.
enum Wish {
    Set(Vec<(PathBuf, Baseline)>),
    Word(&'static str),
    Stop,
}

/// A watch on its own thread, and a folder for its files.
struct Bench {
    folder: tempfile::TempDir,
    waker: Waker<Wish>,
    changes: Receiver<Change<Wish>>,
    thread: Option<JoinHandle<()>>,
    sentinel: u32,
    is_polling: bool,
}

impl Bench {
    fn new(force_poll: bool) -> Self {
        let poll = if force_poll { Duration::from_millis(40) } else { 10 * LONG };
        Self::with(Options { debounce: DEBOUNCE, poll, force_poll, ..Options::default() })
    }

    fn with(options: Options) -> Self {
        let is_polling = options.force_poll;
        let mut watch = Watch::new(options);
        let waker = watch.waker();
        let (tell, changes) = channel();
        let thread = thread::spawn(move || {
            loop {
                match watch.changed() {
                    Change::Asked(Wish::Stop) => return,
                    Change::Asked(Wish::Set(files)) => {
                        watch.set(files);
                        tell.send(Change::Asked(Wish::Word("set"))).unwrap();
                    }
                    change => {
                        if tell.send(change).is_err() {
                            return;
                        }
                    }
                }
            }
        });
        let folder = tempfile::tempdir().unwrap();
        Self { folder, waker, changes, thread: Some(thread), sentinel: 0, is_polling }
    }

    /// A path in the folder.
    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.at(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Watches these, and waits until that is so.
    fn watch(&mut self, paths: &[&Path]) {
        let files = paths.iter().map(|path| (path.to_path_buf(), Baseline::Known)).collect();
        self.set(files);
        self.nothing_else();
    }

    fn set(&mut self, mut files: Vec<(PathBuf, Baseline)>) {
        fs::create_dir_all(self.at("sentinel")).unwrap();
        files.push((self.at("sentinel/file"), Baseline::Known));
        self.waker.wake(Wish::Set(files));
        // What is known is settled before anything is changed.
        self.heard("set");
    }

    /// This word came through, and nothing before it.
    fn heard(&self, word: &str) {
        match self.changes.recv_timeout(LONG).unwrap() {
            Change::Asked(Wish::Word(found)) => assert_eq!(found, word),
            Change::Asked(_) => panic!("not a word"),
            Change::Files(files) => panic!("{files:?}"),
        }
    }

    fn next(&self) -> Vec<Changed> {
        match self.changes.recv_timeout(LONG) {
            Ok(Change::Files(files)) => files,
            Ok(Change::Asked(_)) => panic!("woken by nobody"),
            Err(error) => panic!("no change is told: {error}"),
        }
    }

    /// Nothing was told and nothing is on its way: a change of another file comes alone.
    fn nothing_else(&mut self) {
        self.sentinel += 1;
        let text = format!("sentinel {}", self.sentinel);
        let path = self.put("sentinel/file", &text);
        let after = Some(Digest::of(text.as_bytes()));
        loop {
            let found = self.next();
            assert!(found.iter().all(|changed| changed.path == path), "{found:?}");
            // A slow machine can show the file between its truncation and its text.
            if found[0].after == after {
                return;
            }
        }
    }

    /// One change, of one file.
    fn told(&self, path: &Path, before: Option<&str>, after: Option<&str>) {
        let digest = |text: Option<&str>| text.map(|text| Digest::of(text.as_bytes()));
        let expected = Changed { path: path.to_owned(), before: digest(before), after: digest(after) };
        assert_eq!(self.next(), [expected]);
    }

    /// One change of these files, whatever they were before. When the deed was dragged out by a busy machine, so that
    /// there may rightly be several, only how it ends counts.
    fn told_of(&self, took: Duration, paths: &[(&Path, Option<&str>)]) {
        let end: BTreeMap<_, _> =
            paths.iter().map(|(path, text)| (path.to_path_buf(), text.map(|t| Digest::of(t.as_bytes())))).collect();
        let mut found = BTreeMap::new();
        let mut several = 0;
        while found != end {
            found.extend(self.next().into_iter().map(|changed| (changed.path, changed.after)));
            several += 1;
            if took < DEBOUNCE {
                assert_eq!(found, end, "in one change");
            }
        }
        if several > 1 {
            eprintln!("the deed took {took:?}, which is several changes: {several}");
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.waker.wake(Wish::Stop);
        let ended = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

/// How long a deed took at most.
fn timed(deed: impl FnOnce()) -> Duration {
    let began = Instant::now();
    deed();
    began.elapsed()
}

/// Each case twice: with the system's events, and without.
macro_rules! both {
    ($($case:ident),* $(,)?) => {
        mod events {
            $(#[test] fn $case() { super::$case(super::Bench::new(false)); })*
        }
        mod polling {
            $(#[test] fn $case() { super::$case(super::Bench::new(true)); })*
        }
    };
}
use both;
