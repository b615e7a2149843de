//! Connections to one endpoint that rest between requests.
//!
//! A worker looks among those that it put there itself first. Nobody waits on a connection that rests: whether it is
//! still open is seen when it is taken, and once a second for all. A task for each, as in Pingora's own pool, would have to
//! be made, woken and waited for with every request.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    task::{Context, Waker},
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use pingora_core::protocols::Stream;
use quanta::Instant;
use tokio::io::{AsyncRead, ReadBuf};

/// Most connections to one endpoint that a worker lets rest.
const MOST: usize = 512;

/// Connections to one endpoint that rest.
pub(crate) struct Resting(Box<[Mutex<Vec<Rest>>]>);

struct Rest {
    stream: Stream,
    to: SocketAddr,
    until: Instant,
}

impl Resting {
    pub(crate) fn new() -> Self {
        let workers = thread::available_parallelism().map_or(1, usize::from);
        Self((0..workers).map(|_| Mutex::default()).collect())
    }

    /// A connection to this address that is still open, the one that rested last: of this worker, or of another that
    /// does not need its own at the moment.
    pub(crate) fn take(&self, to: SocketAddr, now: Instant) -> Option<Stream> {
        let own = place(self.0.len());
        let (before, after) = self.0.split_at(own);
        let (own, after) = after.split_first()?;
        take(&mut own.lock(), to, now).or_else(|| {
            let others = after.iter().chain(before);
            others.filter_map(Mutex::try_lock).find_map(|mut resting| take(&mut resting, to, now))
        })
    }

    /// Lets a connection rest for a time; the one that has rested longest is closed when there are too many.
    pub(crate) fn put(&self, stream: Stream, to: SocketAddr, now: Instant, idle: Duration) {
        let Some(resting) = self.0.get(place(self.0.len())) else { return };
        let mut resting = resting.lock();
        let oldest = (resting.len() >= MOST).then(|| resting.remove(0));
        resting.push(Rest { stream, to, until: now + idle });
        drop(resting);
        drop(oldest);
    }

    /// Closes those that have rested for too long, and those that the other side has closed.
    pub(crate) fn sweep(&self, now: Instant) {
        for resting in &self.0 {
            let mut resting = resting.lock();
            let gone: Vec<_> = resting.extract_if(.., |rest| now >= rest.until || !rest.is_quiet()).collect();
            drop(resting);
            drop(gone);
        }
    }
}

/// Those of other addresses, over their time or closed are closed here, too.
fn take(resting: &mut Vec<Rest>, to: SocketAddr, now: Instant) -> Option<Stream> {
    loop {
        let mut rest = resting.pop()?;
        if rest.to == to && now < rest.until && rest.is_quiet() {
            return Some(rest.stream);
        }
    }
}

impl Rest {
    /// Whether nothing came on it: an end, or bytes that nobody asked for.
    fn is_quiet(&mut self) -> bool {
        let mut byte = [0; 1];
        let mut byte = ReadBuf::new(&mut byte);
        let nobody = &mut Context::from_waker(Waker::noop());
        Pin::new(&mut self.stream).poll_read(nobody, &mut byte).is_pending()
    }
}

/// The place of this thread among so many.
fn place(among: usize) -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = NEXT.fetch_add(1, Relaxed);
    }
    NUMBER.with(|number| number % among.max(1))
}

#[cfg(test)]
mod tests {
    use pingora_core::protocols::l4;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    const IDLE: Duration = Duration::from_secs(60);

    /// Connections with their other ends, and where those are.
    async fn connections(many: usize) -> (Vec<(Stream, TcpStream)>, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let to = listener.local_addr().expect("bound");
        let mut all = Vec::new();
        for _ in 0..many {
            let stream = TcpStream::connect(to).await.expect("it listens");
            let (other, _) = listener.accept().await.expect("connected");
            all.push((Box::new(l4::stream::Stream::from(stream)) as Stream, other));
        }
        (all, to)
    }

    /// Waits until the end has come to this side.
    async fn end(mut other: TcpStream, stream: &mut Stream) {
        other.shutdown().await.expect("open");
        assert_eq!(stream.read(&mut [0; 1]).await.expect("an end, not a reset"), 0);
    }

    #[tokio::test]
    async fn the_one_that_rested_last_is_taken_first_and_each_once() {
        let (mut all, to) = connections(2).await;
        let (resting, now) = (Resting::new(), Instant::now());
        let ids: Vec<_> = all.iter().map(|(stream, _)| stream.id()).collect();
        let _others: Vec<_> =
            all.drain(..).map(|(stream, other)| (resting.put(stream, to, now, IDLE), other)).collect();
        let taken = || resting.take(to, now).map(|stream| stream.id());
        assert_eq!([taken(), taken(), taken()], [Some(ids[1]), Some(ids[0]), None]);
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_or_spoke_is_not_taken() {
        let (mut all, to) = connections(3).await;
        let (resting, now) = (Resting::new(), Instant::now());
        let (mut closed, other) = all.pop().expect("three");
        end(other, &mut closed).await;
        let (mut spoke, mut other) = all.pop().expect("two");
        other.write_all(b"?").await.expect("open");
        assert!(spoke.try_peek(&mut [0; 1]).await.expect("open"), "the byte is there");
        let (open, _other) = all.pop().expect("one");
        let id = open.id();
        for stream in [open, closed, spoke] {
            resting.put(stream, to, now, IDLE);
        }
        assert_eq!(resting.take(to, now).map(|stream| stream.id()), Some(id));
        assert!(resting.take(to, now).is_none());
    }

    #[tokio::test]
    async fn one_to_another_address_or_over_its_time_is_closed_when_it_is_met() {
        let (mut all, to) = connections(2).await;
        let (resting, now) = (Resting::new(), Instant::now());
        let elsewhere = SocketAddr::from(([127, 0, 0, 1], 1));
        for (address, asked) in [(elsewhere, now), (to, now + IDLE)] {
            let (stream, mut other) = all.pop().expect("two");
            resting.put(stream, address, now, IDLE);
            assert!(resting.take(to, asked).is_none());
            assert_eq!(other.read(&mut [0; 1]).await.expect("an end, not a reset"), 0);
        }
    }

    #[tokio::test]
    async fn a_sweep_closes_what_is_over_its_time_and_leaves_the_rest() {
        let (mut all, to) = connections(2).await;
        let (resting, now) = (Resting::new(), Instant::now());
        let ((old, mut other), (young, _other)) = (all.pop().expect("two"), all.pop().expect("one"));
        let id = young.id();
        resting.put(old, to, now, Duration::from_secs(1));
        resting.put(young, to, now, IDLE);
        resting.sweep(now + Duration::from_secs(2));
        assert_eq!(other.read(&mut [0; 1]).await.expect("an end, not a reset"), 0);
        assert_eq!(resting.take(to, now).map(|stream| stream.id()), Some(id));
    }

    #[tokio::test]
    async fn too_many_are_not_kept() {
        let (all, to) = connections(MOST + 1).await;
        let (resting, now) = (Resting::new(), Instant::now());
        let mut others = Vec::new();
        for (stream, other) in all {
            resting.put(stream, to, now, IDLE);
            others.push(other);
        }
        assert_eq!(others[0].read(&mut [0; 1]).await.expect("an end, not a reset"), 0);
        assert_eq!((0..=MOST).filter(|_| resting.take(to, now).is_some()).count(), MOST);
    }
}
