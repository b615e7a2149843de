//! `sluice dev`: builds, serves, and builds again whenever source changes. What is built reaches the process as every new
//! module does: it watches the file.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use sluice_engine::Digest;
use sluice_server::FilterSource;

use super::build;
use crate::{
    explain::{self, Failure},
    source::Say,
};

/// For how long nothing must change before it is built: editors write several files, and some of them twice.
const QUIET: Duration = Duration::from_millis(100);
/// What never comes to rest is built as it is then.
const RESTLESS: Duration = Duration::from_secs(2);

/// Serves until the process is told to stop.
///
/// # Errors
/// When the configuration cannot be served, builds nothing, or its folders cannot be watched.
pub(crate) fn run(config: &Path) -> Result<ExitCode, Failure> {
    let sources = build::sources(config)?;
    // Before they are built for the first time: no change is missed.
    let mut watch = Watch::start(&sources).map_err(unwatched)?;
    while !build::built(&sources, Say::Everything) {
        explain::note("waiting for a change");
        watch.wait(&sources).map_err(unwatched)?;
    }
    let file = config.to_owned();
    thread::spawn(move || {
        let mut sources = sources;
        while watch
            .wait(&sources)
            .inspect_err(|error| explain::warning(&format!("no builds any more: {error}")))
            .is_ok()
        {
            // A mistake in it is told by the process, which reads it, too.
            sources = sluice_server::sources(&file).unwrap_or(sources);
            build::built(&sources, Say::News);
        }
    });
    super::run::run(config)
}

fn unwatched(error: notify::Error) -> Failure {
    Failure::new(format_args!("the folders of the filters cannot be watched: {error}"))
}

/// Waits for changes of source. Events only say when to look: what counts is what the files hold, so that what building itself
/// writes beside them makes no circle.
struct Watch {
    watcher: RecommendedWatcher,
    events: Receiver<()>,
    seen: Seen,
}

/// Files with their contents.
type Seen = BTreeMap<PathBuf, Digest>;

impl Watch {
    fn start(sources: &[FilterSource]) -> notify::Result<Self> {
        let (told, events) = channel();
        let mut watch = Self { watcher: notify::recommended_watcher(teller(told))?, events, seen: Seen::new() };
        watch.look(sources)?;
        Ok(watch)
    }

    /// Returns when something has changed since the last look, and nothing has for a moment.
    fn wait(&mut self, sources: &[FilterSource]) -> notify::Result<()> {
        loop {
            if self.events.recv().is_err() {
                return Err(notify::Error::generic("the watcher has ended"));
            }
            let began = Instant::now();
            while self.events.recv_timeout(QUIET).is_ok() && began.elapsed() < RESTLESS {}
            if self.look(sources)? {
                return Ok(());
            }
        }
    }

    /// Watches the folders, and what is in them now; whether that is other than it was.
    fn look(&mut self, sources: &[FilterSource]) -> notify::Result<bool> {
        let mut seen = Seen::new();
        for source in sources {
            self.look_into(&source.folder, &mut seen)?;
        }
        let before = std::mem::replace(&mut self.seen, seen);
        Ok(before != self.seen)
    }

    fn look_into(&mut self, folder: &Path, seen: &mut Seen) -> notify::Result<()> {
        self.watcher.watch(folder, RecursiveMode::NonRecursive)?;
        for entry in folder.read_dir()?.filter_map(Result::ok).filter(|entry| is_source(&entry.path())) {
            let (path, kind) = (entry.path(), entry.file_type());
            // What is gone again, or may not be read, is no source.
            if kind.as_ref().is_ok_and(|kind| kind.is_dir()) {
                let _ = self.look_into(&path, seen);
            } else if let Ok(digest) = File::open(&path).and_then(Digest::of_reader) {
                seen.insert(path, digest);
            }
        }
        Ok(())
    }
}

fn teller(told: Sender<()>) -> impl Fn(notify::Result<notify::Event>) {
    move |event| {
        let counts = match event {
            Ok(event) => !matches!(event.kind, EventKind::Access(_)) && event.paths.iter().any(|path| is_source(path)),
            Err(_) => true,
        };
        if counts {
            // Nobody waits any more when the process ends.
            let _ = told.send(());
        }
    }
}

/// Whether it may be source: nothing hidden, nothing that building writes, no copies of editors.
fn is_source(path: &Path) -> bool {
    let Some(name) = path.file_name().map(|name| name.to_string_lossy()) else { return false };
    let made = [".wasm", ".part", ".log", "~", ".swp", ".tmp"].iter().any(|end| name.ends_with(end));
    !made && !name.starts_with('.') && !matches!(&*name, "target" | "Cargo.lock" | "go.sum")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_other_contents_of_source_are_a_change() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().to_owned();
        let put = |name: &str, text: &str| fs::write(folder.join(name), text).expect("a file");
        fs::create_dir_all(folder.join("src/deep")).expect("folders");
        fs::create_dir_all(folder.join("target/release")).expect("folders");
        put("src/deep/a.rs", "one");
        let sources = [FilterSource { name: "f".into(), folder: folder.clone(), module: folder.join("f.wasm") }];
        let mut watch = Watch::start(&sources).expect("it watches");
        let mut changes = || watch.look(&sources).expect("it looks");
        // What building and serving write beside the source, and the same once more.
        let made =
            ["f.wasm", "f.wasm.part", "dev.log", "Cargo.lock", "go.sum", "a.rs~", "target/release/x.rs", ".hidden"];
        made.iter().for_each(|name| put(name, "made"));
        put("src/deep/a.rs", "one");
        assert!(!changes());
        // Made and gone again, as Go does beside its output.
        put("f.wasm.part-go-tmp-umask", "");
        fs::remove_file(folder.join("f.wasm.part-go-tmp-umask")).expect("it goes");
        assert!(!changes());
        put("src/deep/a.rs", "two");
        assert!(changes() && !changes());
        put("src/deep/b.rs", "");
        assert!(changes());
        fs::remove_dir_all(folder.join("src/deep")).expect("it goes");
        assert!(changes() && !changes());
    }
}
