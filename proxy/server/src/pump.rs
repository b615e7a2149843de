//! Two connections that are read and written side by side, so that no peer that does not read can stop the other.

use std::{collections::VecDeque, io};

use bytes::{Bytes, BytesMut};
use pingora_core::protocols::Stream;
use sluice_host::{Direction, Event};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

/// Bytes that one read takes at most.
const READ: usize = 16 << 10;
/// Bytes that may wait for a peer before nothing more is read from the other.
const WAITING: usize = 256 << 10;

/// What happened next.
pub(crate) enum Woken {
    /// Bytes came from the client (`Request`) or from the upstream; none is its end.
    Read(Direction, Bytes),
    /// Something was written.
    Written,
    /// The connection of the client (`Request`) or of the upstream failed.
    Failed(Direction),
    /// A filter was told something.
    Event(Event),
    /// Nothing moved for too long.
    Idle,
}

/// Both connections.
pub(crate) struct Pump {
    client: Side,
    upstream: Side,
    client_first: Option<bool>,
}

struct Side {
    input: ReadHalf<Stream>,
    output: WriteHalf<Stream>,
    buffer: BytesMut,
    /// Its end was read.
    ended: bool,
    /// What waits to be written to it.
    waiting: VecDeque<Bytes>,
    size: usize,
    /// Something was written and not flushed.
    dirty: bool,
    /// Nothing more will be written to it; `shut` when it has been told.
    last: bool,
    shut: bool,
}

impl Side {
    fn new(stream: Stream) -> Self {
        let (input, output) = tokio::io::split(stream);
        let buffer = BytesMut::new();
        Self {
            input,
            output,
            buffer,
            ended: false,
            waiting: VecDeque::new(),
            size: 0,
            dirty: false,
            last: false,
            shut: false,
        }
    }

    fn has_to_write(&self) -> bool {
        !self.waiting.is_empty() || self.dirty || (self.last && !self.shut)
    }
}

async fn read(input: &mut ReadHalf<Stream>, buffer: &mut BytesMut) -> io::Result<Bytes> {
    buffer.reserve(READ);
    input.read_buf(buffer).await?;
    Ok(buffer.split().freeze())
}

/// One step of what there is to write. Each is safe to drop: what it did is noted at once, what it did not is done again.
async fn write(
    output: &mut WriteHalf<Stream>,
    waiting: &mut VecDeque<Bytes>,
    size: &mut usize,
    dirty: &mut bool,
    shut: &mut bool,
) -> io::Result<()> {
    if let Some(chunk) = waiting.front_mut() {
        *size -= output.write_buf(chunk).await?;
        *dirty = true;
        if chunk.is_empty() {
            waiting.pop_front();
        }
    } else if *dirty {
        output.flush().await?;
        *dirty = false;
    } else {
        output.shutdown().await?;
        *shut = true;
    }
    Ok(())
}

impl Pump {
    pub(crate) fn new(client: Stream, upstream: Stream) -> Self {
        Self { client: Side::new(client), upstream: Side::new(upstream), client_first: None }
    }

    /// Waits until something can be read or was written. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Woken {
        let (c, u) = (&mut self.client, &mut self.upstream);
        let (c_writes, u_writes) = (c.has_to_write(), u.has_to_write());
        let (c_reads, u_reads) = (!c.ended && u.size < WAITING, !u.ended && c.size < WAITING);
        tokio::select! {
            result = read(&mut c.input, &mut c.buffer), if c_reads => match result {
                Ok(bytes) => {
                    c.ended = bytes.is_empty();
                    if c.ended { self.client_first.get_or_insert(true); }
                    Woken::Read(Direction::Request, bytes)
                }
                Err(_) => { self.client_first.get_or_insert(true); Woken::Failed(Direction::Request) }
            },
            result = read(&mut u.input, &mut u.buffer), if u_reads => match result {
                Ok(bytes) => {
                    u.ended = bytes.is_empty();
                    if u.ended { self.client_first.get_or_insert(false); }
                    Woken::Read(Direction::Response, bytes)
                }
                Err(_) => { self.client_first.get_or_insert(false); Woken::Failed(Direction::Response) }
            },
            result = write(&mut c.output, &mut c.waiting, &mut c.size, &mut c.dirty, &mut c.shut), if c_writes => match result {
                Ok(()) => Woken::Written,
                Err(_) => { self.client_first.get_or_insert(true); Woken::Failed(Direction::Request) }
            },
            result = write(&mut u.output, &mut u.waiting, &mut u.size, &mut u.dirty, &mut u.shut), if u_writes => match result {
                Ok(()) => Woken::Written,
                Err(_) => { self.client_first.get_or_insert(false); Woken::Failed(Direction::Response) }
            },
            else => std::future::pending().await,
        }
    }

    /// Hands on bytes of this direction. `end`: they are the last.
    pub(crate) fn pass(&mut self, direction: Direction, bytes: Bytes, end: bool) {
        let side = match direction {
            Direction::Request => &mut self.upstream,
            Direction::Response => &mut self.client,
        };
        if !bytes.is_empty() {
            side.size += bytes.len();
            side.waiting.push_back(bytes);
        }
        side.last |= end;
    }

    /// Both sides have ended and have got everything.
    pub(crate) fn is_done(&self) -> bool {
        [&self.client, &self.upstream].iter().all(|side| side.ended && side.shut)
    }

    /// Whether it was the client that ended first.
    pub(crate) fn client_ended_first(&self) -> bool {
        self.client_first.unwrap_or(false)
    }
}
