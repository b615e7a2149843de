//! The thread that writes: lines are gathered for a moment and written in one piece. What goes wrong with the file is
//! said once, what is lost by it is counted, and it goes on as soon as it can.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::fd::AsFd as _,
    path::PathBuf,
    sync::{
        Arc,
        atomic::Ordering::Relaxed,
        mpsc::{Receiver, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use super::{BESIDE, Counts, Kind};

/// Bytes that are written in one piece.
const PIECE: usize = 64 << 10;
/// How long others are waited for at a time. A writer that waited in the queue would cost the sender of each line a call
/// of the system, which wakes it.
const NAP: Duration = Duration::from_millis(10);
/// How long until a file that could not be opened is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// What the writer is told, in this order.
pub(super) enum Next {
    /// Write this.
    Line(String),
    /// Go on over there.
    Target(Target),
    /// Open the file again.
    Reopen,
    /// Write everything out and say so.
    Flush(SyncSender<()>),
}

/// Where lines go.
pub(crate) struct Target {
    /// `None` for what cannot be opened again.
    path: Option<PathBuf>,
    out: Box<dyn Out>,
}

/// Something that lines are written to.
trait Out: Write + Send {
    /// Nobody can read any more what is written there.
    fn is_gone(&self) -> bool {
        false
    }
}

impl Out for File {
    fn is_gone(&self) -> bool {
        rustix::fs::fstat(self).is_ok_and(|file| file.st_nlink == 0)
    }
}

impl Out for io::Sink {}

impl Target {
    /// Lines are thrown away.
    pub(crate) fn nowhere() -> Self {
        Self { path: None, out: Box::new(io::sink()) }
    }

    /// Where errors of programs go.
    ///
    /// # Errors
    /// It is closed.
    pub(crate) fn standard_error() -> io::Result<Self> {
        Ok(Self { path: None, out: Box::new(File::from(io::stderr().as_fd().try_clone_to_owned()?)) })
    }

    /// A file, or standard output.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn open(path: Option<PathBuf>) -> io::Result<Self> {
        let out = match &path {
            // Not through the buffer of the standard library, which would keep what it could not write.
            None => File::from(io::stdout().as_fd().try_clone_to_owned()?),
            Some(path) => OpenOptions::new().create(true).append(true).open(path)?,
        };
        Ok(Self { path, out: Box::new(out) })
    }

    /// The file was deleted, perhaps with its folder.
    fn is_gone(&self) -> bool {
        self.path.is_some() && self.out.is_gone()
    }
}

pub(super) struct Writer {
    kind: Kind,
    counts: Arc<Counts>,
    /// Lines that found no room, as far as it was told.
    told: u64,
    target: Target,
    buffer: Vec<u8>,
    /// Lines are lost, and it was said.
    failing: bool,
    /// The file ends within a line.
    torn: bool,
    /// The file could not be opened again: when to try next.
    reopen_at: Option<Instant>,
}

impl Writer {
    pub(super) fn new(kind: Kind, counts: Arc<Counts>) -> Self {
        let (target, buffer) = (Target::nowhere(), Vec::with_capacity(PIECE));
        Self { kind, counts, told: 0, target, buffer, failing: false, torn: false, reopen_at: None }
    }

    /// Writes until nobody is left who could send a line.
    pub(super) fn run(mut self, queue: &Receiver<Next>) {
        while let Ok(first) = queue.recv() {
            self.take(first);
            queue.try_iter().for_each(|next| self.take(next));
            let due = Instant::now() + self.kind.gather;
            while !self.buffer.is_empty() && Instant::now() < due {
                thread::sleep(NAP);
                queue.try_iter().for_each(|next| self.take(next));
            }
            self.write_out();
            self.tell_of_losses();
        }
    }

    /// Where these are the lines that others are told of losses in: there is room again, as some were just written.
    fn tell_of_losses(&mut self) {
        let dropped = self.counts.dropped.load(Relaxed);
        if self.kind.is_log && dropped > self.told {
            tracing::warn!(dropped = dropped - self.told, "{} could not keep up: lines were dropped", self.kind.what);
            self.told = dropped;
        }
    }

    fn take(&mut self, next: Next) {
        match next {
            Next::Line(line) => {
                self.counts.waiting.fetch_sub(line.capacity() + BESIDE, Relaxed);
                self.buffer.extend_from_slice(line.as_bytes());
                if self.buffer.len() >= PIECE {
                    self.write_out();
                }
            }
            Next::Target(target) => {
                self.write_out();
                (self.target, self.torn, self.failing, self.reopen_at) = (target, false, false, None);
            }
            Next::Reopen => {
                self.write_out();
                self.reopen();
            }
            Next::Flush(done) => {
                self.write_out();
                // Whoever asked may have given up.
                let _ = done.try_send(());
            }
        }
    }

    /// Writes what was gathered.
    fn write_out(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let due = self.reopen_at.map_or_else(|| self.target.is_gone(), |at| Instant::now() >= at);
        if due {
            self.reopen();
        }
        let (written, error) = self.write();
        match error {
            Some(error) => {
                let rest = self.buffer.get(written..).unwrap_or_default();
                let lines = rest.iter().filter(|byte| **byte == b'\n').count() as u64;
                let lost = self.counts.lost.fetch_add(lines, Relaxed) + lines;
                if !std::mem::replace(&mut self.failing, true) {
                    let path = self.target.path.as_deref().map(|path| path.display().to_string());
                    tracing::error!(%error, path, lost, "{} cannot be written; said once, lines are counted", self.kind.what);
                }
            }
            None if std::mem::take(&mut self.failing) => {
                tracing::info!(lost = self.counts.lost.load(Relaxed), "{} is written again", self.kind.what);
            }
            None => {}
        }
        self.buffer.clear();
    }

    /// How much was written, and why not all of it.
    fn write(&mut self) -> (usize, Option<io::Error>) {
        if self.target.is_gone() {
            return (0, Some(io::Error::new(ErrorKind::NotFound, "the file was deleted")));
        }
        let mut rest = self.buffer.as_slice();
        let error = loop {
            // Half a line of before is ended first.
            let next = if self.torn { &b"\n"[..] } else { rest };
            match self.target.out.write(next) {
                Ok(0) => break Some(ErrorKind::WriteZero.into()),
                Ok(_) if self.torn => self.torn = false,
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Whoever shares the stream made it so; it is full for now.
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(NAP),
                Err(error) => break Some(error),
            }
            if rest.is_empty() {
                break None;
            }
        };
        let written = self.buffer.len() - rest.len();
        if written > 0 {
            self.torn = self.buffer.get(written - 1) != Some(&b'\n');
        }
        (written, error)
    }

    /// Until it can be opened lines go to the file that is open, if it is still there.
    fn reopen(&mut self) {
        let Some(path) = self.target.path.clone() else { return };
        match Target::open(Some(path.clone())) {
            Ok(target) => {
                (self.target, self.torn, self.reopen_at) = (target, false, None);
                tracing::info!(path = %path.display(), "{} was opened again", self.kind.what);
            }
            Err(error) => {
                if self.reopen_at.replace(Instant::now() + AGAIN).is_none() {
                    tracing::error!(%error, path = %path.display(), "{} cannot be opened again", self.kind.what);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::{super::ACCESS_LOG, *};

    /// A disk with so much room.
    struct Disk(Arc<Mutex<(Vec<u8>, usize)>>);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (content, room) = &mut *self.0.lock();
            let fits = bytes.len().min(*room);
            if fits == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            content.extend_from_slice(&bytes[..fits]);
            *room -= fits;
            Ok(fits)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Out for Disk {}

    fn write(writer: &mut Writer, lines: &[&str]) {
        lines.iter().for_each(|line| {
            let line = (*line).to_owned();
            writer.counts.waiting.fetch_add(line.capacity() + BESIDE, Relaxed);
            writer.take(Next::Line(line));
        });
        writer.write_out();
    }

    #[test]
    fn a_full_disk_costs_the_lines_that_find_no_room_and_no_others() {
        let disk = Arc::new(Mutex::new((Vec::new(), 6)));
        let counts = Arc::<Counts>::default();
        let mut writer = Writer::new(ACCESS_LOG, counts.clone());
        writer.target.out = Box::new(Disk(disk.clone()));
        write(&mut writer, &["one\n", "two\n", "three\n"]);
        assert_eq!(counts.lost.load(Relaxed), 2, "the second is torn");
        write(&mut writer, &["four\n"]);
        assert_eq!(counts.lost.load(Relaxed), 3);
        disk.lock().1 = 100;
        write(&mut writer, &["five\n"]);
        write(&mut writer, &["six\n"]);
        assert_eq!(String::from_utf8(disk.lock().0.clone()).expect("text"), "one\ntw\nfive\nsix\n");
        assert_eq!((counts.lost.load(Relaxed), counts.waiting.load(Relaxed)), (3, 0));
    }

    #[test]
    fn lines_of_a_deleted_file_are_lost_until_there_is_a_folder_for_another() {
        let dir = tempfile::tempdir().expect("a folder");
        let (folder, counts) = (dir.path().join("logs"), Arc::<Counts>::default());
        std::fs::create_dir(&folder).expect("a folder");
        let mut writer = Writer::new(ACCESS_LOG, counts.clone());
        writer.target = Target::open(Some(folder.join("a"))).expect("a file");
        write(&mut writer, &["one\n"]);
        std::fs::remove_dir_all(&folder).expect("it goes");
        write(&mut writer, &["two\n", "three\n"]);
        assert_eq!(counts.lost.load(Relaxed), 2);
        std::fs::create_dir(&folder).expect("a folder");
        writer.reopen_at = Some(Instant::now());
        write(&mut writer, &["four\n"]);
        assert_eq!(std::fs::read_to_string(folder.join("a")).expect("a file"), "four\n");
        assert_eq!(counts.lost.load(Relaxed), 2);
    }
}
