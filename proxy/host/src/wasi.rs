//! WASI preview 1 as far as guests need it: clocks, randomness, environment, two output streams and polite refusals.
//!
//! Written by hand because the ready-made implementation blocks on a runtime in synchronous calls and brings files
//! and sockets that no filter may have. Every function is defined under both module names. A sleeping poll returns at
//! once: a filter that waits would hold a worker.

use sluice_abi::{
    LogLevel, Status,
    wasi::{FUNCTIONS, MODULES, errno},
};
use sluice_engine::GuestExit;
use wasmtime::{Caller, FuncType, Linker, Val, ValType};

use crate::{hostcalls, memory, state::Held, state::State};

/// Most bytes of one `random_get` and one `fd_write`.
const MAX_RANDOM: u32 = 64 << 10;
const MAX_WRITE: usize = 64 << 10;
/// Most slices of one `fd_write`.
const MAX_SLICES: u32 = 1024;

/// Half lines on standard output and error, kept until their end comes or the callback is over.
#[derive(Debug, Default)]
pub(crate) struct Stdio {
    out: Vec<u8>,
    err: Vec<u8>,
}

/// Logs whatever half lines are left; called after every callback, or a panic's message would be lost.
#[inline]
pub(crate) fn flush(state: &mut State) {
    if !state.stdio.out.is_empty() || !state.stdio.err.is_empty() {
        for level in [LogLevel::Info, LogLevel::Error] {
            let rest = std::mem::take(stream(state, level));
            if !rest.is_empty() {
                hostcalls::write_log(state, level, &rest);
            }
        }
    }
}

fn stream(state: &mut State, level: LogLevel) -> &mut Vec<u8> {
    if level == LogLevel::Error { &mut state.stdio.err } else { &mut state.stdio.out }
}

fn output(state: &mut State, level: LogLevel, bytes: &[u8]) {
    for part in bytes.split_inclusive(|b| *b == b'\n') {
        stream(state, level).extend_from_slice(part);
        if part.ends_with(b"\n") || stream(state, level).len() > MAX_WRITE {
            let mut line = std::mem::take(stream(state, level));
            while line.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
                line.pop();
            }
            hostcalls::write_log(state, level, &line);
        }
    }
}

/// Runs a body with the guest's memory; a bad pointer is `EFAULT`.
fn with<R>(
    caller: &mut Caller<'_, Held>,
    body: impl FnOnce(&mut [u8], &mut State) -> Result<R, Errno>,
) -> Result<R, Errno> {
    let memory = memory::of(caller).map_err(|_| Errno(errno::FAULT))?;
    let (bytes, inside) = memory.data_and_store_mut(caller);
    body(bytes, &mut inside.data)
}

/// An error number on its way to the guest.
struct Errno(i32);

impl From<Status> for Errno {
    fn from(_: Status) -> Self {
        Self(errno::FAULT)
    }
}

fn number(result: Result<(), Errno>) -> i32 {
    result.map_or_else(|e| e.0, |()| errno::SUCCESS)
}

fn word(bytes: &[u8], at: u64) -> Result<u32, Errno> {
    let at = usize::try_from(at).map_err(|_| Errno(errno::FAULT))?;
    let word = bytes.get(at..at + 4).and_then(|w| w.try_into().ok()).ok_or(Errno(errno::FAULT))?;
    Ok(u32::from_le_bytes(word))
}

