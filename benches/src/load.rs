//! A load of its own making: connections that are kept and never rest, each answer looked at, each latency recorded.
//!
//! All connections share one thread, so the load leaves the rest of the machine to the proxy. Each sends its next request
//! when the answer to the last one is there: latencies are those of a closed loop, in which a proxy that stalls is sent less.

use std::{
    io::{Error, Result},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench.example\r\n\r\n";

/// How to load.
#[derive(Clone, Copy)]
pub struct Style {
    pub connections: usize,
    /// Rest before each request.
    pub pause: Duration,
}

impl Style {
    /// More than two cores can serve.
    pub const SATURATING: Self = Self { connections: 32, pause: Duration::ZERO };
    /// A request each millisecond, so that the machine is idle but for that.
    pub const LIGHT: Self = Self { connections: 1, pause: Duration::from_millis(1) };
}

/// What came of the requests.
pub struct Tally {
    pub began: Instant,
    /// Nanoseconds.
    pub latency: Histogram<u64>,
    pub requests: u64,
    /// Status other than 200, or no whole answer.
    pub failed: u64,
    /// What the last one was, and when.
    pub last_failure: Option<(Instant, String)>,
    /// Answers that no version touched on one of their ways.
    pub none: u64,
    /// Answers that another version touched than the request.
    pub two: u64,
    /// Answers of an older version than the connection had seen.
    pub back: u64,
}

impl Default for Tally {
    fn default() -> Self {
        let latency = Histogram::new(3).unwrap();
        let began = Instant::now();
        Self { began, latency, requests: 0, failed: 0, last_failure: None, none: 0, two: 0, back: 0 }
    }
}

/// What was seen of the version that was marked.
#[derive(Clone, Copy, Default)]
pub struct Mark {
    pub version: u64,
    pub answers: u64,
    pub first: Option<Instant>,
    pub last: Option<Instant>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    marked: AtomicU64,
    mark: Mutex<Mark>,
    tally: Mutex<Tally>,
}

/// A running load.
pub struct Load {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    pub fn start(address: SocketAddr, style: Style) -> Self {
        let shared = Arc::<Shared>::default();
        let its = shared.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let all: Vec<_> =
                    (0..style.connections).map(|_| tokio::spawn(connection(its.clone(), address, style))).collect();
                for one in all {
                    one.await.unwrap();
                }
            });
        });
        Self { shared, thread: Some(thread) }
    }

    /// What came of the requests since the last time.
    pub fn take(&self) -> Tally {
        std::mem::take(&mut *self.shared.tally.lock().unwrap())
    }

    /// Looks out for this version from now on.
    pub fn mark(&self, version: u64) {
        *self.shared.mark.lock().unwrap() = Mark { version, ..Mark::default() };
        self.shared.marked.store(version, Relaxed);
    }

    /// What was seen of it.
    pub fn marked(&self) -> Mark {
        *self.shared.mark.lock().unwrap()
    }

    /// Waits for the first answer of the version that is marked.
    pub fn first(&self) -> Instant {
        let began = Instant::now();
        loop {
            if let Some(first) = self.marked().first {
                return first;
            }
            assert!(began.elapsed().as_secs() < 120, "version {} never serves", self.marked().version);
            thread::sleep(Duration::from_micros(500));
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn connection(shared: Arc<Shared>, address: SocketAddr, style: Style) {
    while !shared.stop.load(Relaxed) {
        if let Err(error) = exchanges(&shared, address, style).await {
            let mut tally = shared.tally.lock().unwrap();
            tally.failed += 1;
            tally.last_failure = Some((Instant::now(), error.to_string()));
        }
    }
}

async fn exchanges(shared: &Shared, address: SocketAddr, style: Style) -> Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut buffer, mut newest) = (vec![0; 16 << 10], 0);
    while !shared.stop.load(Relaxed) {
        if !style.pause.is_zero() {
            tokio::time::sleep(style.pause).await;
        }
        let began = Instant::now();
        stream.write_all(REQUEST).await?;
        let answer = read(&mut stream, &mut buffer).await?;
        let now = Instant::now();
        let mut tally = shared.tally.lock().unwrap();
        tally.requests += 1;
        tally.latency.record(u64::try_from((now - began).as_nanos()).unwrap()).unwrap();
        if answer.status != 200 {
            tally.failed += 1;
            tally.last_failure = Some((now, format!("status {}", answer.status)));
            continue;
        }
        let Some(version) = answer.version else {
            tally.none += 1;
            continue;
        };
        match answer.met {
            Some(met) => tally.two += u64::from(met != version),
            None => tally.none += u64::from(answer.both_ways),
        }
        tally.back += u64::from(version < newest);
        newest = version;
        drop(tally);
        if version == shared.marked.load(Relaxed) {
            let mut mark = shared.mark.lock().unwrap();
            mark.answers += 1;
            mark.first.get_or_insert(now);
            mark.last = Some(now);
        }
    }
    Ok(())
}

/// What counts of an answer.
struct Answer {
    status: u16,
    /// Of the filter on the way back.
    version: Option<u64>,
    /// Of the filter on the way there.
    met: Option<u64>,
    /// The backend can tell of it.
    both_ways: bool,
}

async fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<Answer> {
    let mut length = 0;
    loop {
        let read = stream.read(&mut buffer[length..]).await?;
        if read == 0 {
            return Err(Error::other("the connection ends before the answer"));
        }
        length += read;
        let mut slots = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Response::new(&mut slots);
        let Ok(httparse::Status::Complete(body)) = head.parse(&buffer[..length]).map_err(Error::other) else {
            continue;
        };
        let mut answer = Answer { status: head.code.unwrap_or(0), version: None, met: None, both_ways: true };
        let mut content = 0;
        for header in head.headers.iter() {
            let value = || std::str::from_utf8(header.value).ok()?.trim().parse().ok();
            match header.name {
                name if name.eq_ignore_ascii_case("x-version") => answer.version = value(),
                name if name.eq_ignore_ascii_case("x-met") => answer.met = value(),
                name if name.eq_ignore_ascii_case("content-length") => content = value().unwrap_or(0),
                name => {
                    if name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("x-v-")) {
                        (answer.version, answer.both_ways) = (name[4..].parse().ok(), false);
                    }
                }
            }
        }
        let whole = body + usize::try_from(content).unwrap_or(usize::MAX);
        if whole > buffer.len() || length > whole {
            return Err(Error::other("an answer with too much behind its head"));
        }
        while length < whole {
            match stream.read(&mut buffer[length..whole]).await? {
                0 => return Err(Error::other("the connection ends within the answer")),
                read => length += read,
            }
        }
        return Ok(answer);
    }
}
