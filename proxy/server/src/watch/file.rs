//! One watched file: what is known of it, what was seen of it last and whether it came to rest.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
};
use sluice_host::Digest;

use super::{Baseline, Changed};

/// Most bytes that are read of a file; whoever loads it refuses it far below.
pub(super) const MOST: u64 = 256 << 20;

/// A file of the set.
#[derive(Default)]
pub(super) struct Watched {
    /// What the caller has, or was told last.
    known: Option<Digest>,
    /// `None` before the first look.
    sight: Option<Sight>,
    /// Since when it differs from what is known.
    pending: Option<Instant>,
    /// Something happened in its directory since it was read.
    stirred: bool,
    /// It could not be told whether it is there.
    trouble: bool,
    /// It was said that it does not come to rest.
    complained: bool,
}

/// What a look found.
struct Sight {
    stamp: Option<Stamp>,
    digest: Option<Digest>,
    /// The first look that found this.
    since: Instant,
    /// The last one that read it.
    read: Instant,
}

/// What changes with the contents, nearly always. The time of the inode's change cannot be set back as the other can.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    dev: u64,
    ino: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Watched {
    /// The same file, compared from now on with this.
    pub(super) fn based_on(mut self, baseline: Baseline, path: &Path, now: Instant) -> Self {
        match baseline {
            Baseline::Read(digest) => self.known = Some(digest),
            Baseline::Missing => self.known = None,
            Baseline::Known if self.sight.is_none() => {
                self.look(path, now, Duration::ZERO);
                self.known = self.sight.as_ref().and_then(|sight| sight.digest);
            }
            Baseline::Known => {}
        }
        self.pending = None;
        self.complained = false;
        self
    }

    /// Something happened where it lies.
    pub(super) fn stir(&mut self) {
        self.stirred = true;
    }

    /// Reads it, unless its stamp says that this would be in vain. After a stir that is believed for `doubt` only.
    pub(super) fn look(&mut self, path: &Path, now: Instant, doubt: Duration) {
        match self.sight(path, now, doubt) {
            Ok(Some((stamp, digest))) => self.saw(stamp, digest, now),
            Ok(None) => {}
            Err(error) => {
                if !self.trouble {
                    tracing::warn!("{} cannot be looked at now: {error}; it counts as unchanged", path.display());
                }
                self.trouble = true;
                return;
            }
        }
        self.trouble = false;
    }

    /// `None` when it is as it was. Errors are those that say nothing about the file.
    fn sight(&self, path: &Path, now: Instant, doubt: Duration) -> io::Result<Option<(Option<Stamp>, Option<Digest>)>> {
        let stamp = there(fs::metadata(path))?.filter(Metadata::is_file).map(|found| Stamp::of(&found));
        let as_it_was = self.sight.as_ref().is_some_and(|sight| {
            let doubted = self.stirred && now.saturating_duration_since(sight.read) >= doubt;
            sight.stamp == stamp && sight.digest == self.known && !doubted
        });
        if as_it_was {
            return Ok(None);
        }
        let digest = if stamp.is_some() { there(read(path))?.flatten() } else { None };
        Ok(Some((stamp, digest)))
    }

    fn saw(&mut self, stamp: Option<Stamp>, digest: Option<Digest>, now: Instant) {
        self.stirred = false;
        match &mut self.sight {
            Some(sight) if sight.stamp == stamp && sight.digest == digest => sight.read = now,
            sight => *sight = Some(Sight { stamp, digest, since: now, read: now }),
        }
        if digest == self.known {
            self.pending = None;
            self.complained = false;
        } else {
            self.pending.get_or_insert(now);
        }
    }

    /// It differs from what is known.
    pub(super) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Two looks that lie as far apart as this found the same.
    pub(super) fn is_at_rest(&self, debounce: Duration) -> bool {
        self.sight.as_ref().is_some_and(|sight| sight.read.saturating_duration_since(sight.since) >= debounce)
    }

    /// It differs for so long that nobody waits for it any more.
    pub(super) fn is_hopeless(&self, now: Instant, patience: Duration) -> bool {
        self.pending.is_some_and(|since| now.saturating_duration_since(since) >= patience)
    }

    pub(super) fn in_trouble(&self) -> bool {
        self.trouble
    }

    /// When it has to be read although nothing shows; `None` when nothing happened around it.
    pub(super) fn doubted_at(&self, doubt: Duration) -> Option<Instant> {
        self.sight.as_ref().filter(|_| self.stirred).map(|sight| sight.read + doubt)
    }

    pub(super) fn complain(&mut self, path: &Path, patience: Duration) {
        if !self.complained {
            tracing::warn!(
                "{} has been changing for {} without coming to rest and is not taken over before it does; \
                 write a new file beside it and rename that into place",
                path.display(),
                humantime::format_duration(patience)
            );
        }
        self.complained = true;
    }

    /// The change, when there is one and it is at rest; it is known from then on.
    pub(super) fn take_change(&mut self, path: &Path, debounce: Duration) -> Option<Changed> {
        if !self.is_pending() || !self.is_at_rest(debounce) {
            return None;
        }
        let after = self.sight.as_ref().and_then(|sight| sight.digest);
        let before = std::mem::replace(&mut self.known, after);
        self.pending = None;
        self.complained = false;
        Some(Changed { path: path.to_owned(), before, after })
    }
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        Self {
            dev: found.dev(),
            ino: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

/// The digest of a regular file.
fn read(path: &Path) -> io::Result<Option<Digest>> {
    // What became a pipe in this moment must not hold us up.
    let file = File::from(open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    Digest::of_reader(file.take(MOST)).map(Some)
}

/// `None` when the error says that there is no file to be read. Others (too many open files, a server that is away) do
/// not say that.
fn there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    let absent =
        [Errno::NOENT, Errno::NOTDIR, Errno::ACCESS, Errno::PERM, Errno::LOOP, Errno::ISDIR, Errno::NAMETOOLONG];
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if absent.iter().any(|e| error.raw_os_error() == Some(e.raw_os_error())) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOUBT: Duration = Duration::from_secs(5);
    const MOMENT: Duration = Duration::from_millis(1);

    /// A file whose contents are not what was read of it, although no stamp shows it: as when a page of a mapping is
    /// written once more.
    fn hidden_change() -> (tempfile::NamedTempFile, Watched, Instant) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let start = Instant::now();
        let mut watched = Watched::default().based_on(Baseline::Known, file.path(), start);
        let other = Some(Digest::of(b"other"));
        watched.known = other;
        watched.sight.as_mut().unwrap().digest = other;
        (file, watched, start)
    }

    #[test]
    fn an_unchanged_stamp_is_believed_while_nothing_happens() {
        let (file, mut watched, start) = hidden_change();
        watched.look(file.path(), start + 100 * DOUBT, DOUBT);
        assert!(!watched.is_pending());
        assert_eq!(watched.doubted_at(DOUBT), None);
    }

    #[test]
    fn after_a_stir_it_is_read_in_time_whatever_the_stamp_says() {
        let (file, mut watched, start) = hidden_change();
        watched.stir();
        watched.look(file.path(), start + DOUBT - MOMENT, DOUBT);
        assert!(!watched.is_pending());
        assert_eq!(watched.doubted_at(DOUBT), Some(start + DOUBT));
        watched.look(file.path(), start + DOUBT, DOUBT);
        assert!(watched.is_pending());
    }

    #[test]
    fn at_rest_are_two_looks_as_far_apart() {
        let (file, mut watched, start) = hidden_change();
        let debounce = Duration::from_millis(100);
        watched.stir();
        for (after, rests) in [(DOUBT, false), (DOUBT + debounce - MOMENT, false), (DOUBT + debounce, true)] {
            watched.look(file.path(), start + after, DOUBT);
            assert_eq!(watched.take_change(file.path(), debounce).is_some(), rests, "{after:?}");
        }
    }

    #[test]
    fn what_says_nothing_of_the_file_is_no_absence() {
        let error = |e: Errno| there::<()>(Err(e.into()));
        assert!(matches!(error(Errno::NOENT), Ok(None)));
        assert!(matches!(error(Errno::ACCESS), Ok(None)));
        for unclear in [Errno::MFILE, Errno::IO, Errno::STALE] {
            assert!(error(unclear).is_err());
        }
    }
}