fn fd_write(
    bytes: &mut [u8],
    state: &mut State,
    fd: u32,
    slices: u32,
    count: u32,
    written_at: u32,
) -> Result<(), Errno> {
    let level = match fd {
        1 => LogLevel::Info,
        2 => LogLevel::Error,
        _ => return Err(Errno(errno::BADF)),
    };
    if count > MAX_SLICES {
        return Err(Errno(errno::INVAL));
    }
    memory::probe(bytes, written_at, 4)?;
    let mut total = 0usize;
    for i in 0..u64::from(count) {
        let at = u64::from(slices) + 8 * i;
        let (pointer, length) = (word(bytes, at)?, word(bytes, at + 4)?);
        let part = memory::bytes(bytes, pointer, length)?;
        // What is beyond the cap counts as written, so that the guest goes on, and is not kept.
        let room = MAX_WRITE.saturating_sub(total).min(part.len());
        output(state, level, &part[..room]);
        total = total.saturating_add(part.len());
    }
    Ok(memory::write(bytes, written_at, &u32::try_from(total).unwrap_or(u32::MAX).to_le_bytes())?)
}

fn clock(state: &State, id: u32) -> Result<u64, Errno> {
    let time = match id {
        0 => state.services.outside.wall_clock(),
        1 => state.services.outside.monotonic(),
        _ => return Err(Errno(errno::NOTSUP)),
    };
    Ok(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

fn fdstat(bytes: &mut [u8], fd: u32, at: u32) -> Result<(), Errno> {
    if fd != 1 && fd != 2 {
        return Err(Errno(errno::BADF));
    }
    let mut stat = [0; 24];
    stat[0] = 2; // a character device
    stat[8] = 64; // the right to write
    Ok(memory::write(bytes, at, &stat)?)
}

/// Number of variables and bytes of the environment: `K=V` and a NUL each.
fn environ_sizes(state: &State) -> (u32, u32) {
    let bytes: usize = state.identity.env.iter().map(|e| e.len() + 1).sum();
    (u32::try_from(state.identity.env.len()).unwrap_or(0), u32::try_from(bytes).unwrap_or(0))
}

fn environ(bytes: &mut [u8], state: &State, pointers: u32, buffer: u32) -> Result<(), Errno> {
    let mut at = buffer;
    for (i, entry) in state.identity.env.iter().enumerate() {
        let slot = u64::from(pointers) + 4 * i as u64;
        memory::write(bytes, u32::try_from(slot).map_err(|_| Errno(errno::FAULT))?, &at.to_le_bytes())?;
        memory::write(bytes, at, entry.as_bytes())?;
        let end = u64::from(at) + entry.len() as u64;
        let end = u32::try_from(end).map_err(|_| Errno(errno::FAULT))?;
        memory::write(bytes, end, &[0])?;
        at = end.checked_add(1).ok_or(Errno(errno::FAULT))?;
    }
    Ok(())
}

fn random(bytes: &mut [u8], state: &State, pointer: u32, length: u32) -> Result<(), Errno> {
    if length > MAX_RANDOM {
        return Err(Errno(errno::INVAL));
    }
    memory::probe(bytes, pointer, length as usize)?;
    let start = pointer as usize;
    let target = bytes.get_mut(start..start + length as usize).ok_or(Errno(errno::FAULT))?;
    state.services.outside.random(target);
    Ok(())
}

fn pair(bytes: &mut [u8], first_at: u32, second_at: u32, (first, second): (u32, u32)) -> Result<(), Errno> {
    memory::probe(bytes, second_at, 4)?;
    memory::write(bytes, first_at, &first.to_le_bytes())?;
    Ok(memory::write(bytes, second_at, &second.to_le_bytes())?)
}

/// Whether this function of WASI was granted.
fn granted(caller: &Caller<'_, Held>, name: &str) -> bool {
    caller.data().data.identity.grants.wasi(name)
}

/// Defines what guests use, under both names. Other functions of preview 1 are stubbed from the import's own type by
/// [`stub_rest`], because old modules import some of them with other types.
pub(crate) fn link(linker: &mut Linker<Held>) -> wasmtime::Result<()> {
    type C<'a> = Caller<'a, Held>;
    for module in MODULES {
        macro_rules! define {
            ($name:literal, |$c:ident $(, $p:ident: $t:ty)*| $body:expr) => {
                linker.func_wrap(module, $name, |mut $c: C<'_>, $($p: $t),*| -> i32 {
                    if !granted(&$c, $name) {
                        return errno::NOTCAPABLE;
                    }
                    number($body)
                })?;
            };
        }
        define!("fd_write", |c, fd: u32, slices: u32, count: u32, written_at: u32| with(&mut c, |m, s| fd_write(
            m, s, fd, slices, count, written_at
        )));
        define!("clock_time_get", |c, id: u32, _precision: i64, at: u32| with(&mut c, |m, s| Ok(memory::write(
            m,
            at,
            &clock(s, id)?.to_le_bytes()
        )?)));
        define!("clock_res_get", |c, _id: u32, at: u32| with(&mut c, |m, _| Ok(memory::write(
            m,
            at,
            &1u64.to_le_bytes()
        )?)));
        define!("random_get", |c, pointer: u32, length: u32| with(&mut c, |m, s| random(m, s, pointer, length)));
        define!("environ_sizes_get", |c, count_at: u32, size_at: u32| with(&mut c, |m, s| pair(
            m,
            count_at,
            size_at,
            environ_sizes(s)
        )));
        define!("environ_get", |c, pointers: u32, buffer: u32| with(&mut c, |m, s| environ(m, s, pointers, buffer)));
        define!("args_sizes_get", |c, count_at: u32, size_at: u32| with(&mut c, |m, _| pair(
            m,
            count_at,
            size_at,
            (0, 0)
        )));
        define!("args_get", |_c, _pointers: u32, _buffer: u32| Ok(()));
        define!("fd_fdstat_get", |c, fd: u32, at: u32| with(&mut c, |m, _| fdstat(m, fd, at)));
        define!("fd_fdstat_set_flags", |_c, _fd: u32, _flags: u32| Ok(()));
        define!("fd_close", |_c, _fd: u32| Ok(()));
        define!("fd_read", |_c, _fd: u32, _slices: u32, _count: u32, _at: u32| Err(Errno(errno::BADF)));
        define!("fd_prestat_get", |_c, _fd: u32, _at: u32| Err(Errno(errno::BADF)));
        define!("fd_prestat_dir_name", |_c, _fd: u32, _at: u32, _len: u32| Err(Errno(errno::BADF)));
        define!("sched_yield", |_c| Ok(()));
        // Go's runtime throws when a poll fails, so it succeeds at once with no event.
        define!("poll_oneoff", |c, _in: u32, _out: u32, _count: u32, events_at: u32| with(&mut c, |m, _| Ok(
            memory::write(m, events_at, &0u32.to_le_bytes())?
        )));
        linker.func_wrap(module, "proc_exit", |code: i32| -> wasmtime::Result<()> { Err(GuestExit(code).into()) })?;
    }
    Ok(())
}

/// Defines the rest of preview 1 for one import, with the type that the module imports it with.
pub(crate) fn stub_rest(linker: &mut Linker<Held>, module: &str, name: &str, ty: &FuncType) -> wasmtime::Result<bool> {
    let one_number = ty.results().len() == 1 && ty.result(0).is_some_and(|r| matches!(r, ValType::I32));
    let known = FUNCTIONS.iter().find(|known| **known == name);
    let (true, Some(name), true) = (MODULES.contains(&module), known, one_number) else { return Ok(false) };
    let code = match *name {
        "fd_seek" | "fd_tell" => errno::SPIPE,
        "fd_filestat_get" => errno::BADF,
        "path_open" | "path_filestat_get" => errno::NOENT,
        _ => errno::NOTSUP,
    };
    linker.allow_shadowing(true);
    linker.func_new(module, name, ty.clone(), move |caller, _, results| {
        if let Some(result) = results.first_mut() {
            *result = Val::I32(if granted(&caller, name) { code } else { errno::NOTCAPABLE });
        }
        Ok(())
    })?;
    Ok(true)
}
