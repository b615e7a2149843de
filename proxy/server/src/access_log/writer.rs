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
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::Counts;

/// Bytes that are written in one piece.
const PIECE: usize = 64 << 10;
/// How long a line may wait for others.
const FLUSH: Duration = Duration::from_millis(200);
/// How long until a file that could not be opened is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// What the writer is told beside the lines.
pub(super) enum Order {
    /// Go on over there.
    Target(Target),
    /// Open the file again.
    Reopen,
    /// Write everything out and say so.
    Flush(SyncSender<()>),
}

/// Where lines go.
pub(super) struct Target {
    /// `None` for what cannot be opened again.
    path: Option<PathBuf>,
    out: Box<dyn Write + Send>,
}

impl Default for Target {
    fn default() -> Self {
        Self { path: None, out: Box::new(io::sink()) }
    }
}

impl Target {
    /// A file, or standard output.
    pub(super) fn open(path: Option<PathBuf>) -> io::Result<Self> {
        let out = match &path {
            // Not through the buffer of the standard library, which would keep what it could not write.
            None => File::from(io::stdout().as_fd().try_clone_to_owned()?),
            Some(path) => OpenOptions::new().create(true).append(true).open(path)?,
        };
        Ok(Self { path, out: Box::new(out) })
    }
}

pub(super) struct Writer {
    orders: Arc<Mutex<Vec<Order>>>,
    counts: Arc<Counts>,
    target: Target,
    buffer: Vec<u8>,
    /// When the first line came into the buffer.
    since: Option<Instant>,
    /// The last write failed, and it was said.
    failing: bool,
    /// The file ends within a line.
    torn: bool,
    /// The file could not be opened again: when to try next.
    reopen_at: Option<Instant>,
}

impl Writer {
    pub(super) fn new(orders: Arc<Mutex<Vec<Order>>>, counts: Arc<Counts>) -> Self {
        let (target, buffer) = (Target::default(), Vec::with_capacity(PIECE));
        Self { orders, counts, target, buffer, since: None, failing: false, torn: false, reopen_at: None }
    }

    /// Writes until nobody is left who could send a line.
    pub(super) fn run(mut self, lines: &Receiver<String>) {
        loop {
            let due = [self.since.map(|since| since + FLUSH), self.reopen_at].into_iter().flatten().min();
            let next = match due {
                None => lines.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => lines.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            match next {
                Ok(line) => self.take(&line),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.write_out(),
            }
            let orders = std::mem::take(&mut *self.orders.lock());
            if !orders.is_empty() {
                // Lines from before an order are treated as before it.
                lines.try_iter().for_each(|line| self.take(&line));
                orders.into_iter().for_each(|order| self.obey(order));
            }
            if self.since.is_some_and(|since| since.elapsed() >= FLUSH) {
                self.write_out();
            }
            if self.reopen_at.is_some_and(|at| Instant::now() >= at) {
                self.reopen();
            }
        }
    }

    fn take(&mut self, line: &str) {
        self.counts.waiting.fetch_sub(line.len(), Relaxed);
        if line.is_empty() {
            return;
        }
        self.buffer.extend_from_slice(line.as_bytes());
        self.since.get_or_insert_with(Instant::now);
        if self.buffer.len() >= PIECE {
            self.write_out();
        }
    }

    fn obey(&mut self, order: Order) {
        self.write_out();
        match order {
            Order::Target(target) => {
                (self.target, self.failing, self.torn, self.reopen_at) = (target, false, false, None);
            }
            Order::Reopen => self.reopen(),
            // Whoever asked may have given up.
            Order::Flush(done) => drop(done.try_send(())),
        }
    }

    /// Writes what was gathered.
    fn write_out(&mut self) {
        self.since = None;
        let mut rest = self.buffer.as_slice();
        let error = loop {
            let next: &[u8] = if self.torn && !rest.is_empty() { b"\n" } else { rest };
            if next.is_empty() {
                break None;
            }
            match self.target.out.write(next) {
                Ok(0) => break Some(ErrorKind::WriteZero.into()),
                Ok(_) if self.torn => self.torn = false,
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Some(error),
            }
        };
        let written = self.buffer.len() - rest.len();
        if written > 0 {
            self.torn = self.buffer.get(written - 1) != Some(&b'\n');
        }
        match error {
            Some(error) => {
                let lines = rest.iter().filter(|byte| **byte == b'\n').count() as u64;
                let lost = self.counts.lost.fetch_add(lines, Relaxed) + lines;
                if !std::mem::replace(&mut self.failing, true) {
                    let path = self.target.path.as_deref().map(|path| path.display().to_string());
                    tracing::error!(%error, path, lost, "the access log cannot be written; said once, lines are counted");
                }
            }
            None if written > 0 && std::mem::take(&mut self.failing) => {
                tracing::info!(lost = self.counts.lost.load(Relaxed), "the access log is written again");
            }
            None => {}
        }
        self.buffer.clear();
    }

    /// Until it can be opened lines go to the file that is open.
    fn reopen(&mut self) {
        let Some(path) = self.target.path.clone() else { return };
        match Target::open(Some(path.clone())) {
            Ok(target) => {
                (self.target, self.failing, self.torn, self.reopen_at) = (target, false, false, None);
                tracing::info!(path = %path.display(), "the access log was opened again");
            }
            Err(error) => {
                if self.reopen_at.is_none() {
                    let path = path.display();
                    tracing::error!(%error, %path, "the access log cannot be opened again; lines go where they went");
                }
                self.reopen_at = Some(Instant::now() + AGAIN);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_full_disk_costs_the_lines_that_find_no_room_and_no_others() {
        let disk = Arc::new(Mutex::new((Vec::new(), 6)));
        let counts = Arc::<Counts>::default();
        let mut writer = Writer::new(Arc::default(), counts.clone());
        writer.target.out = Box::new(Disk(disk.clone()));
        let mut write = |lines: &[&str]| {
            lines.iter().for_each(|line| {
                counts.waiting.fetch_add(line.len(), Relaxed);
                writer.take(line);
            });
            writer.write_out();
        };
        write(&["one\n", "two\n", "three\n"]);
        assert_eq!(counts.lost.load(Relaxed), 2, "the second is torn");
        write(&["four\n"]);
        assert_eq!(counts.lost.load(Relaxed), 3);
        disk.lock().1 = 100;
        write(&["five\n"]);
        write(&["six\n"]);
        assert_eq!(String::from_utf8(disk.lock().0.clone()).expect("text"), "one\ntw\nfive\nsix\n");
        assert_eq!((counts.lost.load(Relaxed), counts.waiting.load(Relaxed)), (3, 0));
    }
}
